"""Passes samples on to the adaptive pace: active clients, late timers, pressures. Pure."""

from collections.abc import Mapping

from synapse_bgthrottle.core.adaptive import controller
from synapse_bgthrottle.core.adaptive.controller import Pacer
from synapse_bgthrottle.core.levers.lever import UpdateKey
from synapse_bgthrottle.core.scheduling.state import DatabaseState, Facts, UpdateState
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample
from synapse_bgthrottle.core.signals.signal import PERIOD_S


def working(
    databases: Mapping[str, DatabaseState], updates: Mapping[UpdateKey, UpdateState]
) -> dict[str, UpdateState]:
    """The updates that are not held, by database."""
    return {
        name: update
        for name, database in databases.items()
        if database.is_open
        and (update := updates[name, database.update_name])
        and update.hold is None
    }


class Observer:
    """Hands samples to the pacer."""

    def __init__(
        self,
        pacer: Pacer,
        facts: Facts,
        databases: Mapping[str, DatabaseState],
        updates: Mapping[UpdateKey, UpdateState],
    ) -> None:
        self._pacer = pacer
        self._databases = databases
        self._updates = updates
        self._facts = facts
        look = ProcessSample if facts.sees_requests else DatabaseSample
        pacer.sees_requests = facts.sees_requests
        pacer.switchback.look_s = PERIOD_S[look]
        self._own_transactions: float | None = None
        # The last counts by database, and those that changed since the last sum of all.
        self._counted: dict[str, float] = {}
        self._transactions: dict[str, float] = {}
        # Total time and number of our queries per database, and the databases with a new answer.
        self._questions: dict[str, tuple[float, float]] = {}
        self._answered: set[str] = set()

    def process(self, sample: ProcessSample) -> None:
        """Take a sample of the process. The signal sets have it already."""
        self._own_transactions = sample.pool_waits
        at_work = working(self._databases, self._updates)
        self._look_for_clients(sample)
        is_open = (database for database in self._databases.values() if database.is_open)
        soft = controller.highest([database.signal_set.soft(sample.at_s) for database in is_open])
        self._pacer.look(
            sample.at_s,
            sample.responses if self._facts.sees_requests else None,
            max(sample.timer_late_s, 0.0),
            soft,
            [update.worker for update in at_work.values() if update.is_adaptive],
        )

    def _look_for_clients(self, sample: ProcessSample) -> None:
        if not self._facts.sees_requests:
            self._pacer.activity.look(sample.at_s, None, 0)
        elif sample.requests_answered is not None:
            # Also during a batch, when no decision is made: a batch may last for hours.
            active, answered = sample.active_requests, sample.requests_answered
            self._pacer.activity.look(sample.at_s, active, answered)

    def database(self, name: str, sample: DatabaseSample) -> None:
        """Take a sample of a database: lock waits, and clients if requests are unknown."""
        at_work = working(self._databases, self._updates)
        if name in at_work and at_work[name].batch.start_s is not None:
            at_work[name].batch.look(sample)
        if self._facts.sees_requests:
            return
        self._count(name, sample)
        if sample.query_s is not None and name in at_work:
            # Each database is compared with itself, once all of them have answered in this period.
            total_s, count = self._questions.get(name, (0.0, 0))
            self._questions[name] = (total_s + sample.query_s, count + 1)
            self._answered.add(name)
            if at_work.keys() <= self._answered:
                self._pacer.switchback.look(sample.at_s, self._questions)
                self._answered.clear()

    def _count(self, name: str, sample: DatabaseSample) -> None:
        """Add up the transactions of all databases, from samples that are close in time."""
        # This process counts its own transactions over all databases, so the total must cover all
        # too. A count that did not change is outdated, because our query is a transaction itself.
        # To use it would look like a time without clients.
        counted = sample.transactions
        own = self._own_transactions
        if counted is None or own is None or counted == self._counted.get(name):
            return
        self._counted[name] = self._transactions[name] = counted
        if self._facts.databases <= self._transactions.keys():
            total = sum(self._transactions.values())
            self._pacer.activity.look_at_transactions(sample.at_s, total, own)
            self._transactions.clear()
