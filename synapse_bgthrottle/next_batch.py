"""The next batch of an update: when it may start, and of what size. Pure."""

from synapse_bgthrottle import adaptive, pacing
from synapse_bgthrottle.adaptive import Going
from synapse_bgthrottle.decision import Cause, Conditions, Decision, Verdict
from synapse_bgthrottle.limits import Adaptive, DutyCycle
from synapse_bgthrottle.state import DatabaseState, UpdateState
from synapse_bgthrottle.units import format_duration_ms

# The pace of an update that is let go although something holds it.
FLOOR_PACE = DutyCycle(0.01)


def by_panic(database: DatabaseState, at: Conditions) -> Verdict | None:
    """Somebody who waits for us, for certain."""
    until_s, reason = database.board.panics_until_s()
    if until_s <= at.now_s:
        return None
    return Verdict(Cause.PANIC, until_s - at.now_s, reason)


def by_spacing(
    database: DatabaseState, update: UpdateState, going: Going, at: Conditions
) -> Verdict:
    """Whichever of pace, rate and comparison waits longest, then the requests in flight."""
    limits = update.limits
    pace = DutyCycle(going.ratio) if isinstance(limits.pace, Adaptive) else limits.pace
    batch_s = database.batch_s
    if batch_s is None:  # since the start: be as careful as after a batch on target
        batch_s = limits.target_duration_ms / 1000
    rest_s = pacing.rest_s(pace, batch_s)
    floor_s = pacing.rest_s(FLOOR_PACE, batch_s)
    reason = going.reason
    if update.released and floor_s > rest_s:
        rest_s, reason = floor_s, str(FLOOR_PACE)
    # What hushes take is given back between them, so that they are no part of the rest.
    rests_from_s = database.batch_end_s + max(going.hushed_s - database.hushed_s, 0.0)
    # A rest that was meant to be over soon is not begun anew when hushes become rare.
    mean_rest_s = rest_s
    if isinstance(limits.pace, Adaptive):
        mean_rest_s = max(pacing.rest_s(DutyCycle(going.mean_ratio), batch_s), rest_s)
    latest_s = database.batch_end_s + mean_rest_s + going.one_hush_s
    pace_s = min(rests_from_s + rest_s, latest_s) - at.now_s
    # By the limit of now: an override that has ended must not hold what it had slowed down.
    rate_s = update.charged_s + update.charged_items / limits.max_items_per_second - at.now_s
    waits_s = max(pace_s, rate_s, going.hush_s)
    if waits_s <= 0:
        gate_s = min(
            max(pace_s, rate_s) + going.gate_s,
            rests_from_s + pacing.rest_s(DutyCycle(going.least_ratio), batch_s) - at.now_s,
        )
        if update.is_adaptive and at.active_requests and gate_s > 0:
            active = at.active_requests
            reason = f"waits for a gap between requests, of which {active} are active"
            return Verdict(Cause.GAP, min(adaptive.LOOK_EVERY_S, gate_s), reason)
        return Verdict(Cause.RUN, 0.0, reason)
    if waits_s == rate_s and rate_s > pace_s:
        rate = limits.max_items_per_second
        return Verdict(Cause.RATE, rate_s, f"at most {rate:g} items/s")
    if waits_s == going.hush_s and going.hush_s > pace_s:
        reason = "compares clients' latency with and without batches"
        return Verdict(Cause.COMPARE, going.hush_s, reason)
    batch = format_duration_ms(batch_s * 1000)
    rest = format_duration_ms(rest_s * 1000)
    return Verdict(Cause.PACE, pace_s, f"{reason}: rests {rest} after a batch of {batch}")


def decided(update: UpdateState, verdict: Verdict, target_ms: float, failures: int) -> Decision:
    """The whole decision.

    Args:
        update: that it is about.
        verdict: whether it waits, and why.
        target_ms: wanted duration of its next batch.
        failures: how many of its database's batches have failed in a row.
    """
    limits = update.limits
    first, least = limits.default_batch_items, limits.min_batch_items
    if update.is_exact:
        exact = _shrunk_items(update.sizer.next_items(limits, target_ms), least, failures)
        yielded_ms, first, least = 0, exact, exact
    else:
        scale = min(update.target_scale, update.target_ceiling)
        yielded_ms = max(round(target_ms * scale), 1)
        first = _shrunk_items(first, least, failures)
    return Decision(
        verdict.cause, verdict.reason, verdict.wait_s, yielded_ms, first, least, verdict.subject
    )


def _shrunk_items(items: int, least_items: int, failures: int) -> int:
    return min(items, max(int(pacing.shrunk(items, failures)), least_items))
