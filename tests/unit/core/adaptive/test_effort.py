"""How an update works, and how much of the time it may have."""

import pytest

from synapse_bgthrottle.core.adaptive.effort import (
    DOUBT_RATIO,
    MOST_RATIO,
    STOCK_RATIO,
    Impact,
    Way,
)

_BUDGET = 0.03


def impact(slopes: dict[Way, float], way: Way, experiments: int = 400) -> Impact:
    """After many experiments with little noise, and no work of late."""
    known = Impact()
    for each, slope in slopes.items():
        for number in range(experiments):
            known.ways[each].model.learn(number * 3.0, slope, 0.01)
    known.way = way
    return known


def full(slope: float) -> Impact:
    return impact({Way.BACK_TO_BACK: slope}, Way.BACK_TO_BACK)


def test_start() -> None:
    """Before any experiment, a moment of work is short enough to cost little whatever it harms."""
    assert 0.26 == pytest.approx(Impact().effort(_BUDGET, like_stock=True), abs=0.01)


@pytest.mark.parametrize(
    ("expected", "slope"), [(0.03, 1.0), (0.1, 0.3), (0.3, 0.1), (0.6, 0.05), (MOST_RATIO, 0.0)]
)
def test_effort_is_budget_by_slope(expected: float, slope: float) -> None:
    """An update that slows clients by a third at full work gets a tenth where 3 % may be."""
    assert expected == pytest.approx(full(slope).effort(_BUDGET, like_stock=False), rel=0.25)


def test_no_less_than_stock() -> None:
    """However much it harms, it has as much of the time as with stock Synapse."""
    assert STOCK_RATIO == full(2.0).effort(_BUDGET, like_stock=True)


def test_as_much_harm_as_by_stock() -> None:
    """Where stock would cost more than the tolerance, that is the budget; but not for gentle."""
    known = full(1.0)
    assert STOCK_RATIO == pytest.approx(known.budget_ratio(_BUDGET, like_stock=True), rel=0.1)
    assert _BUDGET == known.budget_ratio(_BUDGET, like_stock=False)
    assert _BUDGET == full(0.1).budget_ratio(_BUDGET, like_stock=True)


def test_gaps_are_used_for_as_much_work_as_by_stock() -> None:
    """Where waiting for gaps takes time, so much more of it is used."""
    known = impact({Way.BACK_TO_BACK: 1.0, Way.IN_GAPS: 2.0}, Way.IN_GAPS)
    known.ways[Way.IN_GAPS].did(50.0, 5.0)
    known.turned(10.0, 5.0)
    assert 2 * STOCK_RATIO == pytest.approx(known.effort(_BUDGET, like_stock=True))


def test_harmless_until_proven() -> None:
    """Experiments that may be bad luck do not hold an update; as many again that say so do."""
    known = Impact()
    model = known.ways[Way.BACK_TO_BACK].model
    model.learn(0.0, 0.3, 0.1)
    lucky = known.effort(_BUDGET, like_stock=False)
    for number in range(1, 12):
        model.learn(number * 3.0, 0.3, 0.1)
    assert DOUBT_RATIO == lucky
    assert 0.25 > known.effort(_BUDGET, like_stock=False)


def test_doubt() -> None:
    """Surprises make it careful before a change is certain."""
    known = full(0.0)
    for number in range(3):
        known.ways[Way.BACK_TO_BACK].model.learn(1200 + number * 3.0, 1.0, 0.1)
    assert known.ways[Way.BACK_TO_BACK].model.is_in_doubt
    assert DOUBT_RATIO >= known.effort(_BUDGET, like_stock=False)


def test_the_account() -> None:
    """What was spent beyond the budget is paid back, and forgiven after some minutes."""
    known = full(0.3)
    before = known.effort(_BUDGET, like_stock=False)
    known.turned(20.0, 10.0)
    assert 4.9 == pytest.approx(known.debt_s(_BUDGET), rel=0.1)
    in_debt = known.effort(_BUDGET, like_stock=False)
    assert in_debt < 0.4 * before
    for _ in range(60):
        known.turned(0.0, 30.0)
    assert 0 == known.debt_s(_BUDGET)
    assert before == pytest.approx(known.effort(_BUDGET, like_stock=False))


