"""The server's week: the share of the time with clients, in each of its 168 hours. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from functools import lru_cache

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour
from synapse_bgthrottle.core.config.problems import found
from synapse_bgthrottle.core.tracking.expected_pace import EARLY, LATE, LIKELY
from synapse_bgthrottle.core.units import is_number

HOURS = 168
_HOUR_S = 3600.0

# The share of the time with clients in each hour of a working day.
_OFFICE_DAY = (
    *(0.05,) * 6,
    *(0.2, 0.5, 0.9, 1.0, 1.0, 1.0, 0.8, 0.9, 1.0, 1.0, 0.9, 0.7, 0.4),
    *(0.25, 0.2, 0.15, 0.1, 0.05),
)
_WEEKEND_RATIO = 0.2

# An hour that was watched for less counts as unknown.
_LEAST_WATCHED_S = 60.0

# A typical visit of a client.
_VISIT_S = 300.0

# Clients count as active for so long after a request.
_GAP_S = 5.0

_WEEKDAYS = 5

_RATE, _SHARE = KINDS = ("requests_per_second", "share_of_time")

# The highest accepted rate. From one request per second on, clients count as always active.
_MOST_RATE = 1e9


@attrs.frozen
class Seen:
    """The share of the time with clients now. It counts for the next hour."""

    clients_ratio: float
    at_s: float


@attrs.frozen
class WeeklyLoad:
    """The hours of a week, from Monday midnight."""

    name: str  # for people
    values: tuple[float, ...]  # the share of the time with clients in each hour
    zone: tzinfo = timezone.utc  # of these hours
    # The range of each hour's share; None: it is exact.
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    seen: Seen | None = None
    # How many hours were watched; the others are estimated from these.
    known_hours: int = HOURS
    _is_constant: bool = attrs.field(init=False, eq=False, repr=False)

    @_is_constant.default
    def _compare(self) -> bool:
        return all(len(set(each)) == 1 for each in (self.values, self.low, self.high) if each)

    @property
    def most(self) -> float:
        """The greatest value."""
        return max(self.values)

    def level(self, wall_s: float, case: str = LIKELY) -> float:
        """The share of the time with clients at this time; the lowest in the case `early`."""
        local = datetime.fromtimestamp(wall_s, self.zone)
        number = local.weekday() * 24 + local.hour
        value = ({EARLY: self.low, LATE: self.high}.get(case) or self.values)[number]
        if self.seen is None or not 0 <= wall_s - self.seen.at_s < _HOUR_S:
            return value
        now = self.seen.clients_ratio
        return {EARLY: min(now, value), LATE: max(now, value)}.get(case, now)

    def next_change_s(self, wall_s: float) -> float:
        """When the level may change next; inf: never."""
        ends_s = math.inf if self.seen is None else self.seen.at_s + _HOUR_S
        ends_s = ends_s if ends_s > wall_s else math.inf
        if self._is_constant:
            return ends_s
        # Zones are whole quarters of an hour from UTC.
        quarter_s = _HOUR_S / 4
        at_s = wall_s
        for _ in range(5):
            at_s = (at_s // quarter_s + 1) * quarter_s
            if datetime.fromtimestamp(at_s, self.zone).minute == 0:
                break
        return min(at_s, ends_s)


def flat(zone: tzinfo = timezone.utc, value: float = 1.0) -> WeeklyLoad:
    """The same in every hour."""
    return WeeklyLoad("flat" if value else "idle", (value,) * HOURS, zone=zone)


def office(zone: tzinfo = timezone.utc) -> WeeklyLoad:
    """Most in working hours, little at night and at weekends."""
    weekend = tuple(value * _WEEKEND_RATIO for value in _OFFICE_DAY)
    return WeeklyLoad("office", _OFFICE_DAY * _WEEKDAYS + weekend * 2, zone)


def learned(hours: Iterable[SeenHour | schema.SeenHour], seen: Seen | None = None) -> WeeklyLoad:
    """The week as it was watched: the share of the time with clients in each hour.

    An hour is known if it was watched for a minute. An unknown hour has the mean of the same hour
    on other days of its kind (working days or weekend), else on all days, else a value between
    those of the nearest known hours. A share p that was watched for n visits of five minutes has
    the range (p n) / (n + 2) to (p n + 2) / (n + 2): the rule of succession. If no hour is known,
    each has the share of now (`seen`). If that is unknown too, clients are always active.
    """
    known = {hour.hour: hour for hour in hours if hour.watched_s >= _LEAST_WATCHED_S}
    ratios = {number: hour.present_ratio for number, hour in known.items()}
    visits = {number: hour.watched_s / _VISIT_S for number, hour in known.items()}
    if not known:
        value = 1.0 if seen is None else seen.clients_ratio
        return _week([value] * HOURS, [0.0] * HOURS, seen, 0)
    alike = _alike(frozenset(known))
    values = [_mean(ratios, *each) for each in alike]
    weights = [_mean(visits, *each) for each in alike]
    return _week(values, weights, seen, len(known))


def _week(
    values: Sequence[float], visits: Sequence[float], seen: Seen | None, known_hours: int
) -> WeeklyLoad:
    low = tuple(p * n / (n + 2) for p, n in zip(values, visits, strict=True))
    high = tuple((p * n + 2) / (n + 2) for p, n in zip(values, visits, strict=True))
    # Hours are stored in UTC, because the configuration may change the time zone.
    return WeeklyLoad("learned", tuple(values), timezone.utc, low, high, seen, known_hours)


@lru_cache(maxsize=4)  # it is needed once a minute, in Synapse's main thread
def _alike(known: frozenset[int]) -> tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]:
    """For each hour of the week, the known hours that stand for it, and their weights."""
    return tuple(_alike_of(number, known) for number in range(HOURS))


def _alike_of(number: int, known: frozenset[int]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if number in known:
        return (number,), (1.0,)
    same_hour = tuple(n for n in known if n % 24 == number % 24)
    alike = tuple(n for n in same_hour if _is_weekend(n) == _is_weekend(number)) or same_hour
    if alike:
        return alike, (1.0,) * len(alike)
    before = min((number - n) % HOURS for n in known)
    after = min((n - number) % HOURS for n in known)
    earlier, later = (number - before) % HOURS, (number + after) % HOURS
    if earlier == later:
        return (earlier,), (1.0,)
    return (earlier, later), (after, before)


def _mean(known: Mapping[int, float], hours: Sequence[int], weights: Sequence[float]) -> float:
    weighted = zip(hours, weights, strict=True)
    return sum(known[hour] * weight for hour, weight in weighted) / sum(weights)


def _is_weekend(hour: int) -> bool:
    return hour // 24 >= _WEEKDAYS


def parse_load(raw: object, name: str, zone: tzinfo) -> WeeklyLoad:
    """The load from 168 numbers, or from one of `KINDS` with 168 numbers. Bare numbers are rates.

    At x requests per second, at most 1, clients are active for 1 - exp(-5 x) of the time: the
    share of the time with a request in the last five seconds.

    A text has blanks between the numbers. So YAML reads one number per line. Raises ValueError if
    it is anything else; the message says what is accepted.
    """
    kind, values = _RATE, raw
    if isinstance(raw, Mapping):
        if len(raw) != 1 or next(iter(raw)) not in KINDS:
            raise ValueError(f"accepted is one of the keys {', '.join(KINDS)}, or a list")
        kind, values = next(iter(raw.items()))
    if isinstance(values, str):
        values = [_number(word) for word in values.split()]
    if isinstance(values, (int, float)):
        values = [values]
    if not isinstance(values, Sequence) or len(values) != HOURS:
        count = f"{len(values)} of them" if isinstance(values, Sequence) else "none"
        raise ValueError(
            f"accepted are {HOURS} numbers, one an hour, from Monday midnight, as a list or one a"
            f" line; found {count}"
        )
    highest = 1.0 if kind == _SHARE else _MOST_RATE
    numbers = [_within(value, highest) for value in values]
    if kind == _RATE:
        numbers = [-math.expm1(-_GAP_S * min(rate, 1.0)) for rate in numbers]
    return WeeklyLoad(name, tuple(numbers), zone)


def _within(value: object, highest: float) -> float:
    if not is_number(value):
        raise ValueError(f"found {found(value)}; accepted are numbers")
    if not 0 <= value <= highest:
        raise ValueError(f"found {found(value)}; accepted is 0 to {highest:g}")
    return float(value)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"found {found(word)}; accepted are numbers") from None
