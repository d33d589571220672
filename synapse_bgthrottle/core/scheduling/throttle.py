"""The decision for one iteration.

Pure: time and facts about the server are arguments. There are two clocks. `now_s` is monotonic and
measures durations. `wall_s` is seconds since the epoch, for windows and levers.
"""

import attrs

from synapse_bgthrottle.core.adaptive import controller
from synapse_bgthrottle.core.adaptive.controller import Going, Pacer
from synapse_bgthrottle.core.adaptive.effort import Impact
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, Limits, Pace, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, Levers, UpdateKey
from synapse_bgthrottle.core.scheduling import holds, next_batch
from synapse_bgthrottle.core.scheduling.batch_cost import (
    LONGEST_BATCH_S,
    LONGEST_SQLITE_BATCH_S,
    BatchCost,
)
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision, Verdict
from synapse_bgthrottle.core.scheduling.effective_limits import IN_ONE_GO, UpdateLimits
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.holds import Case, Ruling
from synapse_bgthrottle.core.scheduling.idle_time import LockWait, Standstill, work_s
from synapse_bgthrottle.core.scheduling.state import BatchClock, DatabaseState, Facts, UpdateState
from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from synapse_bgthrottle.core.signals.signal import PERIOD_S
from synapse_bgthrottle.core.signals.signal_set import SignalSet

# Failures in a row in one database, after which Synapse gives up.
FAILURES_UNTIL_ABORT = 5


