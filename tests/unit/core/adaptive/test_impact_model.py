"""What an update costs clients: learned slopes, and the effort that follows."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.harm import MOST_EFFORT, Harm

_START, _TOLERANCE = 0.4, 0.05


def learned(slope: float, experiments: int, noise: float = 0.1, seed: int = 1) -> Harm:
    """After experiments on an update of this slope, one in three seconds."""
    source, harm = random.Random(seed), Harm(_START, _TOLERANCE)
    for number in range(experiments):
        difference = slope * harm.effort + source.gauss(0, noise)
        harm.learn(number * 3.0, harm.effort, difference, noise**2)
    return harm


def test_start() -> None:
    """Before anything is known the effort is the profile's."""
    harm = Harm(_START, _TOLERANCE)
    assert _START == pytest.approx(harm.effort)
    assert _TOLERANCE == pytest.approx((harm.slope + harm.error / 2) * harm.effort)


@pytest.mark.parametrize(
    ("expected", "slope"), [(0.05, 1.0), (0.1, 0.5), (0.2, 0.25), (0.5, 0.1), (1.0, 0.05)]
)
def test_effort_is_tolerance_by_slope(expected: float, slope: float) -> None:
    """An update that slows clients by half gets a tenth where 5 % are tolerated."""
    assert expected == pytest.approx(learned(slope, 400, noise=0.03).effort, rel=0.25)


def test_harmless_update_gets_all() -> None:
    """Also one in whose moments clients happened to be quicker."""
    assert learned(0.0, 200, noise=0.05).effort > 0.8 * MOST_EFFORT
    assert MOST_EFFORT == pytest.approx(learned(-0.1, 200, noise=0.05).effort)


def test_effort_grows_step_by_step() -> None:
    """One lucky experiment does not let an update loose."""
    harm = Harm(_START, _TOLERANCE)
    harm.learn(0.0, 0.4, -5.0, 1e-6)
    assert 1.5 * _START == pytest.approx(harm.effort)


def test_effort_falls_at_once() -> None:
    """One experiment that tells much harm for certain is enough."""
    harm = Harm(_START, _TOLERANCE)
    harm.learn(0.0, 0.4, 0.4, 1e-4)
    assert harm.effort < 0.06


def test_noise_alone_moves_little() -> None:
    """Few requests tell little: after ten noisy experiments the effort is near its start."""
    for seed in range(10):
        assert 0.5 < learned(0.125, 10, noise=1.0, seed=seed).effort / _START < 2


def test_what_was_learned_fades() -> None:
    """After some hours without experiments the next few count most."""
    harm = learned(0.5, 200, noise=0.03)
    for number in range(20):
        harm.learn(20_000 + number * 3.0, harm.effort, 0.0, 0.03**2)
    assert harm.effort > 0.5


def test_certainty() -> None:
    """More experiments make it certain, and then fewer are made."""
    assert not Harm(_START, _TOLERANCE).is_certain
    assert learned(0.25, 300, noise=0.03).is_certain


@given(
    st.lists(
        st.tuples(
            st.floats(-1e3, 1e6), st.floats(0.001, 8), st.floats(-4, 4), st.floats(1e-6, 1e3)
        ),
        max_size=50,
    )
)
def test_effort_is_in_range_for_any_experiments(
    experiments: list[tuple[float, float, float, float]],
) -> None:
    """Never zero, never more than there is."""
    harm = Harm(_START, _TOLERANCE)
    for experiment in experiments:
        harm.learn(*experiment)
        assert 0 < harm.effort <= MOST_EFFORT
        assert harm.error > 0
