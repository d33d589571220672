"""The shared processors of the modelled machine, with large sums."""

from functools import partial

import pytest

from testbed.simulation.agenda import Agenda
from testbed.simulation.processors import Processors


@pytest.mark.parametrize("at_s", [0.0, 2481.5, 1e7])
def test_jobs_end_however_late_it_is(at_s: float) -> None:
    """What rounding leaves of a job, with others always there, is not waited for without end."""
    agenda = Agenda()
    processors = Processors(agenda, cores=1.7)
    lanes = [processors.lane(0.3), processors.lane()]
    agenda.run_until(at_s)
    ended_s: list[float] = []

    def begin(number: int) -> None:
        work_s = 0.1 + number / 700
        processors.run(
            lanes[number % 2], work_s, lambda: ended_s.append(agenda.now_s), weight=1 + work_s
        )

    for number in range(300):
        agenda.after(number / 30, partial(begin, number))
    agenda.run_until(at_s + 1000)
    assert 300 == len(ended_s)
    assert ended_s[-1] - at_s < 200
