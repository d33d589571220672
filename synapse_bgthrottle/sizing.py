"""The size of the batch that a verdict is about: a target duration, or exact items. Pure."""

from synapse_bgthrottle import pacing
from synapse_bgthrottle.decision import Decision
from synapse_bgthrottle.holds import Verdict
from synapse_bgthrottle.state import UpdateState


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
