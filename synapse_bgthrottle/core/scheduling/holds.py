"""What holds an update: one list of rules, in order of precedence. Pure.

The rules only look; `first_hold` also records since when the update is held.
"""

import enum
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import attrs

from synapse_bgthrottle.core.adaptive.controller import LOW_PRESSURE, Pacer
from synapse_bgthrottle.core.config import windows
from synapse_bgthrottle.core.levers.lever import LeverKind
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Verdict
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.units import format_duration_ms

# Wait after the first, second, ... failed iteration in a row. The last value repeats.
BACKOFF_S = (5.0, 15.0, 30.0, 60.0)
# For failures that others cause and end, such as a dump of the whole database or a failover.
# Synapse gives up at the fifth failure in a row; these waits delay that to 13 minutes after the
# first.
PASSING_BACKOFF_S = (5.0, 60.0, 240.0, 480.0)
BACKOFFS_S = {
    kind: PASSING_BACKOFF_S if kind.is_passing or kind is FailureKind.IO else BACKOFF_S
    for kind in FailureKind
} | {
    # The disk has free space again, or no batch would be tried. But the update needs more than
    # that, and fills the disk at each try. Synapse gives up after the fifth failure in a row.
    FailureKind.DISK_FULL: (5.0, 60.0, 600.0, 3600.0),
    # First assume a short network fault. If it lasts, the batch itself may be the cause.
    FailureKind.CONNECTION: (5.0, 7.0, 60.0, 600.0),
}

# A one-shot waits no longer than this for calm: a missing index also slows clients down.
CALM_S = 5.0
LONGEST_WAIT_FOR_CALM_S = 3600.0

# How often to check a closed budget or the calm again: about as often as they are measured.
_LOOK_AGAIN_S = 0.5

# How often to check whether the levers have been read.
_SOON_S = 0.02

# Causes after which a wait for calm continues, and does not start from zero.
_PASSING = (Cause.BUDGET, Cause.DATABASE)


@attrs.frozen
class Case:
    """An update at a moment, as the rules see it."""

    update: UpdateState
    database: DatabaseState | None  # its database; None: no update of that database has begun
    pacer: Pacer
    at: Conditions
    is_first: bool = True  # at the head of the queue; only there the time held counts
    is_measured: bool = True  # whether the signals are being measured

    def held_for_s(self, cause: Cause) -> float:
        """How many seconds this cause has held the update at the head of the queue."""
        return self.update.holds.for_s(cause, self.at.now_s) if self.is_first else 0.0

    @property
    def max_hold_s(self) -> float:
        """How long closed windows and budgets may hold it, in seconds."""
        return self.update.limits.max_hold_ms / 1000


class Ruling(enum.Enum):
    """Whether a rule's hold is effective, or why it is not."""

    HOLDS = enum.auto()
    IS_RELEASED = enum.auto()
    HAS_OUTLASTED = enum.auto()


def rulings(case: Case) -> Iterator[tuple[Verdict, Ruling]]:
    """Ask all rules, in order of precedence: what each says, and whether that is effective."""
    for _, _, rule in PRECEDENCE:
        verdict = rule(case)
        if verdict is not None:
            yield verdict, _ruling(case, verdict)


def first_hold(case: Case, database: DatabaseState) -> Verdict | None:
    """The first effective hold; None: nothing holds the update. Records since when it is held."""
    _note_openings(database, case.update, case.at)
    heard = []
    first = None
    for verdict, ruling in rulings(case):
        heard.append((verdict, ruling))
        if ruling is Ruling.HOLDS:
            first = verdict
            break
    if first is None or not first.cause.comes_before(Cause.WINDOW):
        _note(case, heard)
    return None if first is None else _until_max_hold(case, first)


def _until_max_hold(case: Case, verdict: Verdict) -> Verdict:
    """The verdict with its wait limited to what is left of `max_hold`, where `max_hold` applies."""
    if not verdict.may_be_let_go:
        return verdict
    left_s = case.max_hold_s - case.held_for_s(verdict.cause)
    longest = format_duration_ms(case.update.limits.max_hold_ms)
    reason = f"{verdict.reason}; held for {longest} at most"
    return attrs.evolve(verdict, wait_s=min(verdict.wait_s, left_s), reason=reason)


def is_released(update: UpdateState, at: Conditions) -> bool:
    """Whether a release is in force, or allowed an earlier batch of this update."""
    return any(
        lever.kind is LeverKind.RELEASE
        and (lever.is_in_force(at.wall_s) or lever.lever_id in update.releases_used)
        for lever in (update.levers.all if update.levers is not None else ())
    )


def _ruling(case: Case, verdict: Verdict) -> Ruling:
    if not verdict.may_be_let_go:
        return Ruling.HOLDS
    if is_released(case.update, case.at):
        return Ruling.IS_RELEASED
    has_outlasted = case.held_for_s(verdict.cause) >= case.max_hold_s
    return Ruling.HAS_OUTLASTED if has_outlasted else Ruling.HOLDS


