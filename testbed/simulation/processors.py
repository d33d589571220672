"""The cores of one machine, shared equally by all runnable jobs (processor sharing).

With n runnable jobs on c cores each runs at the speed min(1, c/n). Jobs that share the lock of one
Python interpreter are a `Lane`, which uses about one core at most.
"""

import heapq
import math

from testbed.simulation.agenda import Action, Agenda

# Limits of rounding errors: absolute, and relative to large sums.
_NOTHING_S = 1e-12
_ROUNDING = 4


class Lane:
    """Jobs that share something besides the cores.

    With contention k, n of them use 1 + (n - 1)(1 - k) cores at most. With 0 they are independent.
    With 1 they take turns, like threads that always need the same lock.

    Attributes:
        runnable: number of cores that its jobs can use.
    """

    def __init__(self, contention_ratio: float) -> None:
        self.runnable = 0.0
        self._contention_ratio = contention_ratio
        self._weight = 0.0
        self._served_s = 0.0  # service to a job of weight 1 that has always been there
        self._jobs: list[tuple[float, int, float, Action]] = []

    def add(self, number: int, work_s: float, weight: float, done: Action) -> None:
        """A job begins. Jobs share the lane's service by weight."""
        if not self._jobs:
            self._served_s = 0.0  # keeps the sums small, and so exact
        self._weight += weight
        heapq.heappush(self._jobs, (self._served_s + work_s / weight, number, weight, done))
        self._count()

    def advance(self, cores_time_s: float) -> None:
        """Serve its jobs together for this much of a core's time."""
        if self._jobs:
            self._served_s += cores_time_s / self._weight

    def needs_s(self) -> float:
        """Core time until the next of its jobs is done; inf: it has no jobs."""
        if not self._jobs:
            return math.inf
        left_s = self._jobs[0][0] - self._served_s
        return left_s * self._weight if left_s > 0.0 else 0.0

    def finished(self) -> Action | None:
        """Remove a job that is done, and return its action."""
        if not self._jobs:
            return None
        left_s = self._jobs[0][0] - self._served_s
        is_nothing = left_s * self._weight <= _NOTHING_S
        if not is_nothing and left_s > _ROUNDING * math.ulp(self._served_s):
            return None
        _, _, weight, done = heapq.heappop(self._jobs)
        self._weight = self._weight - weight if self._jobs else 0.0
        self._count()
        return done

    def _count(self) -> None:
        jobs = len(self._jobs)
        self.runnable = 1 + (jobs - 1) * (1 - self._contention_ratio) if jobs else 0.0


class Processors:
    """The cores of one machine.

    Attributes:
        busy_s: core time used so far.
    """

    def __init__(self, agenda: Agenda, cores: float) -> None:
        self.busy_s = 0.0
        self._agenda = agenda
        self._cores = cores
        self._lanes: list[Lane] = []
        self._number = 0
        self._advanced_s = 0.0
        self._version = 0
        self._speed = 0.0

    def lane(self, contention_ratio: float = 0.0) -> Lane:
        """Make a new group of jobs on this machine."""
        self._lanes.append(Lane(contention_ratio))
        return self._lanes[-1]

    def run(self, lane: Lane, work_s: float, done: Action, weight: float = 1.0) -> None:
        """Do this much work in the lane, then call `done`."""
        self._advance()
        self._number += 1
        lane.add(self._number, work_s, weight, done)
        self._plan()

    def _advance(self) -> None:
        passed_s = self._agenda.now_s - self._advanced_s
        self._advanced_s = self._agenda.now_s
        if passed_s > 0:
            for lane in self._lanes:
                if lane.runnable:
                    served_s = passed_s * self._speed * lane.runnable
                    lane.advance(served_s)
                    self.busy_s += served_s

    def _plan(self) -> None:
        self._version += 1
        version, runnable, left_s = self._version, 0.0, math.inf
        for lane in self._lanes:
            if lane.runnable:
                runnable += lane.runnable
                lane_s = lane.needs_s() / lane.runnable
                if lane_s < left_s:
                    left_s = lane_s
        if runnable:
            # Valid until the next plan.
            self._speed = self._cores / runnable if runnable > self._cores else 1.0
            # Some time must pass, or it would wake at the same moment forever.
            shortest_s = _ROUNDING * math.ulp(self._agenda.now_s)
            delay_s = max(left_s / self._speed, shortest_s)
            self._agenda.after(delay_s, lambda: self._wake(version))

    def _wake(self, version: int) -> None:
        if version != self._version:
            return  # outdated: a job has begun or ended since
        self._advance()
        for lane in self._lanes:
            while lane.runnable and (done := lane.finished()) is not None:
                self._agenda.after(0.0, done)
        self._plan()
