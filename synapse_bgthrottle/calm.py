"""Before a one-shot starts, pressures are low for a while: nothing stops it once it runs. Pure."""

import math

from synapse_bgthrottle.adaptive import LOW_PRESSURE, Pacer
from synapse_bgthrottle.decision import Cause
from synapse_bgthrottle.holds import Conditions, Verdict, is_released
from synapse_bgthrottle.state import UpdateState
from synapse_bgthrottle.units import format_duration_ms

# Pressures never hold it for longer than this: they are soft, and an index that is not there hurts
# too.
CALM_S = 5.0
LONGEST_WAIT_FOR_CALM_S = 3600.0

# How often they are looked at.
_LOOK_AGAIN_S = 0.5


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