def by_switch(case: Case) -> Verdict | None:
    """Synapse's own switch for background updates is off."""
    if case.at.enabled:
        return None
    return Verdict(
        Cause.DISABLED, math.inf, "background updates are switched off by Synapse's own switch"
    )


def by_silence(case: Case) -> Verdict | None:
    """The database does not answer."""
    if case.at.silent_since_s is None:
        return None
    reason = f"the database does not answer: {case.at.complaint}"
    return Verdict(Cause.DATABASE, math.inf, reason)


def by_loading(case: Case) -> Verdict | None:
    """The levers have not been read yet, so the update may be paused."""
    if case.update.levers is not None:
        return None
    reason = "pauses from before the restart are not read yet"
    return Verdict(Cause.LEVERS, _SOON_S, reason)


def by_pause(case: Case) -> Verdict | None:
    """Of the pauses in force, the one that ends last."""
    levers = case.update.levers
    pauses = () if levers is None else levers.in_force(case.at.wall_s, LeverKind.PAUSE)
    if not pauses:
        return None
    last = max(pauses, key=lambda pause: pause.ends_s)
    wait_s = last.ends_s - case.at.wall_s
    return Verdict(Cause.PAUSED, wait_s, f"paused {last.describe()}", subject=last.lever_id)


def backoff_left_s(database: DatabaseState, now_s: float) -> float:
    """Seconds left of the wait after a failure; 0 or less: it is over."""
    if not database.failures:
        return 0.0
    return database.batch_end_s + _backoff_s(database) - now_s


def _backoff_s(database: DatabaseState) -> float:
    backoffs_s = BACKOFFS_S[database.failure_kind]
    return backoffs_s[min(database.failures, len(backoffs_s)) - 1]


def by_failure(case: Case) -> Verdict | None:
    """The wait after a failure."""
    database = case.database
    if database is None or (wait_s := backoff_left_s(database, case.at.now_s)) <= 0:
        return None
    times = "once" if database.failures == 1 else f"{database.failures} times in a row"
    why = f" ({database.failure_kind.value})" if database.failure_kind.value else ""
    next_try = f"next try after {format_duration_ms(_backoff_s(database) * 1000)}"
    return Verdict(Cause.BACKOFF, wait_s, f"failed {times}{why}: {next_try}")


def by_approval(case: Case) -> Verdict | None:
    """An approval is required, and is not given."""
    update = case.update
    if not update.limits.needs_approval or is_released(update, case.at):
        return None
    reason = (
        f"approval is required by {update.rule or 'the configuration'}: release it to let it go"
    )
    return Verdict(Cause.APPROVAL, math.inf, reason)


def by_windows(case: Case) -> Verdict | None:
    """The windows are closed. The caller applies `max_hold`."""
    limits, at = case.update.limits, case.at
    if windows.is_open(limits.windows, limits.time_zone, at.wall_s):
        return None
    opens_s = windows.next_change_s(limits.windows, limits.time_zone, at.wall_s)
    wait_s, opens = math.inf, "not within two weeks"
    if opens_s is not None:
        wait_s = max(opens_s - at.wall_s, 0.001)
        opens = f"{datetime.fromtimestamp(opens_s, limits.time_zone):%a %Y-%m-%d %H:%M %Z}"
    reason = f"windows are closed; next open: {opens}"
    return Verdict(Cause.WINDOW, wait_s, reason, may_be_let_go=True)


def by_budgets(case: Case) -> Verdict | None:
    """A budget is closed. The caller applies `max_hold`."""
    if case.database is None or not case.is_measured:
        return None
    closed = case.database.signal_set.closed(case.at.now_s, one_shot=case.update.one_shot)
    if closed is None:
        return None
    return Verdict(Cause.BUDGET, _LOOK_AGAIN_S, closed.reason, closed.may_be_let_go, closed.subject)


def by_pressures(case: Case) -> Verdict | None:
    """A one-shot with an adaptive pace waits until pressures have been low for some seconds.

    It must wait before it starts: nothing can stop a one-shot that runs.
    """
    update, at = case.update, case.at
    if case.database is None or not _waits_for_pressures(case):
        return None
    soft, low_for_s = case.pacer.soft, case.pacer.calm_for_s(at.now_s)
    if low_for_s >= CALM_S or soft.pressure is None or is_released(update, at):
        return None
    longest_s = min(LONGEST_WAIT_FOR_CALM_S, case.max_hold_s)
    left_s = longest_s - update.holds.for_s(Cause.CALM, at.now_s)
    if left_s <= 0:
        return None
    longest = format_duration_ms(longest_s * 1000)
    now = f"; now {soft.name} is at {soft.pressure:.2f}" if soft.name else ""
    reason = (
        f"waiting for calm before a one-shot: pressures below {LOW_PRESSURE} for {CALM_S:.0f}s,"
        f" {longest} at most{now}"
    )
    return Verdict(Cause.CALM, min(CALM_S - low_for_s, left_s, _LOOK_AGAIN_S), reason)


