"""The adaptive pace: batches in the gaps between requests, all of the time while nobody is there.

A short batch that starts while no request is in flight has a chance to end before one comes, and
an idle server has nobody to yield to. What it gains and costs was measured (docs/benchmarks.md).

- While requests come, batches are short and start in a gap, which is waited for `LONGEST_GATE_S`
  at most, so that progress is promised; at most `BUSY_PACE` of the time is spent in them.
- When no request was seen for `QUIET_AFTER_S`, there is no rest, and batches take their target.
- Where requests cannot be seen, the pace is `BLIND_PACE`.
"""

from synapse_bgthrottle.limits import DutyCycle

QUIET_AFTER_S = 5.0
LONGEST_GATE_S = 2.0
LOOK_EVERY_S = 0.005

BUSY_PACE = DutyCycle(0.4)
QUIET_PACE = DutyCycle(1.0)
BLIND_PACE = DutyCycle(0.1)

# A request that comes in the middle of a batch may have to wait for the rest of it.
BUSY_TARGET_MS = 25.0


def pace(active_requests: int | None, since_active_s: float) -> DutyCycle:
    """The pace for the requests in flight now, and the time since some were last seen."""
    if active_requests is None:
        return BLIND_PACE
    return BUSY_PACE if since_active_s < QUIET_AFTER_S else QUIET_PACE


def target_ms(target_duration_ms: float, used: DutyCycle) -> float:
    """The target duration that goes with a pace."""
    return min(target_duration_ms, BUSY_TARGET_MS) if used is BUSY_PACE else target_duration_ms