class Throttle:
    """Decides for every iteration of every update of every database."""

    def __init__(self, config: Config, server: Settings, facts: Facts | None = None) -> None:
        """`server` has the settings of Synapse's own configuration."""
        self.databases: dict[str, DatabaseState] = {}
        self.updates: dict[UpdateKey, UpdateState] = {}
        self.levers: Levers | None = Levers()  # None: not read yet, which holds every update
        self.pacer = Pacer()  # all updates share it
        self._config = config
        self._facts = facts or Facts()
        self.limits = UpdateLimits(config, server)  # of any update, pending or not
        self._learned: dict[UpdateKey, tuple[BatchCost, Impact]] = {}
        look = ProcessSample if self._facts.sees_requests else DatabaseSample
        self.pacer.sees_requests = self._facts.sees_requests
        self.pacer.switchback.look_s = PERIOD_S[look]
        self._own_transactions: float | None = None
        # The last counts by database, and those that changed since the last sum of all.
        self._counted: dict[str, float] = {}
        self._transactions: dict[str, float] = {}
        # Total time and number of our queries per database, and the databases with a new answer.
        self._questions: dict[str, tuple[float, float]] = {}
        self._answered: set[str] = set()

    def begin(self, database_name: str, update_name: str, one_shot: bool, now_s: float) -> None:
        """An iteration of this update begins. Call it before `decide`."""
        key = (database_name, update_name)
        if key not in self.updates:  # rules are matched only once per update
            self.updates[key] = self.new_state(key, one_shot)
        if database_name not in self.databases:
            is_sqlite = database_name in self._facts.sqlite_databases
            thresholds, cores = self._config.signals.thresholds, self._facts.cores
            # Complete at once: other code looks up the update of every database here.
            self.databases[database_name] = DatabaseState(
                now_s,
                SignalSet(thresholds, cores, is_sqlite=is_sqlite),
                LONGEST_SQLITE_BATCH_S if is_sqlite else LONGEST_BATCH_S,
                update_name=update_name,
            )
        database = self.databases[database_name]
        if database.begin(update_name):
            update = self.updates[key]
            update.holds.since_s.clear()
            update.holds.has_outlasted = False
            update.releases_in_force = update.releases_used = frozenset()
            self.pacer.switchback.leave_out()
        if database.failures >= FAILURES_UNTIL_ABORT:
            database.failures = 0  # Synapse's loop was started again

    def observe(self, database_name: str | None, sample: Sample) -> None:
        """Take a sample of one database, or (None) one that concerns all databases."""
        is_of_update = not (isinstance(sample, DatabaseSample) and sample.is_of_clients)
        for name, database in self.databases.items():
            if is_of_update and database_name in (None, name):
                database.signal_set.observe(sample)
        if isinstance(sample, ProcessSample):
            self._observe_process(sample)
        elif isinstance(sample, DatabaseSample) and database_name is not None:
            self._observe_database(database_name, sample)

    def _working(self) -> dict[str, UpdateState]:
        """The updates that are not held, by database."""
        return {
            name: update
            for name, database in self.databases.items()
            if database.is_open
            and (update := self.updates[name, database.update_name])
            and update.hold is None
        }

    def _observe_process(self, sample: ProcessSample) -> None:
        """Tell the pace of active clients and pressures. The signal sets have the sample."""
        self._own_transactions = sample.pool_waits
        sees_requests, activity = self._facts.sees_requests, self.pacer.activity
        if not sees_requests:
            activity.look(sample.at_s, None, 0)
        elif sample.requests_answered is not None:
            # Also during a batch, when no decision is made: a batch may last for hours.
            activity.look(sample.at_s, sample.active_requests, sample.requests_answered)
        is_open = (database for database in self.databases.values() if database.is_open)
        self.pacer.look(
            sample.at_s,
            sample.responses if sees_requests else None,
            max(sample.timer_late_s, 0.0),
            controller.highest([database.signal_set.soft(sample.at_s) for database in is_open]),
            [update.worker for update in self._working().values() if update.is_adaptive],
        )

    def _observe_database(self, name: str, sample: DatabaseSample) -> None:
        """Take lock waits, and clients where their requests are not seen."""
        at_work = self._working()
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
                self.pacer.switchback.look(sample.at_s, self._questions)
                self._answered.clear()

    def _count(self, name: str, sample: DatabaseSample) -> None:
        """Add up the transactions of all databases, from samples that are close in time."""
        # This process counts its own transactions over all databases, so the total must cover all
        # too. A count that did not change is outdated, because our query is a transaction itself.
        # To use it would look like a time without clients.
        counted, own = sample.transactions, self._own_transactions
        if counted is None or own is None or counted == self._counted.get(name):
            return
        self._counted[name] = self._transactions[name] = counted
        if self._facts.databases <= self._transactions.keys():
            total = sum(self._transactions.values())
            self.pacer.activity.look_at_transactions(sample.at_s, total, own)
            self._transactions.clear()

    def decide(self, database_name: str, update_name: str, at: Conditions) -> Decision:
        """Whether the batch may run now, or why not. Ask again after `wait_s` at most.

        The first rule of `holds.PRECEDENCE` that holds the update decides. Then come panic, the
        longest of pace, rate and experiment, and last a gap between requests.
        """
        database = self.databases[database_name]
        update = self.updates[database_name, update_name]
        key = (database_name, update_name)
        self.limits.refresh(update, key, self.levers, at.wall_s)
        if update.is_adaptive:
            self.pacer.activity.look(at.now_s, at.active_requests, at.requests_answered)
        target_ms: float = update.limits.target_duration_ms
        held_by = holds.first_hold(Case(update, database, self.pacer, at), database)
        verdict = held_by or next_batch.by_panic(database, at)
        # an experiment must not run while the update is held: it would measure nothing
        if verdict is None:
            going = self._going(database_name, update, at.now_s)
            target_ms = going.target_ms
            update.duty_ratio = _duty_ratio(update.limits.pace, going)
            verdict = next_batch.by_spacing(database, update, going, at)
        holds.note_wait_for_pressures(update, verdict, at)
        holds.note_releases(update, verdict, at)
        decision = next_batch.decided(database, update, verdict, target_ms)
        update.note(decision, at.now_s)
        return decision

    def explain(
        self, database_name: str, update_name: str, one_shot: bool, at: Conditions
    ) -> tuple[UpdateState, list[Verdict]]:
        """The update, as it is or as it would be if it came now, and all its holds."""
        key = (database_name, update_name)
        if key in self.updates:
            update = self.as_of(key, at.wall_s)
        else:
            update = self.new_state(key, one_shot)
            self.limits.refresh(update, key, self.levers, at.wall_s)
        database = self.databases.get(database_name)
        is_first = is_looked_at = False
        if database is not None:
            is_first = database.update_name == update_name
            head = self.updates.get((database_name, database.update_name))
            is_looked_at = database.is_measured(head)
        case = Case(update, database, self.pacer, at, is_first, is_looked_at)
        return update, [said for said, ruling in holds.rulings(case) if ruling is Ruling.HOLDS]

    def as_of(self, key: UpdateKey, wall_s: float) -> UpdateState:
        """A copy of a known update, with the limits that apply at this moment."""
        update = attrs.evolve(self.updates[key])
        self.limits.refresh(update, key, self.levers, wall_s)
        return update

    def recall(self, key: UpdateKey, cost: BatchCost, impact: Impact) -> None:
        """This was learned of an update before the server was started."""
        self._learned[key] = cost, impact
        update = self.updates.get(key)
        if update is not None and not update.totals.batches:
            update.cost, update.impact = cost, impact

    def new_state(self, key: UpdateKey, one_shot: bool) -> UpdateState:
        """The state of an update that comes for the first time. `one_shot` is Synapse's flag."""
        database_name, update_name = key
        one_shot = one_shot or update_name in IN_ONE_GO
        rule, limits = self.limits.of(update_name, database_name, one_shot)
        cost, impact = self._learned.get(key) or (BatchCost(), Impact())
        return UpdateState(limits, one_shot, rule=rule, cost=cost, impact=impact)

    def batch_items(self, database_name: str, update_name: str) -> int:
        """Size of the batch that was decided; of a first one, if none was."""
        update = self.updates.get((database_name, update_name))
        if update is None or update.decision is None:
            _, limits = self.limits.of(update_name, database_name, one_shot=False)
            return limits.default_batch_items
        return update.decision.items

    def is_held(self, database_name: str) -> bool:
        """Whether something holds the database's current update."""
        update = self.updates[database_name, self.databases[database_name].update_name]
        return update.hold is not None

    def waited(self, database_name: str, update_name: str, cause: Cause, wait_s: float) -> None:
        """An iteration waited `wait_s` for this cause."""
        waited_s = self.updates[database_name, update_name].totals.waited_s
        waited_s[cause] = waited_s.get(cause, 0.0) + wait_s

    def start(self, database_name: str, update_name: str, now_s: float) -> None:
        """The batch starts."""
        update = self.updates[database_name, update_name]
        update.batch = BatchClock(now_s, LockWait(now_s), Standstill(now_s))
        update.holds.since_s.pop(Cause.CALM, None)
        update.releases_used |= update.releases_in_force
        self.pacer.switchback.works(database_name, now_s)

    def leave(self, database_name: str) -> None:
        """The iteration was cancelled, because the server shuts down."""
        self.databases[database_name].is_open = False

    def loop_ends(self, database_name: str) -> None:
        """Synapse's loop ended or gave up. The next one counts failures in a row from zero."""
        database = self.databases.get(database_name)
        if database is not None:
            database.failures = 0

    def ended(self, database_name: str, update_name: str) -> None:
        """This update left the queue. If it comes again, it counts as new."""
        database = self.databases[database_name]
        if database.update_name == update_name:  # otherwise another update has begun already
            database.has_ended = True

    def good_batches(self, database_name: str) -> int:
        """Number of batches that ended without failure."""
        return sum(
            update.totals.batches - update.totals.failures
            for (name, _), update in self.updates.items()
            if name == database_name
        )

    def has_used(self, release: Lever) -> bool:
        """Whether the release's update had a batch while the release was in force."""
        update = self.updates.get((release.database or "", release.update))
        return update is not None and release.lever_id in update.releases_used

    def uses(self, release: Lever) -> bool:
        """Whether its update had such a batch, or is in an iteration that nothing holds."""
        update = self._working().get(release.database or "")
        key = (release.database or "", release.update)
        return (update is not None and update is self.updates.get(key)) or self.has_used(release)

    def finish(
        self, database_name: str, update_name: str, now_s: float, items: int | None, failed: bool
    ) -> None:
        """The batch ended. `items` is what it did; None: unknown."""
        database = self.databases[database_name]
        update = self.updates[database_name, update_name]
        self.pacer.switchback.worked(database_name, now_s)
        if update.batch.idle_s(now_s):
            self.pacer.switchback.forget()  # clients may have been slow for the same reason
        self._account(database, update, now_s, items, failed)

    def _account(
        self,
        database: DatabaseState,
        update: UpdateState,
        end_s: float,
        items: int | None,
        failed: bool,
    ) -> None:
        """Account for a batch that ended at `end_s`, and learn from it."""
        start_s, update.batch.start_s = update.batch.start_s, None
        took_s = 0.0 if start_s is None else max(end_s - start_s, 0.0)
        idle_s = update.batch.idle_s(end_s)
        worked_s = work_s(took_s, idle_s, update.limits.target_duration_ms)
        database.batch_ended(end_s, worked_s, failed=failed)
        # The limits may be others than when the batch was decided.
        asked_items = update.decision.items if update.decision is not None else 0
        # Some handlers do more than they are asked to, and some say less than they did.
        update.charged_items = 0 if update.one_shot else max(items or 0, asked_items)
        update.charged_s = end_s if start_s is None else start_s
        # Idle time is not measured to the millisecond: after a long one, the rest is mostly error.
        teaches = not failed and start_s is not None and idle_s <= worked_s
        if teaches and asked_items and not update.one_shot:
            update.cost.record(asked_items, worked_s)
            self._compare_with_quiet(database, update, end_s, worked_s)
        if update.impact.is_measured:
            done = items
            if items is None and not update.one_shot:
                done = 0 if failed else asked_items
            update.impact.current.did(done, worked_s)
        totals = update.totals
        totals.batches += 1
        totals.items += items or 0
        totals.batch_s += worked_s
        totals.last_batch_s = took_s

    def _compare_with_quiet(
        self, database: DatabaseState, update: UpdateState, now_s: float, worked_s: float
    ) -> None:
        items, quiet = update.cost.last_items, update.quiet_cost
        if self.pacer.activity.is_quiet(now_s, update.profile.quiet_after_s):
            quiet.record(items, worked_s)
        elif quiet.batches:
            slowdown = worked_s / quiet.expected_s(items)
            database.signal_set.observe(BatchSample(at_s=now_s, slowdown=slowdown))

    def failed(
        self,
        database_name: str,
        update_name: str,
        wall_s: float,
        message: str,
        kind: FailureKind = FailureKind.OTHER,
    ) -> None:
        """Record why the last batch failed."""
        self.databases[database_name].failure_kind = kind
        totals = self.updates[database_name, update_name].totals
        totals.failures += 1
        totals.last_failure, totals.last_failure_s = message, wall_s

    def _going(self, database_name: str, update: UpdateState, now_s: float) -> Going:
        limits, target_ms = update.limits, update.limits.target_duration_ms
        if not update.is_adaptive:
            return Going(1.0, target_ms, str(limits.pace))
        # A target duration below the default is always kept.
        fixed_s = update.cost.fixed_s if target_ms >= Limits().target_duration_ms else 0.0
        if database_name in self._facts.sqlite_databases:
            target_ms, fixed_s = min(target_ms, controller.SQLITE_TARGET_MS), 0.0
        others = self._working().values()
        # A running one-shot ignores the moments of an experiment, so it gets no share of them.
        at_work = [u.worker for u in others if u.is_adaptive and not u.one_shot and u is not update]
        at_work.insert(0, update.worker)
        going = self.pacer.go(update.worker, at_work, target_ms, now_s, fixed_s)
        update.impact.is_measured = going.is_experiment
        return going


def _duty_ratio(pace: Pace, going: Going) -> float | None:
    if isinstance(pace, Adaptive):
        return going.ratio / going.sharers
    return pace.ratio if isinstance(pace, DutyCycle) else None
