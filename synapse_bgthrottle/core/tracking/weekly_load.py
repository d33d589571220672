"""The server's week: how much of the time clients are there, in each of its 168 hours. Pure."""

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

# Of the time with clients: all of it at work, a little before and after, hardly any at night.
_OFFICE_DAY = (
    *(0.05,) * 6,
    *(0.2, 0.5, 0.9, 1.0, 1.0, 1.0, 0.8, 0.9, 1.0, 1.0, 0.9, 0.7, 0.4),
    *(0.25, 0.2, 0.15, 0.1, 0.05),
)
_WEEKEND_RATIO = 0.2

# An hour that was watched for less is not known.
_LEAST_WATCHED_S = 60.0

# Clients come for about so long.
_VISIT_S = 300.0

# For so long without a request, at the most, clients are still there.
_GAP_S = 5.0

_WEEKDAYS = 5

KINDS = ("requests_per_second", "share_of_time")

# In requests a second. From one on, clients are taken to be there all the time.
_MOST_RATE = 1e9


@attrs.frozen
class Seen:
    """How busy clients are now: it counts for the hour to come."""

    clients_ratio: float
    at_s: float


@attrs.frozen
class WeeklyLoad:
    """A week of hours, the first is Monday's from midnight."""

    name: str  # for people
    values: tuple[float, ...]  # of each hour the share of the time in which clients are there
    zone: tzinfo = timezone.utc  # of the clock on the wall
    # The range of each hour's share; None: it is exact.
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    seen: Seen | None = None
    # How many hours rest on what was seen of them; the others are taken to be like these.
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
        """The share of the time with clients at a time; fewest where things go well (`early`)."""
        local = datetime.fromtimestamp(wall_s, self.zone)
        number = local.weekday() * 24 + local.hour
        value = self.values[number]
        bounds = {EARLY: self.low, LATE: self.high}.get(case)
        if bounds is not None:
            value = bounds[number]
        if self.seen is None or not 0 <= wall_s - self.seen.at_s < _HOUR_S:
            return value
        now = self.seen.clients_ratio
        return {EARLY: min(now, value), LATE: max(now, value)}.get(case, now)

    def next_change_s(self, wall_s: float) -> float:
        """When the level may be another one; inf: it never is."""
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
    """Always the same."""
    return WeeklyLoad("flat" if value else "idle", (value,) * HOURS, zone=zone)


def office(zone: tzinfo = timezone.utc) -> WeeklyLoad:
    """Most at work, little at night and at weekends."""
    weekend = tuple(value * _WEEKEND_RATIO for value in _OFFICE_DAY)
    return WeeklyLoad("office", _OFFICE_DAY * 5 + weekend * 2, zone)


def learned(hours: Iterable[SeenHour | schema.SeenHour], seen: Seen | None = None) -> WeeklyLoad:
    """The week by what was seen of it: the share of each hour in which clients were there.

    An hour counts once it was watched for a minute. One that was not is like the same hour of
    other days of the kind, else of any day, else like what lies between the hours around it. The
    range of a share p of which n visits' worth of time was seen is (p n) / (n + 2) to
    (p n + 2) / (n + 2): the rule of succession, a visit taken for five minutes. Where no hour is
    known, what was seen just now goes on; where nothing was, clients are always there.
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
    # Hours are kept by UTC, since zones and their summer times are a matter of configuration.
    return WeeklyLoad("learned", tuple(values), timezone.utc, low, high, seen, known_hours)


@lru_cache(maxsize=4)  # it is asked for once a minute, in Synapse's main thread
def _alike(known: frozenset[int]) -> tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]:
    """For each hour of the week, the known hours that it is taken for, and their weights."""
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
    """168 numbers, or a mapping of one of `KINDS` to them; bare numbers are rates.

    At x requests a second clients are there for 1 - exp(-5 x) of the time, x being 1 at most: the
    share of the time with a request in the last five seconds.

    A text is numbers with blanks between them, which is what YAML makes of one on each line.
    Raises ValueError if it is anything else; the message says what is accepted.
    """
    kind, values = KINDS[0], raw
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
    highest = 1.0 if kind == KINDS[1] else _MOST_RATE
    numbers = [_within(value, highest) for value in values]
    if kind == KINDS[0]:
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
