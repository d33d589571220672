"""What samples tell the adaptive pace: who is there, how late we are, what is short. Pure."""

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
        and update.decided.hold is None
    }


def is_measured(database: DatabaseState, head: UpdateState | None) -> bool:
    """Whether anybody looks at the signals; if not, all that is configured is stale.

    `head` is the update at the head of the queue.
    """
    cause = None if head is None else head.decided.cause
    return database.is_open and cause is not None and not cause.is_unmeasured


class Observer:
    """Hands samples to the pacer."""

    def __init__(self, pacer: Pacer, facts: Facts) -> None:
        self._pacer = pacer
        self._facts = facts
        look = ProcessSample if facts.sees_requests else DatabaseSample
        pacer.sees_requests = facts.sees_requests
        pacer.switchback.look_s = PERIOD_S[look]
        self._own_transactions: float | None = None
        # As last counted; and of databases whose count has moved since all of them were added up.
        self._counted: dict[str, float] = {}
        self._transactions: dict[str, float] = {}
        # The database's time for our questions, and how many there were; and whose are new.
        self._questions: dict[str, tuple[float, float]] = {}
        self._answered: set[str] = set()

    def process(
        self,
        sample: ProcessSample,
        databases: Mapping[str, DatabaseState],
        updates: Mapping[UpdateKey, UpdateState],
    ) -> None:
        """What was seen of the process; the signal sets have it already."""
        self._own_transactions = sample.pool_waits
        at_work = working(databases, updates)
        self._look_for_clients(sample)
        signal_sets = [database.signal_set for database in databases.values() if database.is_open]
        soft = controller.highest([signal_set.soft(sample.at_s) for signal_set in signal_sets])
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
            # Amid a batch too, when nobody decides anything: it may last for hours.
            active, answered = sample.active_requests, sample.requests_answered
            self._pacer.activity.look(sample.at_s, active, answered)

    def database(
        self,
        name: str,
        sample: DatabaseSample,
        databases: Mapping[str, DatabaseState],
        updates: Mapping[UpdateKey, UpdateState],
    ) -> None:
        """What was seen of a database: its batch's lock; and who is there, if no request can be."""
        at_work = working(databases, updates)
        if name in at_work and at_work[name].batch.start_s is not None:
            at_work[name].batch.look(sample)
        if self._facts.sees_requests:
            return
        self._count(name, sample)
        if sample.query_s is not None and name in at_work:
            # Each compared with itself, and all of them looked at once in a period.
            total_s, count = self._questions.get(name, (0.0, 0))
            self._questions[name] = (total_s + sample.query_s, count + 1)
            self._answered.add(name)
            if at_work.keys() <= self._answered:
                self._pacer.switchback.look(sample.at_s, self._questions)
                self._answered.clear()

    def _count(self, name: str, sample: DatabaseSample) -> None:
        """Add up the transactions of all databases, from looks that were close to each other."""
        # What this process does is counted for all of them together, so theirs is too. Our look is
        # a transaction itself: a count that has not moved since the last one stands still, and read
        # as it is, it would tell that nobody is there.
        counted = sample.transactions
        own = self._own_transactions
        if counted is None or own is None or counted == self._counted.get(name):
            return
        self._counted[name] = self._transactions[name] = counted
        if self._facts.databases <= self._transactions.keys():
            total = sum(self._transactions.values())
            self._pacer.activity.look_at_transactions(sample.at_s, total, own)
            self._transactions.clear()
