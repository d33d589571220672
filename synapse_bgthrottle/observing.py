"""What samples tell the adaptive pace: who is there, how late we are, what is short. Pure."""

import math
from collections.abc import Mapping

from synapse_bgthrottle import adaptive
from synapse_bgthrottle.adaptive import Pacer
from synapse_bgthrottle.seen_week import answered
from synapse_bgthrottle.signals.samples import DatabaseSample, ProcessSample
from synapse_bgthrottle.signals.signal import PERIOD_S
from synapse_bgthrottle.state import DatabaseState, UpdateState

UpdateKey = tuple[str, str]


def working(
    databases: Mapping[str, DatabaseState], updates: Mapping[UpdateKey, UpdateState]
) -> list[tuple[DatabaseState, UpdateState]]:
    """The databases whose update is not held, with it."""
    return [
        (database, update)
        for name, database in databases.items()
        if database.is_open
        and (update := updates[name, database.update_name])
        and not (update.decision is not None and update.decision.cause.is_hold)
    ]


class Observer:
    """Hands samples to the pacer."""

    def __init__(self, pacer: Pacer, *, sees_requests: bool) -> None:
        self._pacer = pacer
        self._sees_requests = sees_requests
        look = ProcessSample if sees_requests else DatabaseSample
        pacer.comparison.look_s = PERIOD_S[look]
        self._own_transactions: float | None = None
        self._transactions: dict[str, float] = {}
        self._looked_s = -math.inf

    def process(
        self,
        sample: ProcessSample,
        databases: Mapping[str, DatabaseState],
        updates: Mapping[UpdateKey, UpdateState],
    ) -> None:
        """What was seen of the process; the boards have it already."""
        self._own_transactions = sample.pool_waits
        at_work = working(databases, updates)
        for database, update in at_work:
            ran = update.batch_start_s is not None or database.batch_end_s >= self._looked_s
            level = database.board.levels.get("event_loop_lag")
            if ran and level is not None and level.value is not None:
                update.harm.learn_lag(level.value / level.threshold)
        self._looked_s = sample.at_s
        boards = [database.board for database in databases.values() if database.is_open]
        if not any(
            updates[name, database.update_name].is_adaptive
            for name, database in databases.items()
            if database.is_open
        ):
            # Nobody asks before each batch then, but who is there is remembered all the same.
            sees = self._sees_requests and sample.responses is not None
            self._pacer.presence.look(sample.at_s, 0 if sees else None, answered(sample))
        soft = adaptive.highest([board.soft(sample.at_s) for board in boards])
        paced = [update for _, update in at_work if update.is_adaptive]
        self._pacer.look(
            sample.at_s,
            sample.responses if self._sees_requests else None,
            max(sample.timer_late_s, 0.0),
            soft,
            indulgence=min((update.harm.effort for update in paced), default=1.0),
            least_ratio=min((update.limits.min_duty_ratio for update in paced), default=0.0),
            quiet_after_s=min((update.profile.quiet_after_s for update in paced), default=0.0),
        )

    def database(self, database_name: str, sample: DatabaseSample, update: UpdateState) -> None:
        """What was seen of a database: its batch's lock; and who is there, if no request can be."""
        if update.batch_start_s is not None:
            update.lock_wait.look(sample)
        if self._sees_requests:
            return
        if sample.transactions is not None and self._own_transactions is not None:
            # What this process does is counted for all databases together, so theirs is too.
            self._transactions[database_name] = sample.transactions
            self._pacer.presence.look_at_transactions(
                sample.at_s, sum(self._transactions.values()), self._own_transactions
            )
        if sample.query_s is not None:
            self._pacer.look_at_question(sample.at_s, sample.query_s)
