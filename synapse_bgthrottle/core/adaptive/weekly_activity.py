"""How busy clients were in each hour of the week, as far as it was seen. Pure.

Seen is only what is looked at anyway: nothing while no update is pending, or a window holds it.
Hours are of UTC, the first is Monday's from midnight. Each is remembered by itself, and what was
seen of it two weeks ago counts for half of what was seen today.
"""

import math
from collections.abc import Iterable

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity
from synapse_bgthrottle.core.signals.samples import ProcessSample

HOURS = 168
_HOUR_S = 3600.0

# 1970-01-01 was a Thursday.
_HOURS_BEFORE_EPOCH = 72

_HALF_AFTER_WEEKS = 2.0

# Two looks that are further apart than this do not tell of the time between.
_LONGEST_GAP_S = 2.0

# Somebody is there until requests are further apart than usual, and for no less than this.
_QUIET_AFTER_S = 0.5


@attrs.frozen
class SeenHour:
    """One hour of the week."""

    hour: int  # 0 to 167
    week: int  # when it was last seen, in weeks since 1969-12-29
    watched_s: float = 0.0  # for how long it was watched, what is old counted for less
    present_s: float = 0.0  # for how long of that clients were there
    requests: float = 0.0  # how many were answered in it; 0 too where none can be seen

    @property
    def present_ratio(self) -> float:
        """For how much of the watched time clients were there."""
        return self.present_s / self.watched_s if self.watched_s else 0.0

    def faded(self, week: int) -> "SeenHour":
        """The same as it counts in that week; a clock that was put back fades nothing."""
        factor = 0.5 ** (max(week - self.week, 0) / _HALF_AFTER_WEEKS)
        return SeenHour(
            self.hour,
            week,
            self.watched_s * factor,
            self.present_s * factor,
            self.requests * factor,
        )

    def and_also(self, other: "SeenHour") -> "SeenHour":
        """Both together, as they count in the week of the other one."""
        mine = self.faded(other.week)
        return SeenHour(
            self.hour,
            other.week,
            mine.watched_s + other.watched_s,
            mine.present_s + other.present_s,
            mine.requests + other.requests,
        )


class WeeklyActivity:
    """All hours that were seen.

    Attributes:
        hours: by number.
        watched_s: how long it was watched since the start.
        present_s: for how much of that clients were there.
    """

    def __init__(self, *, sees_requests: bool = True) -> None:
        """`sees_requests` is whether clients' requests come to this process."""
        self.hours: dict[int, SeenHour] = {}
        self.watched_s = self.present_s = 0.0
        self._sees_requests = sees_requests
        self._changed: set[int] = set()
        self._before: ProcessSample | None = None

    def recall(self, stored: Iterable[SeenHour]) -> None:
        """This was seen before the server was started; what was since is added to it."""
        for hour in stored:
            since = self.hours.get(hour.hour)
            self.hours[hour.hour] = hour if since is None else hour.and_also(since)

    def see(self, sample: ProcessSample, activity: ClientActivity, wall_s: float) -> None:
        """A look at this process, after which `activity` is as it was then.

        Args:
            sample: what was seen.
            activity: whether anybody is there.
            wall_s: when, since the epoch.
        """
        before, self._before = self._before, sample
        if before is None or not activity.is_known(sample.at_s):
            return
        span_s = sample.at_s - before.at_s
        if not 0 < span_s <= _LONGEST_GAP_S:
            return
        week, number = divmod(int(wall_s // _HOUR_S) + _HOURS_BEFORE_EPOCH, HOURS)
        is_quiet = activity.is_quiet(sample.at_s, _QUIET_AFTER_S)
        came = max(answered(sample) - answered(before), 0)
        new = SeenHour(number, week, span_s, 0.0 if is_quiet else span_s, came)
        self.watched_s += new.watched_s
        self.present_s += new.present_s
        old = self.hours.get(number)
        self.hours[number] = new if old is None else old.and_also(new)
        self._changed.add(number)

    def stated(self) -> tuple[schema.SeenHour, ...]:
        """As the HTTP API states it, by number; hours that were never watched are left out."""
        return tuple(
            schema.SeenHour(
                hour=hour.hour,
                watched_s=round(hour.watched_s, 3),
                present_ratio=round(hour.present_ratio, 4),
                requests_per_second=round(hour.requests / hour.watched_s, 4)
                if self._sees_requests
                else None,
            )
            for _, hour in sorted(self.hours.items())
            if hour.watched_s > 0
        )

    def changed(self) -> list[SeenHour]:
        """Those that changed since this was asked: to be written."""
        changed = [self.hours[number] for number in sorted(self._changed)]
        self._changed.clear()
        return changed

    def put_back(self, hours: Iterable[SeenHour]) -> None:
        """These could not be written."""
        self._changed.update(hour.hour for hour in hours)


def answered(sample: ProcessSample) -> int:
    """How many requests of clients this process has answered; 0 where that cannot be seen."""
    counts = [count for _, count in (sample.responses or {}).values()]
    return sum(int(count) for count in counts if math.isfinite(count))
