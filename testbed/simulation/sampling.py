"""Samples of the modelled server, taken as the real sampler does."""

from collections.abc import Callable

import attrs

from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample, Sample
from testbed.simulation.agenda import Agenda
from testbed.simulation.clients import Clients
from testbed.simulation.process import DatabaseServer, Process, Step

PROCESS_EVERY_S = 0.25
DATABASE_EVERY_S = 1.0

_PROCESS_WORK_S = 0.0002
_QUESTION = Step(0.0002, 0.0005)

# The name of the database, or None for a sample of the process.
Observe = Callable[[str | None, Sample], None]


@attrs.define
class Sampler:
    """Samples the process four times a second, and the database once a second.

    `clients` are those that this process serves; None: none.
    """

    _agenda: Agenda
    _process: Process
    _database: DatabaseServer
    _database_name: str
    _clients: Clients | None
    _all_processes: tuple[Process, ...]
    _observe: Observe

    def __attrs_post_init__(self) -> None:
        self._wait_for_process()
        self._wait_for_database()

    def _wait_for_process(self) -> None:
        due_s = self._agenda.now_s + PROCESS_EVERY_S
        self._agenda.after(PROCESS_EVERY_S, lambda: self._come_to_timer(due_s))

    def _come_to_timer(self, due_s: float) -> None:
        self._process.turn(_PROCESS_WORK_S, self._wait_for_process, lambda: self._look(due_s))

    def _look(self, due_s: float) -> None:
        totals, now_s = self._process.totals, self._agenda.now_s
        sample = ProcessSample(
            at_s=now_s,
            timer_late_s=now_s - due_s,
            pool_wait_s=totals.pool_wait_s,
            pool_waits=totals.pool_waits,
            tick_s=totals.tick_s,
            ticks=totals.ticks,
            responses=None if self._clients is None else dict(self._clients.responses),
            active_requests=None if self._clients is None else self._clients.young(),
            requests_answered=None if self._clients is None else self._clients.answered,
        )
        self._observe(None, sample)

    def _wait_for_database(self) -> None:
        self._process.timer(DATABASE_EVERY_S, _PROCESS_WORK_S, self._ask)

    def _ask(self) -> None:
        asked_s = begun_s = self._agenda.now_s
        foreground = 0

        def begun() -> None:
            nonlocal begun_s, foreground
            begun_s = self._agenda.now_s
            foreground = self._database.foreground

        def answered() -> None:
            sample = DatabaseSample(
                at_s=self._agenda.now_s,
                pool_wait_s=begun_s - asked_s,
                query_s=self._agenda.now_s - begun_s,
                transactions=sum(p.totals.transactions for p in self._all_processes),
                foreground_backends=foreground,
                blocked_sessions=0,
            )
            self._observe(self._database_name, sample)
            self._wait_for_database()

        self._process.transaction([_QUESTION], True, answered, begun)
