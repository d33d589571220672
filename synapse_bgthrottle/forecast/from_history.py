"""What a forecast takes from the history of updates. Pure."""

from collections.abc import Iterable, Mapping

import attrs

from synapse_bgthrottle.core.tracking.time_left import budgets_closed


@attrs.frozen(kw_only=True)
class Past:
    """One run of an update: time in batches, and waits by cause."""

    batch_s: float = 0.0
    waited_s: Mapping[str, float] = attrs.field(factory=dict)


def closed_ratio(pasts: Iterable[Past]) -> float:
    """Share of the time without other holds in which a budget was closed."""
    total_s: dict[str, float] = {}
    batch_s = 0.0
    for past in pasts:
        batch_s += past.batch_s
        for cause, waited_s in past.waited_s.items():
            total_s[cause] = total_s.get(cause, 0.0) + waited_s
    return budgets_closed(total_s, batch_s)
