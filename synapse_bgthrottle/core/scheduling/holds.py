"""What holds an update, so that it does not run at all: one list of rules, by precedence. Pure.

The rules only say what they see. What is remembered of it, since when an update is held above all,
is noted before they are asked (`note_openings`) and afterwards (`note`).
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

# The wait after the first, second, ... failed iteration in a row; the last one stays.
BACKOFF_S = (5.0, 15.0, 30.0, 60.0)
# What others cause, and end: a dump that reads every table, a failover. Synapse gives up at the
# fifth failure in a row, which these put off until 13 minutes after the first.
PASSING_BACKOFF_S = (5.0, 60.0, 240.0, 480.0)
BACKOFFS_S = {
    FailureKind.OTHER: BACKOFF_S,
    FailureKind.DAMAGE: BACKOFF_S,
    FailureKind.IO: PASSING_BACKOFF_S,
    FailureKind.READ_ONLY: PASSING_BACKOFF_S,
    FailureKind.MEMORY: PASSING_BACKOFF_S,
    FailureKind.LOCK: PASSING_BACKOFF_S,
    FailureKind.TIMEOUT: PASSING_BACKOFF_S,
    FailureKind.CONFLICT: PASSING_BACKOFF_S,
    # There is room again, or it would not be tried; but less than the update needs, which fills
    # the disk with each try. After the fifth failure in a row Synapse gives up.
    FailureKind.ROOM: (5.0, 60.0, 600.0, 3600.0),
    # A network that comes and goes: soon at first, and then it may be the batch that is the cause.
    FailureKind.CONNECTION: (5.0, 7.0, 60.0, 600.0),
}

# Pressures never hold it for longer than this: they are soft, and an index that is not there hurts
# too.
CALM_S = 5.0
LONGEST_WAIT_FOR_CALM_S = 3600.0

# How often a closed budget, or what a one-shot waits for, is looked at: about as often as it is
# measured.
_LOOK_AGAIN_S = 0.5

# How often it is looked at whether the levers have been read.
_SOON_S = 0.02

# After these a wait for low pressures does not begin anew.
_PASSING = (Cause.BUDGET, Cause.DATABASE)


@attrs.frozen
class Case:
    """What the rules are asked about: an update at a moment.

    Attributes:
        update: the update.
        database: where it is; None: no update of it has begun.
        pacer: what the server's clients and pressures are.
        at: the moment.
        is_first: whether it is at the head of the queue, where being held counts.
        is_measured: whether anybody looks at the signals.
    """

    update: UpdateState
    database: DatabaseState | None
    pacer: Pacer
    at: Conditions
    is_first: bool = True
    is_measured: bool = True

    def held_for_s(self, cause: Cause) -> float:
        """For how long this has held it, at the head of the queue."""
        return self.update.holds.for_s(cause, self.at.now_s) if self.is_first else 0.0

    @property
    def max_hold_s(self) -> float:
        """For how long windows and budgets may hold it."""
        return self.update.limits.max_hold_ms / 1000


class Ruling(enum.Enum):
    """Whether an update goes on although a rule would hold it."""

    HOLDS = enum.auto()
    IS_RELEASED = enum.auto()
    HAS_OUTLASTED = enum.auto()


@attrs.frozen
class Hold:
    """What one rule says of an update, and whether the update goes on in spite of it."""

    verdict: Verdict
    ruling: Ruling


def rulings(case: Case) -> Iterator[Hold]:
    """What the rules say, in order of precedence."""
    for _, _, rule in PRECEDENCE:
        verdict = rule(case)
        if verdict is not None:
            yield Hold(verdict, _ruling(case, verdict))


def until_held(found: Iterable[Hold]) -> tuple[Hold, ...]:
    """Those up to the first that holds the update; all of them, where none does."""
    heard = []
    for hold in found:
        heard.append(hold)
        if hold.ruling is Ruling.HOLDS:
            break
    return tuple(heard)


def holding(found: Iterable[Hold]) -> list[Verdict]:
    """The verdicts of those that hold the update."""
    return [hold.verdict for hold in found if hold.ruling is Ruling.HOLDS]


def until_max_hold(case: Case, verdict: Verdict) -> Verdict:
    """The verdict, which ends once the update was held for `max_hold`, if that is to end it."""
    if not verdict.may_be_let_go:
        return verdict
    left_s = case.max_hold_s - case.held_for_s(verdict.cause)
    longest = format_duration_ms(case.update.limits.max_hold_ms)
    reason = f"{verdict.reason}; held for {longest} at most"
    return attrs.evolve(verdict, wait_s=min(verdict.wait_s, left_s), reason=reason)


def is_released(update: UpdateState, at: Conditions) -> bool:
    """Whether somebody let it go by hand: now, or when it began, which holds until it is done."""
    return any(
        lever.kind is LeverKind.RELEASE
        and (lever.is_in_force(at.wall_s) or lever.lever_id in update.releases.used)
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
    """The server's own switch for background updates."""
    if case.at.enabled:
        return None
    return Verdict(Cause.DISABLED, math.inf, "background updates are disabled on the server")


