"""How much one way of working slows clients down: slope, honest error, and changes."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.impact_model import ImpactModel, Prior


def learn(
    model: ImpactModel,
    slope: float,
    experiments: int,
    *,
    noise: float = 0.3,
    claimed: float = 0.3,
    seed: int = 1,
    begin_s: float = 0.0,
) -> None:
    """Experiments on an update of this slope, one in three seconds."""
    source = random.Random(seed)
    for number in range(experiments):
        model.learn(begin_s + number * 3.0, slope + source.gauss(0, noise), claimed**2)


def learned(slope: float, experiments: int, **how: float) -> ImpactModel:
    model = ImpactModel()
    learn(model, slope, experiments, **how)  # type: ignore[arg-type]
    return model


def test_start() -> None:
    """Before anything is known clients may be slower by nothing, by a third, or by more."""
    model = ImpactModel()
    assert Prior().harmless == model.harmless
    assert 0.3 < model.slope < 0.6
    assert model.error > 0.5


def test_luck_is_no_harm() -> None:
    """Of what ten noisy experiments show, less than half counts if it harms nobody; else most."""
    shown, harmless, harmful = [], [], []
    for seed in range(50):
        source = random.Random(seed)
        shown.append(abs(statistics.fmean(source.gauss(0, 0.3) for _ in range(10))))
        harmless.append(abs(learned(0.0, 10, seed=seed).slope))
        harmful.append(learned(0.6, 10, seed=seed).slope)
    assert 0.5 * statistics.fmean(shown) > statistics.fmean(harmless)
    assert 0.5 < statistics.fmean(harmful)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, 2.0])
def test_slope_is_found(slope: float) -> None:
    """It is the mean of what experiments show."""
    assert slope == pytest.approx(learned(slope, 200, noise=0.2).slope, abs=0.06)


def test_no_update_makes_clients_quicker() -> None:
    """Experiments that say so are luck, and make it more probable that it harms nobody."""
    model = learned(-0.3, 30)
    assert 0 == pytest.approx(model.slope, abs=0.01)
    assert learned(0.0, 30).harmless < model.harmless


@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_error_is_honest(noise: float) -> None:
    """It is how much slopes really differ, also where each experiment claims half of its error."""
    models = [learned(0.3, 50, noise=noise, seed=seed) for seed in range(100)]
    shown = statistics.pstdev(model.slope for model in models)
    assert shown == pytest.approx(statistics.fmean(model.error for model in models), rel=0.4)


def test_more_is_known_from_more_experiments() -> None:
    """The error falls with the square root of their number."""
    assert 2 == pytest.approx(learned(0.3, 40).error / learned(0.3, 160).error, rel=0.25)


def test_what_was_learned_fades() -> None:
    """After some hours without experiments the next few count most."""
    model = learned(0.3, 200, noise=0.1)
    learn(model, 0.0, 20, noise=0.1, begin_s=20_000)
    assert 0.15 > model.slope


def test_harm_that_begins_is_found_soon() -> None:
    """After some experiments what was learned of better times no longer counts."""
    model = learned(0.0, 200)
    learn(model, 0.6, 12, seed=2, begin_s=600.0)
    assert 0.4 < model.slope


def test_harm_that_ends_is_found_too() -> None:
    """A table that is in the cache again."""
    model = learned(0.8, 200)
    learn(model, 0.0, 20, seed=2, begin_s=600.0)
    assert 0.3 > model.slope


def test_doubt_comes_before_a_change() -> None:
    """Some surprises in one direction are a reason to be careful already."""
    model = learned(0.0, 100)
    assert not model.is_in_doubt
    learn(model, 1.2, 3, seed=2, begin_s=300.0)
    assert model.is_in_doubt


def test_suspicion_is_half_of_an_alarm() -> None:
    """Work that had to be cut short is a reason to be careful, and few experiments confirm it."""
    model, unsuspecting = learned(0.0, 100), learned(0.0, 100)
    model.suspect()
    assert model.is_in_doubt
    assert model.slope == unsuspecting.slope
    for each in (model, unsuspecting):
        learn(each, 0.6, 4, noise=0.0, begin_s=300.0)
    assert unsuspecting.slope < 0.2
    assert model.slope > 0.4


def test_after_a_suspicion_only_what_follows_counts() -> None:
    """Experiments from before it, in which the sum was not at zero, are not about the change."""
    model = learned(0.0, 100)
    learn(model, 0.3, 3, noise=0.0, begin_s=300.0)
    model.suspect()
    learn(model, 1.0, 4, noise=0.0, begin_s=309.0)
    assert 0.9 < model.slope


def test_noise_is_seldom_a_change() -> None:
    """Of twenty updates that never change, nearly all are known as well as without the test."""
    models = [learned(0.2, 400, seed=seed) for seed in range(20)]
    assert 16 <= sum(model.error < 0.03 for model in models)


@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e6), st.floats(-4, 4), st.floats(1e-6, 1e3)),
        max_size=50,
    )
)
def test_any_experiments(experiments: list[tuple[float, float, float]]) -> None:
    """The slope is not far beyond what was seen or believed, and nothing is known for certain."""
    model = ImpactModel()
    for experiment in experiments:
        model.learn(*experiment)
        assert 0 <= model.slope <= 4.001 + model.error
        assert model.error > 0
