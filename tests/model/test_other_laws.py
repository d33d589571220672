"""Other projects' laws, with which this project's is compared."""

import pytest

from benchmarks.model.laws import COLUMNS, Cell, line
from benchmarks.model.other_laws import OTHER_LAWS, OtherLaw, aimd, elastic, gate, gradient, ledbat
from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.signals.samples import ProcessSample
from testbed.simulation.presets import EVENT_SEARCH, TWO_CORES
from testbed.simulation.world import World
from tests.model.runs import NOBODY, streams

KEY = ("master", "an_update")


@pytest.mark.parametrize("law", [aimd, ledbat, elastic, gradient])
def test_bounds(law: object) -> None:
    """Whatever the pressure, a duty cycle stays between the least and all."""
    assert callable(law)
    for pressure in (0.0, 0.5, 1.0, 3.0, 1e9):
        for ratio in (0.01, 0.5, 1.0):
            assert 0.01 <= law(ratio, pressure) <= 1.0


@pytest.mark.parametrize("law", [gate, aimd, ledbat, elastic, gradient])
def test_yields_and_grows(law: object) -> None:
    """Less under pressure, more without."""
    assert callable(law)
    assert law(0.5, 3.0) < 0.5 < law(0.5, 0.0)


@pytest.mark.parametrize("name", OTHER_LAWS)
def test_runs_on_an_idle_server(name: str) -> None:
    """Each does batches where nobody is there."""
    world = World(
        TWO_CORES,
        NOBODY,
        streams(1),
        EVENT_SEARCH,
        OtherLaw.on(OTHER_LAWS[name](), TWO_CORES),
    )
    assert world.run(20).share_in_batches(10, 20) > 0.1


def test_rests_by_the_duty_cycle() -> None:
    """After a batch of 0.1 s at a tenth: 0.9 s of rest, less once the law allows more."""
    law = OtherLaw.on(lambda ratio, pressure: 0.5, TWO_CORES)
    law.start(*KEY, 0.0)
    law.finish(*KEY, 0.1, 10, failed=False)
    assert law.decide(*KEY, Conditions(0.1, 0.0)).wait_s == pytest.approx(0.9)
    law.observe(None, ProcessSample(at_s=0.15, timer_late_s=0.0))
    assert law.decide(*KEY, Conditions(0.15, 0.0)).wait_s == pytest.approx(0.05)


def test_gate_stops_under_pressure() -> None:
    """With the event loop a second late nothing starts."""
    law = OtherLaw.on(gate, TWO_CORES)
    law.observe(None, ProcessSample(at_s=1.0, timer_late_s=1.0))
    assert law.decide(*KEY, Conditions(1.0, 0.0)).wait_s > 0


def test_gaps() -> None:
    """25 ms, when no request is in flight, or after 2 s."""
    law = OtherLaw.on(None, TWO_CORES)
    busy, free, late = (
        law.decide(*KEY, Conditions(now_s, 0.0, active_requests=active))
        for now_s, active in ((1.0, 1), (1.0, 0), (2.0, 1))
    )
    assert busy.wait_s > 0
    assert (free.wait_s, free.target_ms) == (0.0, 25)
    assert late.wait_s == 0.0


def test_row() -> None:
    """A law's figures as Markdown; without requests there are no latencies."""
    found = line("a law", Cell(50, 0.25, 1.0, 1.234, 2.0), Cell(100, 1.0))
    assert found == "| a law | 0.50 | 25% | 1.00 | 1.23 | 2.00 |"
    assert line("a law", Cell(50, 0.25), Cell(100, 1.0)) == "| a law | 0.50 | 25% |  |  |  |"
    assert found.count("|") == len(COLUMNS) + 2
