"""The law for soft pressures in its loop: stable, fast to slow down, fast to recover."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.pressure_controller import SoftLaw
from synapse_bgthrottle.core.signals.signal_set import Soft
from testbed.simulation.closed_loop import Plant, course

LOOK_S = 0.25
FLOOR = 0.01
SOME = settings(max_examples=100, derandomize=True)


class Filtered:
    """The law behind the smoothing that signals have."""

    def __init__(self) -> None:
        self.law = SoftLaw()
        self.pressure = 0.0

    def __call__(self, pressure: float) -> float:
        share = 0.7 if pressure > self.pressure else 0.3
        self.pressure += share * (pressure - self.pressure)
        self.law.step(Soft(self.pressure, "a_signal"), FLOOR)
        return self.law.ratio


def ratios(plant: Plant, looks: int) -> list[float]:
    return [ratio for _, ratio in course(plant, Filtered(), looks, random.Random(1).random)]


@SOME
@given(foreground=st.floats(0, 0.8), gain=st.floats(0.1, 80), delay=st.integers(0, 4))
def test_stable_at_any_gain_and_delay(foreground: float, gain: float, delay: int) -> None:
    """However strongly batches press, and up to a second late, the pace settles."""
    settled = ratios(Plant(foreground=lambda look: foreground, gain=gain, delay=delay), 800)[700:]
    assert 1.05 > max(settled) / min(settled)
    assert 1.11 > foreground + gain * settled[-1] or settled[-1] == FLOOR


@SOME
@given(
    foreground=st.floats(0, 0.6),
    gain=st.floats(0.1, 20),
    delay=st.integers(0, 2),
    noise_ratio=st.floats(0, 0.3),
)
def test_noise_is_not_amplified(
    foreground: float, gain: float, delay: int, noise_ratio: float
) -> None:
    """With pressures seen up to 30 % wrong, the mean pressure stays near the point of yielding."""
    plant = Plant(
        foreground=lambda look: foreground, gain=gain, delay=delay, noise_ratio=noise_ratio
    )
    pressures = [p for p, _ in course(plant, Filtered(), 600, random.Random(2).random)][200:]
    assert 1.15 > sum(pressures) / len(pressures)


@SOME
@given(
    pressures=st.lists(st.floats(0, 10), min_size=1, max_size=60),
    more=st.floats(0, 5),
    at=st.integers(0, 59),
)
def test_more_pressure_never_a_higher_pace(pressures: list[float], more: float, at: int) -> None:
    """The same course with more pressure at one look, or at all, never ends at a higher pace."""
    runs = [Filtered(), Filtered(), Filtered()]
    for look, pressure in enumerate(pressures):
        calm = runs[0](pressure)
        assert calm >= runs[1](pressure + (more if look == at else 0.0)) - 1e-12
        assert calm >= runs[2](pressure + more) - 1e-12


@pytest.mark.parametrize("pressure", [2.5, 10.0])
def test_step_up(pressure: float) -> None:
    """When the pressure jumps, the pace is half within half a second, and at the floor in three."""
    plant = Plant(foreground=lambda look: 0.2 if look < 100 else pressure, gain=0.2)
    course_of = ratios(plant, 140)
    assert 0.5 * course_of[99] >= course_of[101]
    assert FLOOR == course_of[99 + int(3 / LOOK_S)]


def test_step_down() -> None:
    """When it has gone, the pace is back from the floor within ten seconds."""
    plant = Plant(foreground=lambda look: 3.0 if look < 100 else 0.2, gain=0.2)
    course_of = ratios(plant, 160)
    assert FLOOR == course_of[99]
    assert 0.9 < course_of[100 + int(10 / LOOK_S)]
