"""The decision for one iteration.

Pure: the time, and what is known of the server, are arguments. Two clocks: `now_s` is monotonic
and measures, `wall_s` is seconds since the epoch and is read by the windows.
"""

from synapse_bgthrottle import adaptive, batch_accounting, holds, next_batch
from synapse_bgthrottle.adaptive import Going, Pacer
from synapse_bgthrottle.board import Board
from synapse_bgthrottle.config import Config
from synapse_bgthrottle.decision import Cause, Conditions, Decision, Verdict
from synapse_bgthrottle.failures import FailureKind
from synapse_bgthrottle.idle_time import LockWait, Standstill
from synapse_bgthrottle.levers import Lever, Levers
from synapse_bgthrottle.limits import (
    Adaptive,
    DutyCycle,
    Limits,
    Pace,
    Rule,
    Settings,
)
from synapse_bgthrottle.observing import Observer, is_measured, working
from synapse_bgthrottle.signals.samples import DatabaseSample, ProcessSample, Sample
from synapse_bgthrottle.state import DatabaseState, Facts, UpdateState
from synapse_bgthrottle.update_limits import UpdateLimits

# In a row, in one database.
FAILURES_UNTIL_ABORT = 5


class Throttle:
    """Decides for every iteration of every update of every database.

    Attributes:
        databases: state by name of database.
        updates: state by name of database and name of update.
        levers: what administrators did by hand; None: it is to be read yet, and holds everything.
        pacer: what they share.
    """

    def __init__(self, config: Config, server: Settings, facts: Facts | None = None) -> None:
        """`server` is what the administrator set in the server's own configuration."""
        self.databases: dict[str, DatabaseState] = {}
        self.updates: dict[tuple[str, str], UpdateState] = {}
        self.levers: Levers | None = Levers()
        self.pacer = Pacer()
        self._config = config
        self._facts = facts or Facts()
        self._limits = UpdateLimits(config, server)
        self._observer = Observer(self.pacer, self._facts)

    def limits_of(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> tuple[Rule | None, Limits]:
        """The first matching rule, and the limits of an update, by the configuration alone."""
        return self._limits.of(update_name, database_name, one_shot)

    def begin(self, database_name: str, update_name: str, one_shot: bool, now_s: float) -> None:
        """An iteration of this update is about to be decided."""
        key = (database_name, update_name)
        if key not in self.updates:  # matching is done once, however many rules there are
            self.updates[key] = self._limits.new_state(
                update_name, database_name, one_shot, self._facts.sees_requests
            )
        if database_name not in self.databases:
            board = Board(
                self._config.signals.thresholds,
                self._facts.cores,
                is_sqlite=database_name in self._facts.sqlite_databases,
            )
            # Whole from the first moment: its update is known wherever it is.
            self.databases[database_name] = DatabaseState(now_s, board, update_name=update_name)
        database = self.databases[database_name]
        database.is_open = True
        if database.update_name != update_name or database.has_ended:
            # It has come to the head of the queue, perhaps again.
            database.update_name, database.has_ended = update_name, False
            self.updates[key].held_since_s.clear()
            self.updates[key].calm_since_s = None
            self.updates[key].released = False
            self.updates[key].let_go_by = self.updates[key].went_by = frozenset()
            self.pacer.comparison.restart(now_s)
        if database.failures >= FAILURES_UNTIL_ABORT:
            database.failures = 0  # somebody has started Synapse's loop anew, which forgot them too

    def observe(self, database_name: str | None, sample: Sample) -> None:
        """A sample has been taken, of one database or (None) of what all have in common."""
        is_of_update = not (isinstance(sample, DatabaseSample) and sample.is_of_clients)
        for name, database in self.databases.items():
            if is_of_update and database_name in (None, name):
                database.board.observe(sample)
        if isinstance(sample, ProcessSample):
            self._observer.process(sample, self.databases, self.updates)
        elif isinstance(sample, DatabaseSample) and database_name is not None:
            self._observer.database(database_name, sample, self.databases, self.updates)

    def decide(self, database_name: str, update_name: str, at: Conditions) -> Decision:
        """Whether the batch may run now, or why not; to be asked again after `wait_s` at most.

        The causes in order of precedence: the server's switch, a silent database, a pause, a
        failure, an approval that is not given, a closed window, a closed budget; before a one-shot,
        pressures that are not low; somebody who waits for us; then whichever of pace, rate and
        comparison waits longest, and at last the requests in flight.
        """
        database = self.databases[database_name]
        update = self.updates[database_name, update_name]
        self._limits.apply(self.levers, update_name, database_name, update, at.wall_s)
        if update.is_adaptive:
            self.pacer.presence.look(at.now_s, at.active_requests, at.requests_answered)
        holds.note_openings(database, update, at)
        target_ms = update.limits.target_duration_ms
        verdict = (
            holds.by_server(at)
            or holds.by_levers(update, at)
            or holds.by_failure(database, at)
            or holds.by_approval(update, at)
            or holds.by_limits(database, update, at)
            or holds.by_calm(update, self.pacer, at)
            or next_batch.by_panic(database, at)
        )
        if verdict is None:  # a comparison that goes on while nothing may run would tell nothing
            going = self._going(database_name, update, at.now_s)
            target_ms = going.target_ms
            update.duty_ratio = _duty_ratio(update.limits.pace, going)
            verdict = next_batch.by_spacing(database, update, going, at)
        holds.note_calm(update, verdict, at)
        holds.note_releases(update, verdict, at)
        decision = next_batch.decided(update, verdict, target_ms, database.failures)
        update.note(decision, at.now_s)
        return decision

    def explain(
        self, database_name: str, update_name: str, one_shot: bool, at: Conditions
    ) -> tuple[UpdateState, list[Verdict]]:
        """An update as it is, or would be if it came now, and all that would hold it."""
        update = self.updates.get((database_name, update_name))
        if update is None:
            update = self._limits.new_state(
                update_name, database_name, one_shot, self._facts.sees_requests
            )
        self._limits.apply(self.levers, update_name, database_name, update, at.wall_s)
        database = self.databases.get(database_name)
        verdicts = [holds.by_server(at), holds.by_levers(update, at)]
        if database is not None:
            verdicts.append(holds.by_failure(database, at))
        verdicts += [holds.by_approval(update, at), holds.by_windows(update, at)]
        if database is not None:
            head = self.updates.get((database_name, database.update_name))
            if is_measured(database, head):
                verdicts.append(holds.by_budgets(database, update, at))
            verdicts.append(holds.by_calm(update, self.pacer, at))
        is_first = database is not None and database.update_name == update_name
        return update, [
            verdict
            for verdict in verdicts
            if verdict is not None and not holds.is_let_go(update, verdict, at, is_first=is_first)
        ]

    def batch_items(self, database_name: str, update_name: str) -> tuple[int, int]:
        """Size of the batch where Synapse has counted no item yet, and least size of any other."""
        update = self.updates.get((database_name, update_name))
        if update is None or update.decision is None:
            _, limits = self.limits_of(update_name, database_name, one_shot=False)
            return limits.default_batch_items, limits.min_batch_items
        return update.decision.first_batch_items, update.decision.min_batch_items

    def is_held(self, database_name: str) -> bool:
        """Whether something holds the database's update now."""
        update = self.updates[database_name, self.databases[database_name].update_name]
        return update.decision is not None and update.decision.cause.is_hold

    def goes_on(self, database_name: str, update_name: str) -> bool:
        """Whether this update is under way, and nothing holds it."""
        database = self.databases.get(database_name)
        return (
            database is not None
            and (database.is_open and database.update_name == update_name)
            and not self.is_held(database_name)
        )

    def waited(self, database_name: str, update_name: str, cause: Cause, wait_s: float) -> None:
        """An iteration waited this long for this cause."""
        waited_s = self.updates[database_name, update_name].waited_s
        waited_s[cause] = waited_s.get(cause, 0.0) + wait_s

    def start(self, database_name: str, update_name: str, now_s: float) -> None:
        """The batch that was decided starts."""
        update = self.updates[database_name, update_name]
        update.batch_start_s, update.calm_since_s = now_s, None
        update.went_by |= update.let_go_by
        update.lock_wait, update.standstill = LockWait(now_s), Standstill(now_s)
        self.pacer.comparison.works(database_name, now_s)

    def leave(self, database_name: str) -> None:
        """The iteration was cancelled: the server ends."""
        self.databases[database_name].is_open = False

    def loop_ends(self, database_name: str) -> None:
        """Updates were disabled: Synapse's next loop counts failures in a row from none."""
        self.databases[database_name].failures = 0

    def ended(self, database_name: str, update_name: str) -> None:
        """An update has left the queue: should it come again, it is new."""
        database = self.databases[database_name]
        if database.update_name == update_name:  # or else another one has begun
            database.has_ended = True

    def delayed(self, database_name: str, update_name: str) -> None:
        """A batch that was due waits for the database's answer."""
        if self.updates[database_name, update_name].is_adaptive:
            self.pacer.comparison.delayed()

    def went_by(self, release: Lever) -> bool:
        """Whether its update had a batch while it was in force."""
        if release.database is None:
            return False
        update = self.updates.get((release.database, release.update))
        return update is not None and release.lever_id in update.went_by

    def finish(
        self, database_name: str, update_name: str, now_s: float, items: int | None, failed: bool
    ) -> None:
        """The batch ended; `items` is what it did, as far as that is known."""
        database = self.databases[database_name]
        update = self.updates[database_name, update_name]
        comparison = self.pacer.comparison
        comparison.worked(database_name, now_s)
        database.hushed_s = comparison.hushed_s(now_s)
        if update.idle_s(now_s):
            comparison.forget(now_s)  # clients may have waited for the same
        batch_accounting.settle(database, update, self.pacer.presence, now_s, items, failed=failed)

    def failed(
        self,
        database_name: str,
        update_name: str,
        wall_s: float,
        message: str,
        kind: FailureKind = FailureKind.OTHER,
    ) -> None:
        """Why the batch that ended failed."""
        self.databases[database_name].failure_kind = kind
        update = self.updates[database_name, update_name]
        update.failures += 1
        update.last_failure, update.last_failure_wall_s = message, wall_s

    def _going(self, database_name: str, update: UpdateState, now_s: float) -> Going:
        limits, target_ms = update.limits, update.limits.target_duration_ms
        if not update.is_adaptive:
            return Going(1.0, 1.0, 1.0, target_ms, 0.0, 0.0, str(limits.pace))
        if database_name in self._facts.sqlite_databases:
            target_ms = min(target_ms, adaptive.SQLITE_TARGET_MS)
        sharers = max(len(working(self.databases, self.updates)), 1)
        batch_s = (self.databases[database_name].batch_s or 0.0) if update.batches else 0.0
        going = self.pacer.go(limits, target_ms, update.harm, now_s, sharers, batch_s)
        if going.result is not None:
            for learner in working(self.databases, self.updates).values():
                harm, result = learner.harm, going.result
                if learner.is_adaptive and harm.tried_effort:
                    harm.learn(now_s, harm.tried_effort, result.difference, result.variance)
        return going


def _duty_ratio(pace: Pace, going: Going) -> float | None:
    if isinstance(pace, Adaptive):
        return going.ratio
    return pace.ratio if isinstance(pace, DutyCycle) else None
