"""When the next batch of an update may start, and how large it is. Pure."""

import math

import attrs

from synapse_bgthrottle.core.adaptive import controller
from synapse_bgthrottle.core.adaptive.controller import Going
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision, Verdict
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.units import format_duration_ms

# Slowest pace after `max_hold`, while the window or budget is still closed.
FLOOR_PACE = DutyCycle(0.01)

# An index build of an hour need not be followed by a night of silence.
LONGEST_REST_S = 600.0

# A batch that lasts longer than one moment of an experiment.
_LONG_BATCH_S = 2.0

# From a batch that failed to the next one.
_SHRINK_RATIO = 0.1


def rest_s(pace: DutyCycle | FixedSleep, batch_s: float) -> float:
    """The rest in seconds after a batch that took `batch_s`.

    For a duty cycle u it is D (1/u - 1), at most `LONGEST_REST_S`, from what the batch really took,
    so that one which overruns is paid for (the nice-ratio of gh-ost, `go/logic/throttler.go`).
    """
    if isinstance(pace, DutyCycle):
        return min(batch_s * (1 / pace.ratio - 1), LONGEST_REST_S)
    return pace.duration_ms / 1000


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
    """The longest of pace, rate and experiment; if none waits, a gap between requests."""
    resting_s, pace = _rest(database, update, going)
    pace_s = database.batch_end_s + resting_s - at.now_s
    # Use the present limit: an override that has ended must not hold the update any longer.
    rate = update.limits.max_items_per_second
    is_limited = update.charged_items and math.isfinite(rate)
    rate_s = update.charged_s + update.charged_items / rate - at.now_s if is_limited else pace_s
    longest_s = max(pace_s, rate_s, going.wait_s)
    if longest_s <= 0:
        return _by_gap(update, longest_s + going.gate_s, pace, at)
    if rate_s == longest_s and rate_s > pace_s:
        return Verdict(Cause.RATE, rate_s, f"at most {rate:g} items/s")
    if going.wait_s == longest_s and going.wait_s > pace_s:
        if going.is_comparison:
            reason = "no batches for a moment, to see how quick clients' requests are then"
            return Verdict(Cause.COMPARE, going.wait_s, reason)
        return Verdict(Cause.PACE, going.wait_s, _resting(going.rest_s, pace))
    return Verdict(Cause.PACE, pace_s, _resting(resting_s, pace))


def _resting(seconds: float, pace: str) -> str:
    return f"resting {format_duration_ms(seconds * 1000)}: {pace}"


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
    resting_s, floor_s = rest_s(pace, batch_s), rest_s(FLOOR_PACE, batch_s)
    if update.holds.has_outlasted and floor_s > resting_s:
        return floor_s, str(FLOOR_PACE)
    return resting_s, going.reason


def _by_gap(update: UpdateState, gate_s: float, pace: str, at: Conditions) -> Verdict:
    """Wait for a gap between requests, `gate_s` at most."""
    if update.is_adaptive and at.active_requests and gate_s > 0:
        reason = f"waiting for a gap between requests: {at.active_requests} in progress"
        return Verdict(Cause.GAP, min(controller.LOOK_EVERY_S, gate_s), reason)
    return Verdict(Cause.RUN, 0.0, pace)


def decided(
    database: DatabaseState, update: UpdateState, verdict: Verdict, target_ms: float
) -> Decision:
    """Combine verdict, target duration and batch size."""
    items = update.cost.next_items(update.limits, target_ms / 1000, database.longest_batch_s)
    # Stock Synapse asks for the same batch five times, and gives up. If it was too large for the
    # room on the disk, for `statement_timeout` or for somebody's lock, a smaller one is not.
    shrunk = int(items * _SHRINK_RATIO**database.failures)
    items = min(items, max(shrunk, update.limits.min_batch_items))
    return Decision(**attrs.asdict(verdict), target_ms=target_ms, items=items)
