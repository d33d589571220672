"""What holds an update, so that it does not run at all: causes, waits, reasons. Pure."""

import math
from datetime import datetime

import attrs

from synapse_bgthrottle import windows
from synapse_bgthrottle.adaptive import LOW_PRESSURE, Pacer
from synapse_bgthrottle.decision import Cause, Conditions, Verdict
from synapse_bgthrottle.failures import FailureKind
from synapse_bgthrottle.levers import LeverKind
from synapse_bgthrottle.state import DatabaseState, UpdateState
from synapse_bgthrottle.units import format_duration_ms

# The wait after the first, second, ... failed iteration in a row; the last one stays.
BACKOFF_S = (5.0, 15.0, 30.0, 60.0)
BACKOFFS_S = {
    FailureKind.OTHER: BACKOFF_S,
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


def by_server(at: Conditions) -> Verdict | None:
    """The server's switch, a silent database."""
    if not at.enabled:
        reason = "background updates are disabled on the server"
        return Verdict(Cause.DISABLED, math.inf, reason)
    if at.silent_since_s is not None:
        reason = f"the database does not answer: {at.complaint}"
        return Verdict(Cause.DATABASE, math.inf, reason)
    return None


def by_levers(update: UpdateState, at: Conditions) -> Verdict | None:
    """The pause that ends last, or the time until it is known whether there is one."""
    if update.levers is None:
        reason = "what was paused before the restart has not been read yet"
        return Verdict(Cause.LEVERS, _SOON_S, reason)
    pauses = update.levers.in_force(at.wall_s, LeverKind.PAUSE)
    if not pauses:
        return None
    last = max(pauses, key=lambda pause: pause.ends_s)
    reason = f"paused {last.describe()}"
    return Verdict(Cause.PAUSED, last.ends_s - at.wall_s, reason, subject=last.lever_id)


def by_failure(database: DatabaseState, at: Conditions) -> Verdict | None:
    """The time after a failure in which nothing is tried again."""
    if database.failures:
        backoffs_s = BACKOFFS_S[database.failure_kind]
        backoff_s = backoffs_s[min(database.failures, len(backoffs_s)) - 1]
        wait_s = database.batch_end_s + backoff_s - at.now_s
        times = "the last iteration" if database.failures == 1 else f"{database.failures} in a row"
        if wait_s > 0:
            failed = database.failure_kind.value
            reason = f"{times} {failed}: next try after {backoff_s:.0f}s"
            return Verdict(Cause.BACKOFF, wait_s, reason)
    return None


def note_openings(database: DatabaseState, update: UpdateState, at: Conditions) -> None:
    """What no longer holds it, holds it anew the next time; what nobody measured holds nothing."""
    limits = update.limits
    before, since_s = update.decision, update.held_since_s.get(Cause.BUDGET)
    if before is not None and before.cause.is_unmeasured and since_s is not None:
        # Not anew: with windows of some hours a night `max_hold` would never be over.
        update.held_since_s[Cause.BUDGET] = since_s + at.now_s - update.decided_s
    update.is_window_open = windows.is_open(limits.windows, limits.time_zone, at.wall_s)
    if update.is_window_open:
        update.held_since_s.pop(Cause.WINDOW, None)
    if database.board.closed(at.now_s, one_shot=update.one_shot) is None:
        update.held_since_s.pop(Cause.BUDGET, None)
    if not update.held_since_s:
        update.released = False


def by_approval(update: UpdateState, at: Conditions) -> Verdict | None:
    """An approval that is required and not given."""
    if not update.limits.needs_approval or is_released(update, at):
        return None
    reason = f"approval is required by {update.rule or 'the top level'}: release it to let it go"
    return Verdict(Cause.APPROVAL, math.inf, reason)


def is_released(update: UpdateState, at: Conditions) -> bool:
    """Whether somebody let it go by hand: now, or when it began, which holds until it is done."""
    return any(
        lever.kind is LeverKind.RELEASE
        and (lever.is_in_force(at.wall_s) or lever.lever_id in update.went_by)
        for lever in (update.levers.all if update.levers is not None else ())
    )


def note_releases(update: UpdateState, verdict: Verdict, at: Conditions) -> None:
    """Those that are in use once the batch begins: it is written later, when they may be over."""
    if verdict.cause is Cause.RUN and update.levers is not None and update.levers.all:
        releases = update.levers.in_force(at.wall_s, LeverKind.RELEASE)
        update.let_go_by = frozenset(lever.lever_id for lever in releases)


def by_limits(database: DatabaseState, update: UpdateState, at: Conditions) -> Verdict | None:
    """Closed windows and closed budgets, until they have held the update for `max_hold`.

    Where somebody released the update, those that `max_hold` would end do not hold it, nor do they
    slow it down.
    """
    if is_released(update, at):
        update.released = False
    for verdict in (by_windows(update, at), by_budgets(database, update, at)):
        if verdict is None or (verdict.may_be_let_go and is_released(update, at)):
            continue
        if not verdict.may_be_let_go:
            if verdict.cause in update.held_since_s:  # what may be let go was not held by that
                update.held_since_s[verdict.cause] += at.now_s - update.decided_s
            return verdict
        longest_s = update.limits.max_hold_ms / 1000
        since_s = update.held_since_s.setdefault(verdict.cause, at.now_s)
        left_s = longest_s - (at.now_s - since_s)
        if left_s > 0:
            hold = format_duration_ms(update.limits.max_hold_ms)
            return attrs.evolve(
                verdict,
                wait_s=min(verdict.wait_s, left_s),
                reason=f"{verdict.reason}; held for {hold} at most",
            )
        update.released = True
    return None


def is_let_go(update: UpdateState, verdict: Verdict, at: Conditions, *, is_first: bool) -> bool:
    """Whether the update goes although this holds it: it is released, or was held for long enough.

    `is_first`: it is at the head of the queue, where being held counts.
    """
    if not verdict.may_be_let_go:
        return False
    since_s = update.held_since_s.get(verdict.cause) if is_first else None
    longest_s = update.limits.max_hold_ms / 1000
    return is_released(update, at) or (since_s is not None and at.now_s - since_s >= longest_s)


def by_windows(update: UpdateState, at: Conditions) -> Verdict | None:
    """Closed windows, however long they have held it."""
    limits = update.limits
    if windows.is_open(limits.windows, limits.time_zone, at.wall_s):
        return None
    opens_s = windows.next_opening_s(limits.windows, limits.time_zone, at.wall_s)
    wait_s, opens = math.inf, "not within two weeks"
    if opens_s is not None:
        wait_s = max(opens_s - at.wall_s, 0.001)
        opens = f"{datetime.fromtimestamp(opens_s, limits.time_zone):%a %Y-%m-%d %H:%M %Z}"
    reason = f"windows are closed; next open: {opens}"
    return Verdict(Cause.WINDOW, wait_s, reason, may_be_let_go=True)


def by_budgets(database: DatabaseState, update: UpdateState, at: Conditions) -> Verdict | None:
    """A closed budget, however long it has held it."""
    closed = database.board.closed(at.now_s, one_shot=update.one_shot)
    if closed is None:
        return None
    return Verdict(Cause.BUDGET, _LOOK_AGAIN_S, closed.reason, closed.may_be_let_go, closed.subject)


def by_calm(update: UpdateState, pacer: Pacer, at: Conditions) -> Verdict | None:
    """Before a one-shot that is paced by what is measured: pressures not low for long enough."""
    if not (update.one_shot and update.is_adaptive) or math.isinf(update.profile.tolerance_ratio):
        return None
    is_quiet = pacer.presence.is_quiet(at.now_s, update.profile.quiet_after_s)
    if is_quiet and pacer.presence.watched_for_s(at.now_s) >= CALM_S:
        return None
    soft, calm_for_s = pacer.soft, pacer.calm_for_s(at.now_s)
    if calm_for_s >= CALM_S or soft.pressure is None or is_released(update, at):
        return None
    since_s = at.now_s if update.calm_since_s is None else update.calm_since_s
    longest_s = min(LONGEST_WAIT_FOR_CALM_S, update.limits.max_hold_ms / 1000)
    left_s = longest_s - (at.now_s - since_s)
    if left_s <= 0:
        return None
    longest = format_duration_ms(longest_s * 1000)
    pressure = f"{soft.name} at {soft.pressure:.2f}" if soft.name else "pressures"
    reason = (
        f"a one-shot starts once pressures have been below {LOW_PRESSURE} for {CALM_S:.0f}s,"
        f" after {longest} at most; {pressure}"
    )
    return Verdict(Cause.CALM, min(CALM_S - calm_for_s, left_s, _LOOK_AGAIN_S), reason)


def note_calm(update: UpdateState, verdict: Verdict, at: Conditions) -> None:
    """Since when pressures are waited for; another hold comes before that, and it begins anew.

    Not after a budget, nor after a database that answered late: what comes now and then would make
    it wait for ever. But their time does not count.
    """
    passing = (Cause.BUDGET, Cause.DATABASE)
    if update.calm_since_s is not None and update.decision and update.decision.cause in passing:
        update.calm_since_s += at.now_s - update.decided_s
    if verdict.cause is Cause.CALM:
        update.calm_since_s = at.now_s if update.calm_since_s is None else update.calm_since_s
    elif verdict.cause.is_hold and verdict.cause not in passing:
        update.calm_since_s = None
