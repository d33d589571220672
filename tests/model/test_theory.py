"""The model agrees with queueing theory, so that its figures can be trusted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.simulation import loads
from testbed.simulation.agenda import Action, Agenda
from testbed.simulation.model import ClientsModel, RequestKind, ServerModel
from testbed.simulation.processors import Lane, Processors
from testbed.simulation.world import World
from tests.model.runs import streams

FEW = settings(max_examples=30, derandomize=True)


def clients_only(kind: RequestKind, rate_per_s: float, **server: float) -> World:
    clients = ClientsModel(kinds=(kind,), load=loads.steady(rate_per_s))
    return World(ServerModel(**server), clients, streams(3))  # type: ignore[arg-type]


@pytest.mark.parametrize("used", [0.3, 0.6, 0.8])
def test_one_queue(used: float) -> None:
    """The reactor alone is M/M/1: a request takes s / (1 - used) on average."""
    run = clients_only(RequestKind(name="a", reactor_s=0.01), used * 100)
    record = run.run(1000)
    assert 0.01 / (1 - used) == pytest.approx(record.latencies().mean_s, rel=0.07)


def test_one_queue_of_equal_requests() -> None:
    """With requests of one size it is M/D/1, where they wait half as long."""
    run = clients_only(RequestKind(name="a", reactor_s=0.01, exact=True), 70)
    expected_s = 0.01 + 0.7 * 0.01 / (2 * 0.3)
    assert expected_s == pytest.approx(run.run(300).latencies().mean_s, rel=0.06)


def test_shared_processor() -> None:
    """Queries on one core share it: M/M/1-PS, as long on average as in a queue."""
    kind = RequestKind(name="a", database_s=0.01)
    run = clients_only(kind, 60, cores=1, connections=10**6, round_trip_s=0)
    assert 0.01 / 0.4 == pytest.approx(run.run(300).latencies().mean_s, rel=0.07)


def test_pool_with_one_connection() -> None:
    """With one connection they stand in a queue for it, and the pool's sums say how long."""
    kind = RequestKind(name="a", database_s=0.01, exact=True)
    run = clients_only(kind, 70, connections=1, round_trip_s=0)
    expected_s = 0.7 * 0.01 / (2 * 0.3)
    latency_s = run.run(300).latencies().mean_s
    assert expected_s + 0.01 == pytest.approx(latency_s, rel=0.06)


def test_utilisation_law() -> None:
    """The cores are busy for as much as the requests need, however they wait for each other."""
    kind = RequestKind(name="a", reactor_s=0.01, thread_s=0.002, database_s=0.008)
    run = clients_only(kind, 30, cores=2)
    run.run(300)
    assert 30 * 0.02 == pytest.approx(run.processors.busy_s / 300, rel=0.06)


def test_littles_law() -> None:
    """Requests in the server are arrivals a second times the time that each is in it."""
    kind = RequestKind(name="a", reactor_s=0.02, database_s=0.01)
    record = clients_only(kind, 30).run(300)
    inside = 0.0
    for request in record.requests:
        inside += request.latency_s / 300
    assert inside == pytest.approx(30 * record.latencies().mean_s, rel=0.06)


@FEW
@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 2)), min_size=1, max_size=12),
    st.sampled_from([0.5, 1.0, 2.0, 3.5]),
    st.floats(0, 1),
)
def test_work_is_conserved(
    jobs: list[tuple[float, float]], cores: float, contention_ratio: float
) -> None:
    """Whatever shares the cores, all of the work is done, and none of it twice."""
    agenda = Agenda()
    processors = Processors(agenda, cores)
    lanes = [processors.lane(contention_ratio), processors.lane()]
    ended_s: list[float] = []

    def job(lane: Lane, work_s: float) -> Action:
        return lambda: processors.run(lane, work_s, lambda: ended_s.append(agenda.now_s))

    for number, (begin_s, work_s) in enumerate(jobs):
        agenda.after(begin_s, job(lanes[number % 2], work_s))
    agenda.run_until(1000)
    assert len(jobs) == len(ended_s)
    assert sum(work_s for _, work_s in jobs) == pytest.approx(processors.busy_s)


def test_lock_of_the_interpreter() -> None:
    """Two threads of one process that both want its lock take twice as long, on any machine."""
    agenda = Agenda()
    processors = Processors(agenda, 8)
    ended_s: list[float] = []
    lane = processors.lane(contention_ratio=1.0)
    for _ in range(2):
        processors.run(lane, 1.0, lambda: ended_s.append(agenda.now_s))
    agenda.run_until(10)
    assert [2.0, 2.0] == pytest.approx(ended_s)


@pytest.mark.parametrize(
    ("expected_per_s", "load"),
    [
        (20, loads.steady(20)),
        (25, loads.step(500, 10, 40)),
        (15, loads.bursts(10, 5, 25)),
    ],
)
def test_loads(expected_per_s: float, load: loads.Load) -> None:
    """Over its whole course, each load has the rate that its arithmetic says."""
    clients = ClientsModel(kinds=(RequestKind(name="a", reactor_s=1e-6),), load=load)
    record = World(ServerModel(), clients, streams(1)).run(1000)
    assert expected_per_s == pytest.approx(record.arrivals / 1000, rel=0.07)
