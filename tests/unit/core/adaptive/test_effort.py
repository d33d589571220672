"""How an update works, and how much of the time it may have."""

import pytest

from synapse_bgthrottle.core.adaptive.effort import (
    DOUBT_RATIO,
    FIRST_RATIO,
    STOCK_RATIO,
    UNPROVEN_RATIO,
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
    """Before two experiments the effort is the first one's."""
    assert FIRST_RATIO == Impact().effort(_BUDGET, like_stock=True)


@pytest.mark.parametrize(
    ("expected", "slope"), [(0.03, 1.0), (0.1, 0.3), (0.3, 0.1), (0.6, 0.05), (0.95, 0.0)]
)
def test_effort_is_budget_by_slope(expected: float, slope: float) -> None:
    """An update that slows clients by a third at full work gets a tenth where 3 % may be."""
    assert expected == pytest.approx(full(slope).effort(_BUDGET, like_stock=False), rel=0.2)


def test_no_less_than_stock() -> None:
    """However much it harms, it has as much of the time as with stock Synapse."""
    assert STOCK_RATIO == full(2.0).effort(_BUDGET, like_stock=True)


def test_as_much_harm_as_by_stock() -> None:
    """Where stock would cost more than the tolerance, that is the budget; but not for gentle."""
    known = full(1.0)
    assert 0.08 == pytest.approx(known.budget_ratio(_BUDGET, like_stock=True), rel=0.1)
    assert _BUDGET == known.budget_ratio(_BUDGET, like_stock=False)
    assert _BUDGET == full(0.1).budget_ratio(_BUDGET, like_stock=True)


def test_gaps_are_used_for_as_much_work_as_by_stock() -> None:
    """Where waiting for gaps takes time, so much more of it is used."""
    known = impact({Way.BACK_TO_BACK: 1.0, Way.IN_GAPS: 2.0}, Way.IN_GAPS)
    known.ways[Way.IN_GAPS].did(50.0, 5.0)
    known.turned(10.0, 5.0)
    assert 2 * STOCK_RATIO == pytest.approx(known.effort(_BUDGET, like_stock=True))


def test_little_is_proof_of_nothing() -> None:
    """Lucky experiments do not let an update loose at once."""
    known = Impact()
    for number in range(3):
        known.ways[Way.BACK_TO_BACK].model.learn(number * 3.0, -0.5, 0.2)
    assert UNPROVEN_RATIO == known.effort(_BUDGET, like_stock=False)


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
    assert 5.1 == pytest.approx(known.debt_s(_BUDGET), rel=0.1)
    in_debt = known.effort(_BUDGET, like_stock=False)
    assert in_debt < 0.4 * before
    for _ in range(60):
        known.turned(0.0, 30.0)
    assert 0 == known.debt_s(_BUDGET)
    assert before == pytest.approx(known.effort(_BUDGET, like_stock=False))


def test_finding_out_is_paid_from_the_account() -> None:
    """An optimist with debts goes by what is probable."""
    known = Impact()
    for number in range(20):
        known.ways[Way.BACK_TO_BACK].model.learn(number * 3.0, 0.08, 0.4)
    before = known.effort(_BUDGET, like_stock=False)
    assert 0.5 < before
    known.turned(30.0, 10.0)
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
    """Half the speed at a fifth of the harm does more within the budget."""
    known = impact({Way.BACK_TO_BACK: 1.0, Way.IN_GAPS: 0.2}, Way.IN_GAPS)
    chosen = worked(known, {Way.BACK_TO_BACK: 100.0, Way.IN_GAPS: 50.0}, 160)
    assert 140 < chosen[Way.IN_GAPS]
    assert 5 < chosen[Way.BACK_TO_BACK]


def test_back_to_back_where_nobody_is_harmed() -> None:
    """Where both are harmless the quicker one is used."""
    known = impact({Way.BACK_TO_BACK: 0.0, Way.IN_GAPS: 0.0}, Way.IN_GAPS)
    chosen = worked(known, {Way.BACK_TO_BACK: 100.0, Way.IN_GAPS: 60.0}, 160)
    assert 140 < chosen[Way.BACK_TO_BACK]
    assert 5 < chosen[Way.IN_GAPS]


def test_gaps_come_first() -> None:
    """Of what nothing is known: they cost least."""
    known = Impact()
    assert 3 == worked(known, dict.fromkeys(Way, 1.0), 3)[Way.IN_GAPS]
    assert Way.BACK_TO_BACK is Impact().choose(_BUDGET, has_gaps=False)


def test_no_gap_is_ever_found() -> None:
    """What was tried and did nothing is hardly tried again."""
    known = Impact()
    chosen = worked(known, {Way.BACK_TO_BACK: 100.0, Way.IN_GAPS: 0.0}, 160)
    assert 130 < chosen[Way.BACK_TO_BACK]


def test_what_is_known_in_words() -> None:
    """For `explain` and the status."""
    known = full(0.1)
    assert known.describe().startswith("slows clients by ")
    assert known.describe().endswith("at full work (400 experiments; batches back to back)")