def by_silence(case: Case) -> Verdict | None:
    """A database that does not answer."""
    if case.at.silent_since_s is None:
        return None
    reason = f"the database does not answer: {case.at.complaint}"
    return Verdict(Cause.DATABASE, math.inf, reason)


def by_loading(case: Case) -> Verdict | None:
    """The time until it is known whether the update is paused."""
    if case.update.levers is not None:
        return None
    reason = "what was paused before the restart has not been read yet"
    return Verdict(Cause.LEVERS, _SOON_S, reason)


def by_pause(case: Case) -> Verdict | None:
    """The pause that ends last."""
    levers = case.update.levers
    pauses = () if levers is None else levers.in_force(case.at.wall_s, LeverKind.PAUSE)
    if not pauses:
        return None
    last = max(pauses, key=lambda pause: pause.ends_s)
    wait_s = last.ends_s - case.at.wall_s
    return Verdict(Cause.PAUSED, wait_s, f"paused {last.describe()}", subject=last.lever_id)


def backoff_left_s(database: DatabaseState, now_s: float) -> float:
    """The time left after a failure in which nothing is tried again; 0 or less: it is over."""
    if not database.failures:
        return 0.0
    return database.batch_end_s + _backoff_s(database) - now_s


def _backoff_s(database: DatabaseState) -> float:
    backoffs_s = BACKOFFS_S[database.failure_kind]
    return backoffs_s[min(database.failures, len(backoffs_s)) - 1]


def by_failure(case: Case) -> Verdict | None:
    """The time after a failure in which nothing is tried again."""
    database = case.database
    if database is None or (wait_s := backoff_left_s(database, case.at.now_s)) <= 0:
        return None
    times = "the last iteration" if database.failures == 1 else f"{database.failures} in a row"
    next_try = f"next try after {_backoff_s(database):.0f}s"
    return Verdict(Cause.BACKOFF, wait_s, f"{times} {database.failure_kind.value}: {next_try}")


def by_approval(case: Case) -> Verdict | None:
    """An approval that is required and not given."""
    update = case.update
    if not update.limits.needs_approval or is_released(update, case.at):
        return None
    reason = f"approval is required by {update.rule or 'the top level'}: release it to let it go"
    return Verdict(Cause.APPROVAL, math.inf, reason)


def by_windows(case: Case) -> Verdict | None:
    """Closed windows, however long they have held it."""
    limits, at = case.update.limits, case.at
    if windows.is_open(limits.windows, limits.time_zone, at.wall_s):
        return None
    opens_s = windows.next_opening_s(limits.windows, limits.time_zone, at.wall_s)
    wait_s, opens = math.inf, "not within two weeks"
    if opens_s is not None:
        wait_s = max(opens_s - at.wall_s, 0.001)
        opens = f"{datetime.fromtimestamp(opens_s, limits.time_zone):%a %Y-%m-%d %H:%M %Z}"
    reason = f"windows are closed; next open: {opens}"
    return Verdict(Cause.WINDOW, wait_s, reason, may_be_let_go=True)


def by_budgets(case: Case) -> Verdict | None:
    """A closed budget, however long it has held it."""
    if case.database is None or not case.is_measured:
        return None
    closed = case.database.signal_set.closed(case.at.now_s, one_shot=case.update.one_shot)
    if closed is None:
        return None
    return Verdict(Cause.BUDGET, _LOOK_AGAIN_S, closed.reason, closed.may_be_let_go, closed.subject)


