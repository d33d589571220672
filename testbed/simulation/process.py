"""One Python process: its reactor, which does one thing at a time, and its database threads."""

from collections import deque
from collections.abc import Sequence

import attrs

from testbed.simulation.agenda import Action, Agenda
from testbed.simulation.model import ServerModel
from testbed.simulation.processors import Lane, Processors


@attrs.define
class Totals:
    """Sums and counts that only grow, as a process exports them.

    Attributes:
        tick_s, ticks: time of the reactor's turns, and their number.
        pool_wait_s, pool_waits: time that transactions waited for a connection, and their number.
        transactions: transactions that ended.
    """

    tick_s: float = 0.0
    ticks: int = 0
    pool_wait_s: float = 0.0
    pool_waits: int = 0
    transactions: int = 0


@attrs.define
class DatabaseServer:
    """The database's own processes.

    Attributes:
        foreground: sessions that work for others at present.
    """

    _agenda: Agenda
    _processors: Processors
    _round_trip_s: float
    foreground: int = 0
    _lane: Lane = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lane = self._processors.lane()

    def query(self, work_s: float, ours: bool, done: Action) -> None:
        """One round trip to the database, with this much work there."""

        def begin() -> None:
            self.foreground += not ours
            self._processors.run(self._lane, work_s, end)

        def end() -> None:
            self.foreground -= not ours
            self._agenda.after(self._round_trip_s / 2, done)

        self._agenda.after(self._round_trip_s / 2, begin)


@attrs.frozen
class Step:
    """A part of a transaction: work in the thread's Python, then work in the database."""

    thread_s: float = 0.0
    database_s: float = 0.0


class Process:
    """A process of the server.

    Attributes:
        totals: what it exports.
    """

    def __init__(
        self, agenda: Agenda, model: ServerModel, processors: Processors, database: DatabaseServer
    ) -> None:
        self.totals = Totals()
        self._agenda = agenda
        self._processors = processors
        self._database = database
        self._lane = processors.lane(model.lock_contention_ratio)
        self._thread_weight = model.thread_weight
        self._free_connections = model.connections
        self._waiting: deque[Action] = deque()
        self._turns: deque[tuple[float, Action, Action | None]] = deque()
        self._turning = False

    def turn(self, work_s: float, done: Action, begun: Action | None = None) -> None:
        """A turn of the reactor, after all those that are due; `begun` is called at its start."""
        self._turns.append((work_s, done, begun))
        if not self._turning:
            self._next_turn()

    def timer(self, delay_s: float, work_s: float, action: Action) -> None:
        """After the delay, when the reactor comes to it, do this work, then the action."""
        self._agenda.after(delay_s, lambda: self.turn(work_s, action))

    def transaction(
        self, steps: Sequence[Step], ours: bool, done: Action, begun: Action | None = None
    ) -> None:
        """Wait for a connection (then call `begun`), and run the steps in a thread."""
        asked_s = self._agenda.now_s

        def begin() -> None:
            self.totals.pool_wait_s += self._agenda.now_s - asked_s
            self.totals.pool_waits += 1
            if begun is not None:
                begun()
            step(0)

        def step(number: int) -> None:
            if number == len(steps):
                self.totals.transactions += 1
                self._release()
                done()
                return
            query_s = steps[number].database_s
            self._processors.run(
                self._lane,
                steps[number].thread_s,
                lambda: self._database.query(query_s, ours, lambda: step(number + 1)),
                self._thread_weight,
            )

        if self._free_connections:
            self._free_connections -= 1
            begin()
        else:
            self._waiting.append(begin)

    def _release(self) -> None:
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free_connections += 1

    def _next_turn(self) -> None:
        self._turning = bool(self._turns)
        if not self._turns:
            return
        work_s, done, begun = self._turns.popleft()
        began_s = self._agenda.now_s
        if begun is not None:
            begun()

        def end() -> None:
            self.totals.tick_s += self._agenda.now_s - began_s
            self.totals.ticks += 1
            done()
            self._next_turn()

        self._processors.run(self._lane, work_s, end)