def test_finding_out_is_paid_from_the_account() -> None:
    """Once harm is proven and spent, the share follows from what is probable."""
    known = Impact()
    for number in range(20):
        known.ways[Way.BACK_TO_BACK].model.learn(number * 3.0, 0.2, 0.4)
    before = known.effort(_BUDGET, like_stock=False)
    assert DOUBT_RATIO == before
    known.turned(30.0, 2.0)
    assert 0.5 * before > known.effort(_BUDGET, like_stock=False)


def worked(known: Impact, speeds: dict[Way, float], turns: int) -> dict[Way, int]:
    """Which ways are chosen, when each does so many items a second."""
    chosen = dict.fromkeys(Way, 0)
    for _ in range(turns):
        known.way = known.choose(_BUDGET, has_gaps=True)
        chosen[known.way] += 1
        known.current.did(speeds[known.way] * 1.5, 1.0)
        known.turned(1.5, 1.5)
    return chosen


def test_gaps_where_work_harms() -> None:
    """Half the speed at a fifth of the harm does more within the budget; the other is retried."""
    known = impact({Way.BACK_TO_BACK: 1.0, Way.IN_GAPS: 0.2}, Way.IN_GAPS)
    chosen = worked(known, {Way.BACK_TO_BACK: 100.0, Way.IN_GAPS: 50.0}, 800)
    assert 780 < chosen[Way.IN_GAPS]
    assert 2 < chosen[Way.BACK_TO_BACK]


def test_back_to_back_where_nobody_is_harmed() -> None:
    """Where both are harmless the quicker one is used, once the other one was tried a bit."""
    known = impact({Way.BACK_TO_BACK: 0.0, Way.IN_GAPS: 0.0}, Way.IN_GAPS)
    known.ways[Way.IN_GAPS].did(60.0, 1.5)
    known.turned(1.5, 1.5)
    chosen = worked(known, {Way.BACK_TO_BACK: 100.0, Way.IN_GAPS: 60.0}, 160)
    assert 155 <= chosen[Way.BACK_TO_BACK]


def test_one_unlucky_moment_condemns_no_way() -> None:
    """Gaps in which hardly anything was done once are tried again where work harms."""
    known = full(0.5)
    known.ways[Way.BACK_TO_BACK].did(600.0, 1.5)
    known.turned(1.5, 1.5)
    known.way = Way.IN_GAPS
    known.current.did(35.0, 0.3)
    known.turned(1.5, 1.5)
    assert Way.IN_GAPS is known.choose(_BUDGET, has_gaps=True)


def test_back_to_back_comes_first() -> None:
    """Of what nothing is known: it is quicker, if it harms nobody."""
    assert Way.BACK_TO_BACK is Impact().choose(_BUDGET, has_gaps=True)
    harmful = full(1.0)
    assert Way.IN_GAPS is harmful.choose(_BUDGET, has_gaps=True)
    assert Way.BACK_TO_BACK is harmful.choose(_BUDGET, has_gaps=False)


def test_one_disturbed_experiment_condemns_no_way() -> None:
    """Work back to back in which clients were slow once is tried again."""
    known = Impact()
    known.ways[Way.BACK_TO_BACK].model.learn(0.0, 1.0, 0.2)
    known.ways[Way.BACK_TO_BACK].did(900.0, 1.5)
    known.turned(1.5, 3.5)
    chosen = worked(known, {Way.BACK_TO_BACK: 600.0, Way.IN_GAPS: 300.0}, 10)
    assert 2 < chosen[Way.BACK_TO_BACK]


def test_no_gap_is_ever_found() -> None:
    """A way in which nothing was done is left, after less than a minute of it."""
    known = full(1.0)
    chosen = worked(known, {Way.BACK_TO_BACK: 100.0, Way.IN_GAPS: 0.0}, 160)
    assert 120 < chosen[Way.BACK_TO_BACK]


def test_what_is_known_in_words() -> None:
    """For `explain` and the status."""
    known = full(0.1)
    assert known.describe().startswith("batches back to back make clients' requests ")
    assert known.describe().endswith("% slower (400 experiments)")
