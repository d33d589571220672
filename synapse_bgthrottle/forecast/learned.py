"""What can be learned from how earlier updates went; and what cannot, so that nobody guesses."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

import attrs

from synapse_bgthrottle.decision import Cause
from synapse_bgthrottle.forecast.week import WeeklyLoad

NOT_ENOUGH = "not enough history"

# An adaptive pace waits for these only while clients are there.
_AMONG_CLIENTS = (Cause.PACE.value, Cause.GAP.value, Cause.COMPARE.value)
_HOLDS = frozenset(cause.value for cause in Cause if cause.is_hold)

# It rests for about so much of the time in which clients are there.
_RESTS = 0.9

# A span tells of each hour that it touches, so it must not be many; and each hour needs some.
_LONGEST_SPAN_S = 3 * 3600.0
_LEAST_SEEN_S = 1800.0

_LEAST_OBSERVED_S = 5.0
_FEWEST_BATCHES = 5


@attrs.frozen(kw_only=True)
class Past:
    """How one update went, or goes.

    Attributes:
        began_s, ended_s: since the epoch; of one that goes on, until now.
        batches, batch_s: what ran.
        waited_s: by cause.
        is_adaptive: whether its pace was; None: not known.
    """

    began_s: float
    ended_s: float
    batches: int = 0
    batch_s: float = 0.0
    waited_s: Mapping[str, float] = attrs.field(factory=dict)
    is_adaptive: bool | None = None

    @property
    def going_s(self) -> float:
        """How long nothing held it."""
        held_s = sum(s for cause, s in self.waited_s.items() if cause in _HOLDS)
        return max(self.ended_s - self.began_s - held_s, 0.0)

    @property
    def clients_ratio(self) -> float | None:
        """The share of the time in which clients were there, by what it waited for."""
        # Where the pace is fixed there is no gap to wait for, and nothing to compare.
        waits = any(self.waited_s.get(cause) for cause in _AMONG_CLIENTS[1:])
        is_adaptive = waits if self.is_adaptive is None else self.is_adaptive
        if not is_adaptive or self.going_s <= 0:
            return None
        waited_s = sum(self.waited_s.get(cause, 0.0) for cause in _AMONG_CLIENTS)
        return min(waited_s / self.going_s / _RESTS, 1.0)


def share_observed(past: Past) -> float | None:
    """The share of the time in batches while nothing held it; None: too little was seen."""
    if past.batches < _FEWEST_BATCHES or past.going_s < _LEAST_OBSERVED_S:
        return None
    return min(past.batch_s / past.going_s, 1.0)


def budgets_closed(pasts: Sequence[Past]) -> float:
    """The share of the time outside of other holds in which a budget was closed."""
    closed_s = sum(past.waited_s.get(Cause.BUDGET.value, 0.0) for past in pasts)
    going_s = sum(past.going_s for past in pasts)
    return closed_s / (closed_s + going_s) if closed_s > 0 else 0.0


def load_of_the_day(pasts: Sequence[Past], zone: tzinfo) -> WeeklyLoad | None:
    """Each hour's share of the time with clients, the same every day; None: not enough is known.

    History tells what an update waited for from its begin to its end, so only short ones tell of
    an hour. All 24 hours must have been seen for half an hour each: no gap is filled.
    """
    seen_s, clients_s = [0.0] * 24, [0.0] * 24
    for past in pasts:
        ratio, span_s = past.clients_ratio, past.ended_s - past.began_s
        if ratio is None or not 0 < span_s <= _LONGEST_SPAN_S:
            continue
        at_s = past.began_s
        while at_s < past.ended_s:
            until_s = min((at_s // 3600 + 1) * 3600, past.ended_s)
            hour = datetime.fromtimestamp(at_s, zone).hour
            part_s = (until_s - at_s) * past.going_s / span_s
            seen_s[hour] += part_s
            clients_s[hour] += part_s * ratio
            at_s = until_s
    if min(seen_s) < _LEAST_SEEN_S:
        return None
    day = tuple(clients / seen for clients, seen in zip(clients_s, seen_s, strict=True))
    return WeeklyLoad("learned from history", day * 7, is_share=True, zone=zone)
