"""The server's week: how much clients do in each of its 168 hours, by the clock on the wall."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone, tzinfo

import attrs

HOURS = 168
_HOUR_S = 3600.0

# People at work from 8 to 18, a little before and after, and hardly anybody else.
_OFFICE_DAY = (
    *(0.05,) * 6,
    *(0.2, 0.5, 0.9, 1.0, 1.0, 1.0, 0.8, 0.9, 1.0, 1.0, 0.9, 0.7, 0.4),
    *(0.25, 0.2, 0.15, 0.1, 0.05),
)
_WEEKEND_RATIO = 0.2

KINDS = ("requests_per_second", "share_of_time")


@attrs.frozen
class WeeklyLoad:
    """A week of hours, the first is Monday's from midnight.

    Attributes:
        name: for people.
        values: of each hour: a rate, or the share of the time in which clients are there.
        is_share: whether it is the latter.
        zone: of the clock on the wall.
    """

    name: str
    values: tuple[float, ...]
    is_share: bool = False
    zone: tzinfo = timezone.utc

    @property
    def most(self) -> float:
        """The greatest value."""
        return max(self.values)

    def level(self, wall_s: float) -> float:
        """The load at a time, 0 to 1: rates against the week's greatest, shares as they are."""
        local = datetime.fromtimestamp(wall_s, self.zone)
        value = self.values[local.weekday() * 24 + local.hour]
        if self.is_share:
            return value
        return value / self.most if self.most else 0.0

    def levels(self) -> tuple[float, ...]:
        """Each different level, from the highest."""
        scale = 1.0 if self.is_share or not self.most else self.most
        return tuple(sorted({value / scale for value in self.values}, reverse=True))

    def mean_level(self, from_s: float, until_s: float) -> float:
        """The mean of the levels from one time to another, of the last week of it at most."""
        from_s = max(from_s, until_s - HOURS * _HOUR_S)
        if from_s >= until_s:
            return self.level(until_s)
        total, at_s = 0.0, from_s
        while at_s < until_s:
            next_s = min(self.next_change_s(at_s), until_s)
            total += self.level(at_s) * (next_s - at_s)
            at_s = next_s
        return total / (until_s - from_s)

    def next_change_s(self, wall_s: float) -> float:
        """When the level may be another one; inf: it never is."""
        if len(set(self.values)) == 1:
            return math.inf
        # Zones are whole quarters of an hour from UTC.
        quarter_s = _HOUR_S / 4
        at_s = wall_s
        for _ in range(5):
            at_s = (at_s // quarter_s + 1) * quarter_s
            if datetime.fromtimestamp(at_s, self.zone).minute == 0:
                break
        return at_s


def flat(zone: tzinfo = timezone.utc, value: float = 1.0) -> WeeklyLoad:
    """Always the same."""
    return WeeklyLoad("flat" if value else "idle", (value,) * HOURS, zone=zone)


def office(zone: tzinfo = timezone.utc) -> WeeklyLoad:
    """Most at work, little at night and at weekends."""
    weekend = tuple(value * _WEEKEND_RATIO for value in _OFFICE_DAY)
    return WeeklyLoad("office", _OFFICE_DAY * 5 + weekend * 2, zone=zone)


def parse_load(raw: object, name: str, zone: tzinfo) -> WeeklyLoad:
    """168 numbers, or a mapping of one of `KINDS` to them; bare numbers are rates.

    A text is numbers with blanks between them, which is what YAML makes of one on each line.

    Raises:
        ValueError: it is anything else; the message says what is accepted.
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
    most = 1.0 if kind == KINDS[1] else math.inf
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"found {value!r:.50}; accepted are numbers")
        if not 0 <= value <= most or math.isinf(value):
            raise ValueError(f"found {value!r:.50}; accepted is 0 to {most:g}")
        numbers.append(float(value))
    return WeeklyLoad(name, tuple(numbers), kind == KINDS[1], zone)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"found {word!r:.50}; accepted are numbers") from None