def by_pressures(case: Case) -> Verdict | None:
    """Before a one-shot that is paced by what is measured: pressures not low for long enough.

    Nothing stops a one-shot once it runs.
    """
    update, at = case.update, case.at
    if case.database is None or not _waits_for_pressures(case):
        return None
    soft, low_for_s = case.pacer.soft, case.pacer.calm_for_s(at.now_s)
    if low_for_s >= CALM_S or soft.pressure is None or is_released(update, at):
        return None
    since_s = update.holds.pressures_since_s
    waited_s = 0.0 if since_s is None else at.now_s - since_s
    longest_s = min(LONGEST_WAIT_FOR_CALM_S, case.max_hold_s)
    left_s = longest_s - waited_s
    if left_s <= 0:
        return None
    longest = format_duration_ms(longest_s * 1000)
    pressure = f"{soft.name} at {soft.pressure:.2f}" if soft.name else "pressures"
    reason = (
        f"a one-shot starts once pressures have been below {LOW_PRESSURE} for {CALM_S:.0f}s,"
        f" after {longest} at most; {pressure}"
    )
    return Verdict(Cause.CALM, min(CALM_S - low_for_s, left_s, _LOOK_AGAIN_S), reason)


def _waits_for_pressures(case: Case) -> bool:
    """Whether it is of the kind that waits, and somebody is there who could be hurt."""
    update, activity, now_s = case.update, case.pacer.activity, case.at.now_s
    if not (update.one_shot and update.is_adaptive) or math.isinf(update.profile.tolerance_ratio):
        return False
    is_quiet = activity.is_quiet(now_s, update.profile.quiet_after_s)
    return not (is_quiet and activity.watched_for_s(now_s) >= CALM_S)


# What holds an update, in order of precedence, in the words of docs/holds.md. The first that
# does decides; an explanation has all of them.
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


def note_openings(database: DatabaseState, update: UpdateState, at: Conditions) -> None:
    """What no longer holds it, holds it anew the next time; what nobody measured holds nothing."""
    before, limits = update.decided, update.limits
    if before.cause is not None and before.cause.is_unmeasured:
        # Not anew: with windows of some hours a night `max_hold` would never be over.
        update.holds.leave_out(Cause.BUDGET, at.now_s - before.at_s)
    update.holds.see(
        is_window_open=windows.is_open(limits.windows, limits.time_zone, at.wall_s),
        is_budget_open=database.signal_set.closed(at.now_s, one_shot=update.one_shot) is None,
    )


def note(case: Case, heard: Iterable[Hold]) -> None:
    """What was heard, up to the first that holds the update, before anything else is decided."""
    holds, now_s = case.update.holds, case.at.now_s
    heard = tuple(heard)
    held_by = next((verdict.cause for verdict in holding(heard)), None)
    if held_by is not None and held_by.comes_before(Cause.WINDOW):
        return
    if is_released(case.update, case.at):
        holds.let_go_by_hand()
    for hold in heard:
        verdict = hold.verdict
        if hold.ruling is Ruling.HAS_OUTLASTED:
            holds.outlast(verdict.cause, now_s)
        elif hold.ruling is Ruling.HOLDS and verdict.may_be_let_go:
            holds.hold(verdict.cause, now_s)
        elif hold.ruling is Ruling.HOLDS:  # what may be let go was not held by that
            holds.leave_out(verdict.cause, now_s - case.update.decided.at_s)


def note_releases(update: UpdateState, verdict: Verdict, at: Conditions) -> None:
    """Those that are in use once the batch begins: it is written later, when they may be over."""
    if verdict.cause is Cause.RUN and update.levers is not None and update.levers.all:
        releases = update.levers.in_force(at.wall_s, LeverKind.RELEASE)
        update.releases.note(lever.lever_id for lever in releases)


def note_wait_for_pressures(update: UpdateState, verdict: Verdict, at: Conditions) -> None:
    """Since when pressures are waited for; another hold comes before that, and it begins anew.

    Not after a budget, nor after a database that answered late: what comes now and then would make
    it wait for ever. But their time does not count.
    """
    if update.decided.cause in _PASSING:
        update.holds.leave_out_of_pressures(at.now_s - update.decided.at_s)
    if verdict.cause is Cause.CALM:
        update.holds.wait_for_pressures(at.now_s)
    elif verdict.cause.is_hold and verdict.cause not in _PASSING:
        update.holds.end_wait_for_pressures()
