"""Takes samples while updates are pending, and none otherwise."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import attrs

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals.samples import (
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from synapse_bgthrottle.core.signals.signal import PERIOD_S
from synapse_bgthrottle.homeserver.internals.guard import count_transactions
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.internals.synapse_metrics import ServerMetrics
from synapse_bgthrottle.homeserver.internals.timers import Timer
from synapse_bgthrottle.homeserver.sampling.database_sampler import DatabaseSampler
from synapse_bgthrottle.homeserver.sampling.operator_checks import Check, Checks
from synapse_bgthrottle.homeserver.sampling.poller import PATIENCE_S, Poller

# Sampling continues for this time without an open iteration, because iterations have short gaps.
LINGER_S = 1.0

# How often to check whether the answer to a query has come.
_LOOK_S = 0.05

T = TypeVar("T", DatabaseSample, CheckSample)

Observe = Callable[[str | None, Sample], None]


class Sampler:
    """Takes all samples except those of batches, as long as an iteration is open.

    Each sample goes to `observe`, with its database's name; None: it concerns all databases.
    """

    def __init__(self, host: Homeserver, settings: SignalSettings, observe: Observe) -> None:
        self._host = host
        self._observe = observe
        self._metrics = ServerMetrics()
        self._sees_requests = host.facts().sees_requests
        checks = Checks(host, settings).by_signal()
        self._checks = [self._check(name, check) for name, check in checks.items()]
        self._databases: dict[str, Poller[DatabaseSample]] = {}
        self._open: dict[str, str] = {}
        self._asked_for: dict[str, str | None] = {}
        # Its start, and what counts its transactions.
        self._batches: dict[str, tuple[float, Callable[[], int | None]]] = {}
        self._lingers_until_s = 0.0  # monotonic; until then it goes on without an open iteration
        self._timer: Timer | None = None

    def begin(self, database_name: str, update_name: str) -> None:
        """An iteration of this update begins."""
        self._open[database_name] = update_name
        # batches without rest never sleep, so nothing else would call this
        self._host.call_overdue()
        if self._timer is None:
            self._call_in(0)

    def end(self, database_name: str) -> None:
        """The iteration has ended."""
        self._batches.pop(database_name, None)
        if self._open.pop(database_name, None) is not None:  # a long hold calls this repeatedly
            self._lingers_until_s = self._host.now_s() + LINGER_S

    def has_looked(self, database_name: str, update_name: str, since_s: float) -> bool:
        """Whether all queries were sent after `since_s` and answered, for this update.

        The update matters, because another update may use other tables.
        """
        is_its_own = self._asked_for.get(database_name) == update_name
        pollers = self._asked(database_name)
        return is_its_own and all(poller.has_answered(since_s) for poller in pollers)

    async def look_now(self, database_name: str, update_name: str, since_s: float) -> None:
        """Send all queries whose last answer is older than `since_s`, and wait for the answers.

        It waits for `PATIENCE_S` at most: what cannot be measured is logged elsewhere, and must not
        hold the update forever.
        """
        begin_s = self._host.now_s()
        self.begin(database_name, update_name)
        database, asked_for = self._database(database_name), self._asked_for.get(database_name)
        for poller in self._asked(database_name):
            is_of_another = poller is database and asked_for != update_name
            if is_of_another or not poller.has_answered(since_s):
                poller.ask(begin_s)
        while not self.has_looked(database_name, update_name, since_s):
            if self._host.now_s() - begin_s >= PATIENCE_S:
                return
            await self._host.sleep(_LOOK_S)

    def has_looked_of_late(self, database_name: str) -> bool:
        """Whether all samples for this database are recent."""
        now_s = self._host.now_s()
        pollers = self._asked(database_name)
        return all(poller.has_answered(now_s - 2 * poller.period_s) for poller in pollers)

    def _asked(self, database_name: str) -> list[Poller[Any]]:
        return [self._database(database_name), *self._checks]

    def batch_begins(self, database_name: str) -> None:
        """A batch of the present log context starts in this database; `end` is its end."""
        self._batches[database_name] = self._host.now_s(), count_transactions()

    def _call_in(self, delay_s: float) -> None:
        self._timer = self._host.call_later(delay_s, "bgthrottle_sampling", self._look)

    async def _look(self) -> None:
        timer, self._timer = self._timer, None  # from here on, `begin` schedules the next call
        with self._host.reporting("while looking at the server"):
            now_s = self._host.now_s()
            if not self._open and now_s >= self._lingers_until_s:
                return
            late_s = 0.0 if timer is None else timer.late_s(now_s, self._host.wall_s())
            looks: list[Callable[[], None]] = [
                lambda: self._pass_on(None, self._process_sample(now_s, late_s)),
                partial(self._look_at_databases, now_s),
                *(partial(check.look, now_s) for check in self._checks),
            ]
            for look in looks:  # none depends on the others
                with self._host.reporting("while looking at the server"):
                    look()
        with self._host.reporting("while looking at the server"):
            self._call_in(PERIOD_S[ProcessSample])

    def _look_at_databases(self, now_s: float) -> None:
        # Without requests, clients are measured by the transactions of others. This process counts
        # its own transactions over all databases, so all databases must be sampled.
        names = self._open if self._sees_requests else self._host.databases
        for name in tuple(names):
            self._database(name).look(now_s)

    def _process_sample(self, now_s: float, late_s: float) -> ProcessSample:
        pool_wait_s, pool_waits = self._metrics.pool_wait() or (None, None)
        tick_s, ticks = self._metrics.ticks() or (None, None)
        return ProcessSample(
            at_s=now_s,
            timer_late_s=late_s,
            pool_wait_s=pool_wait_s,
            pool_waits=pool_waits,
            tick_s=tick_s,
            ticks=ticks,
            responses=self._metrics.responses(),
            active_requests=self._host.active_requests(),
            requests_answered=self._host.requests_answered(),
        )

    def _database(self, name: str) -> Poller[DatabaseSample]:
        if name not in self._databases:
            self._databases[name] = self._database_poller(name)
        return self._databases[name]

    def _database_poller(self, name: str) -> Poller[DatabaseSample]:
        question = DatabaseSampler(self._host.database(name), self._host.now_s)

        async def ask() -> DatabaseSample | None:
            if not self._open:
                return None
            update_name = self._open.get(name)
            try:
                sample = await question.ask(update_name, partial(self._batch_age_s, name))
            finally:
                self._asked_for[name] = update_name
            _, count = self._batches.get(name, (None, None))
            transactions = None if count is None else count()
            is_of_clients = name not in self._open
            return attrs.evolve(
                sample, batch_transactions=transactions, is_of_clients=is_of_clients
            )

        def failed(problem: str) -> DatabaseSample:
            return DatabaseSample(
                at_s=self._host.now_s(),
                problem=problem,
                is_unanswered=question.is_asked,
                is_of_clients=name not in self._open,
            )

        return self._poller("database_sample", DatabaseSample, ask, failed, name)

    def _check(self, name: str, check: Check) -> Poller[CheckSample]:
        def sample(value: float | None, problem: str, about: str = "") -> CheckSample:
            now_s = self._host.now_s()
            return CheckSample(at_s=now_s, name=name, value=value, problem=problem, about=about)

        async def ask() -> CheckSample | None:
            found = await check()
            return None if found is None else sample(*found)

        return self._poller(f"check_{name}", CheckSample, ask, partial(sample, None))

    def _poller(
        self,
        name: str,
        kind: type[T],
        query: Callable[[], Awaitable[T | None]],
        answer_of: Callable[[str], T],
        database_name: str | None = None,
    ) -> Poller[T]:
        pass_on = partial(self._pass_on, database_name)
        return Poller(self._host, f"bgthrottle_{name}", PERIOD_S[kind], query, answer_of, pass_on)

    def _batch_age_s(self, database_name: str) -> float | None:
        # Called in a database thread.
        start_s, _ = self._batches.get(database_name, (None, None))
        return None if start_s is None else self._host.now_s() - start_s

    def _pass_on(self, database_name: str | None, sample: Sample) -> None:
        with self._host.reporting("with a sample"):
            self._observe(database_name, sample)
