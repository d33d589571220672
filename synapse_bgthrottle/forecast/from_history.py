"""What can be learned from how updates went, and from the hours in which they did."""

from collections.abc import Mapping, Sequence
from datetime import timezone

import attrs

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.forecast.weekly_load import HOURS, WeeklyLoad

NOT_ENOUGH = "not enough history"

_HOLDS = frozenset(cause.value for cause in Cause if cause.is_hold)

_LEAST_OBSERVED_S = 5.0
_FEWEST_BATCHES = 5

# An hour that was watched for less is not known.
_LEAST_WATCHED_S = 60.0

# Where clients are there for so much of every hour, hours differ by how much they do.
_ALWAYS = 0.9

_WEEKDAYS = 5


@attrs.frozen(kw_only=True)
class Past:
    """How one update went, or goes.

    Attributes:
        began_s, ended_s: since the epoch; of one that goes on, until now.
        batches, batch_s: what ran.
        waited_s: by cause.
    """

    began_s: float
    ended_s: float
    batches: int = 0
    batch_s: float = 0.0
    waited_s: Mapping[str, float] = attrs.field(factory=dict)

    @property
    def going_s(self) -> float:
        """How long nothing held it."""
        held_s = sum(s for cause, s in self.waited_s.items() if cause in _HOLDS)
        return max(self.ended_s - self.began_s - held_s, 0.0)


@attrs.frozen
class LearnedLoad:
    """A week that was seen.

    Attributes:
        load: the week.
        known: how many of its hours were seen; the others are taken for like these.
    """

    load: WeeklyLoad
    known: int


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


def load_of_the_week(seen: Sequence[SeenHour]) -> LearnedLoad | None:
    """The week by what was seen of it; None: no hour was watched for long enough.

    It is the share of each hour in which clients were there, because whether anybody is there
    matters more to an adaptive pace than how much they do. Where they always are, it is the rate of
    their requests.
    """
    known = {hour.hour: hour for hour in seen if hour.watched_s >= _LEAST_WATCHED_S}
    if not known:
        return None
    shares = {n: hour.present_s / hour.watched_s for n, hour in known.items()}
    rates = {n: hour.requests / hour.watched_s for n, hour in known.items()}
    is_share = min(shares.values()) < _ALWAYS or not all(rates.values())
    values = shares if is_share else rates
    week = tuple(_of_hour(number, values) for number in range(HOURS))
    # Hours are kept by UTC, since zones and their summer times are a matter of configuration.
    return LearnedLoad(WeeklyLoad("learned", week, is_share, timezone.utc), len(known))


def _of_hour(number: int, known: Mapping[int, float]) -> float:
    """As it was seen, or like the same hour of other days, or between the hours around it."""
    if number in known:
        return known[number]
    same_hour = [n for n in known if n % 24 == number % 24]
    alike = [n for n in same_hour if _is_weekend(n) == _is_weekend(number)] or same_hour
    if alike:
        return sum(known[n] for n in alike) / len(alike)
    before = min((number - n) % HOURS for n in known)
    after = min((n - number) % HOURS for n in known)
    earlier, later = known[(number - before) % HOURS], known[(number + after) % HOURS]
    return earlier + (later - earlier) * before / (before + after)


def _is_weekend(hour: int) -> bool:
    return hour // 24 >= _WEEKDAYS