def _waits_for_pressures(case: Case) -> bool:
    """Whether it is such a one-shot, and clients are active."""
    update, activity, now_s = case.update, case.pacer.activity, case.at.now_s
    if not (update.one_shot and update.is_adaptive) or not update.profile.is_careful:
        return False
    is_quiet = activity.is_quiet(now_s, update.profile.quiet_after_s)
    return not (is_quiet and activity.watched_for_s(now_s) >= CALM_S)


# The texts are those of docs/holds.md. The first rule that holds the update decides; an
# explanation shows all of them.
PRECEDENCE: tuple[tuple[Cause, str, Callable[[Case], Verdict | None]], ...] = (
    (Cause.DISABLED, "the server's switch is off", by_switch),
    (Cause.DATABASE, "the database does not answer", by_silence),
    (Cause.LEVERS, "pauses are not read yet", by_loading),
    (Cause.PAUSED, "a pause", by_pause),
    (Cause.BACKOFF, "the wait after a failure", by_failure),
    (Cause.APPROVAL, "an approval that is not given", by_approval),
    (Cause.WINDOW, "closed windows", by_windows),
    (Cause.BUDGET, "a closed budget", by_budgets),
    (Cause.CALM, "before a one-shot, pressures that are not low", by_pressures),
)

# Those that somebody asked for. They hold even after an error of the module.
ASKED_FOR = tuple(
    (cause, rule)
    for cause, _, rule in PRECEDENCE
    if cause not in (Cause.DATABASE, Cause.BACKOFF, Cause.CALM)
)


def hold_by(case: Case, cause: Cause, rule: Callable[[Case], Verdict | None]) -> Verdict | None:
    """The effective hold by this rule; None: there is none. Records since when it holds."""
    verdict = rule(case)
    if verdict is None:
        case.update.holds.since_s.pop(cause, None)
        return None
    if _ruling(case, verdict) is not Ruling.HOLDS:
        return None
    if verdict.may_be_let_go:
        case.update.holds.since_s.setdefault(cause, case.at.now_s)
    return _until_max_hold(case, verdict)


def _note_openings(database: DatabaseState, update: UpdateState, at: Conditions) -> None:
    """Reset the clocks of windows and budgets that are open, and leave out time without
    measurements."""
    limits, holds = update.limits, update.holds
    if update.cause is not None and update.cause.is_unmeasured:
        # Do not restart the budget's clock: with short windows `max_hold` would never be reached.
        holds.leave_out(Cause.BUDGET, at.now_s - update.decided_s)
    holds.is_window_open = windows.is_open(limits.windows, limits.time_zone, at.wall_s)
    if holds.is_window_open:
        holds.since_s.pop(Cause.WINDOW, None)
    if database.signal_set.closed(at.now_s, one_shot=update.one_shot) is None:
        holds.since_s.pop(Cause.BUDGET, None)
    if not holds.since_s.keys() & {Cause.WINDOW, Cause.BUDGET}:
        holds.has_outlasted = False


def _note(case: Case, heard: Iterable[tuple[Verdict, Ruling]]) -> None:
    """Record the rules' answers, up to the first effective hold."""
    holds, now_s = case.update.holds, case.at.now_s
    if is_released(case.update, case.at):
        holds.has_outlasted = False  # it need not go on slowly
    for verdict, ruling in heard:
        if ruling is Ruling.HAS_OUTLASTED:
            holds.since_s.setdefault(verdict.cause, now_s)
            holds.has_outlasted = True
        elif ruling is Ruling.HOLDS and verdict.may_be_let_go:
            holds.since_s.setdefault(verdict.cause, now_s)
        # `max_hold` does not end this budget's hold, so its time does not count.
        elif ruling is Ruling.HOLDS and verdict.cause is Cause.BUDGET:
            holds.leave_out(verdict.cause, now_s - case.update.decided_s)


def note_releases(update: UpdateState, verdict: Verdict, at: Conditions) -> None:
    """Record the releases in force now: the batch is recorded later, when they may have ended."""
    if verdict.cause is Cause.RUN and update.levers is not None and update.levers.all:
        releases = update.levers.in_force(at.wall_s, LeverKind.RELEASE)
        update.releases_in_force = frozenset(lever.lever_id for lever in releases)


def note_wait_for_pressures(update: UpdateState, verdict: Verdict, at: Conditions) -> None:
    """Record since when a one-shot waits for calm. Most other holds reset that clock.

    A budget or a database that answers late does not reset it, or the wait could last forever. But
    the time that they take does not count.
    """
    if update.cause in _PASSING:
        update.holds.leave_out(Cause.CALM, at.now_s - update.decided_s)
    if verdict.cause is Cause.CALM:
        update.holds.since_s.setdefault(Cause.CALM, at.now_s)
    elif verdict.cause.is_hold and verdict.cause not in _PASSING:
        update.holds.since_s.pop(Cause.CALM, None)
