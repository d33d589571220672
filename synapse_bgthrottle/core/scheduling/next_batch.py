"""When the next batch of an update may start, and how large it is. Pure."""

from synapse_bgthrottle.core.adaptive import controller
from synapse_bgthrottle.core.adaptive.controller import Going
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle
from synapse_bgthrottle.core.scheduling import pacing
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision, Verdict
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.units import format_duration_ms

# Slowest pace after `max_hold`, while the window or budget is still closed.
FLOOR_PACE = DutyCycle(0.01)

# A batch that lasts longer than one moment of an experiment.
_LONG_BATCH_S = 2.0


def by_panic(database: DatabaseState, at: Conditions) -> Verdict | None:
    """A panic signal stops batches: somebody certainly waits for the update."""
    panic = database.signal_set.panic(at.now_s)
    if panic is None:
        return None
    until_s, reason = panic
    return Verdict(Cause.PANIC, until_s - at.now_s, reason)


def by_spacing(
    database: DatabaseState, update: UpdateState, going: Going, at: Conditions
) -> Verdict:
    """The longest of pace, rate and experiment; if none waits, a gap between requests.

    Args:
        database: the update's database.
        update: whose next batch it is.
        going: what the adaptive pace says.
        at: the moment.
    """
    rest_s, pace = _rest(database, update, going)
    pace_s = database.batch_end_s + rest_s - at.now_s
    rate_s = _rate_wait_s(update, pace_s, at.now_s)
    longest_s = max(pace_s, rate_s, going.hush_s)
    if longest_s <= 0:
        return _by_gap(update, longest_s + going.gate_s, pace, at)
    if rate_s == longest_s and rate_s > pace_s:
        rate = update.limits.max_items_per_second
        return Verdict(Cause.RATE, rate_s, f"at most {rate:g} items/s")
    if going.hush_s == longest_s and going.hush_s > pace_s:
        if going.is_comparison:
            reason = "no batches for a moment, to see how quick clients' requests are then"
            return Verdict(Cause.COMPARE, going.hush_s, reason)
        return Verdict(Cause.PACE, going.hush_s, _resting(going.rest_s, pace))
    return Verdict(Cause.PACE, pace_s, _resting(rest_s, pace))


def _resting(rest_s: float, pace: str) -> str:
    return f"resting {format_duration_ms(rest_s * 1000)}: {pace}"


def _rest(database: DatabaseState, update: UpdateState, going: Going) -> tuple[float, str]:
    """Seconds of rest after the last batch, and the reason for it."""
    pace = update.limits.pace
    batch_s = database.batch_s
    if batch_s is None:  # no batch yet: be as careful as after a batch of the target duration
        batch_s = update.limits.target_duration_ms / 1000
    if isinstance(pace, Adaptive):
        # Other updates may work during all moments of a long batch. Then no moment without batches
        # pays for it, so the rest must.
        is_long = going.sharers > 1 and batch_s > _LONG_BATCH_S
        pace = DutyCycle(going.ratio / going.sharers if is_long else going.rest_ratio)
    rest_s = pacing.rest_s(pace, batch_s)
    floor_s = pacing.rest_s(FLOOR_PACE, batch_s)
    if update.holds.has_outlasted and floor_s > rest_s:
        return floor_s, str(FLOOR_PACE)
    return rest_s, going.reason


def _rate_wait_s(update: UpdateState, pace_s: float, now_s: float) -> float:
    """Seconds to wait for `max_items_per_second`; without it, the same as for the pace."""
    # Use the present limit: an override that has ended must not hold the update any longer.
    free_from_s = update.pace.free_from_s(update.limits.max_items_per_second)
    return pace_s if free_from_s is None else free_from_s - now_s


def _by_gap(update: UpdateState, gate_s: float, pace: str, at: Conditions) -> Verdict:
    """Wait for a gap between requests, `gate_s` at most."""
    if update.is_adaptive and at.active_requests and gate_s > 0:
        reason = f"waiting for a gap between requests: {at.active_requests} in progress"
        return Verdict(Cause.GAP, min(controller.LOOK_EVERY_S, gate_s), reason)
    return Verdict(Cause.RUN, 0.0, pace)


def decided(update: UpdateState, verdict: Verdict, target_ms: float, failures: int) -> Decision:
    """Combine verdict, target duration and batch size.

    Args:
        update: the update.
        verdict: whether it waits, and why.
        target_ms: wanted duration of its next batch.
        failures: failed batches in a row in its database.
    """
    limits = update.limits
    first, least = limits.default_batch_items, limits.min_batch_items
    if update.is_exact:
        exact = _shrunk_items(update.sizes.sizer.next_items(limits, target_ms), least, failures)
        yielded_ms, first, least = 0, exact, exact
    else:
        yielded_ms = max(round(target_ms * update.sizes.scale), 1)
        first = _shrunk_items(first, least, failures)
    return Decision(
        verdict.cause, verdict.reason, verdict.wait_s, yielded_ms, first, least, verdict.subject
    )


def _shrunk_items(items: int, least_items: int, failures: int) -> int:
    return min(items, max(int(pacing.shrunk(items, failures)), least_items))
