"""Moments with batches against moments without: one experiment after the other. Pure.

While somebody is there, short hushes are kept between longer spans of work, and the log latencies
of the requests that ended in either are compared. A look that spans a change of phase belongs to
neither and is dropped.
"""

import math
from collections.abc import Mapping

import attrs

# In looks: what spans a change of phase is lost, so a phase has several.
CYCLE_LOOKS = 12
LEAST_LOOKS = 4
WORK_LOOKS_WHEN_CERTAIN = 76

# Of requests of one kind about whose latency little is known. (The log latencies of requests of
# one kind have a standard deviation of 0.5 to 1 on real servers.)
_START_VARIANCE = 0.5

_BASE_SHARE = 0.02
_VARIANCE_SHARE = 0.02
_MOST_DEVIATION = 2.0
_LEAST_VARIANCE = 0.01


@attrs.define
class _Moments:
    """Deviations of the log latency from what is usual for its kind."""

    total: float = 0.0
    requests: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.requests


@attrs.frozen
class Result:
    """One experiment.

    Attributes:
        difference: of the mean log latencies, with batches less without.
        variance: of that difference.
    """

    difference: float
    variance: float


@attrs.define
class Comparison:
    """Phases, and what was seen in them.

    Attributes:
        look_s: time between two looks.
        is_hush: whether this is a moment without batches.
        ends_s: when this phase ends.
    """

    look_s: float = 0.25
    is_hush: bool = False
    ends_s: float = -math.inf
    _began_s: float = -math.inf
    _hushed_s: float = 0.0
    _looked_s: float = -math.inf
    _worked_s: float = -math.inf
    _running: set[str] = attrs.field(factory=set)
    _seen: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    _base: dict[str, float] = attrs.field(factory=dict)
    _variance: float = _START_VARIANCE
    _is_delayed: bool = False
    _has_worked: bool = False
    _work: _Moments = attrs.field(factory=_Moments)
    _hush: _Moments = attrs.field(factory=_Moments)

    def spans_s(self, effort: float, *, is_certain: bool) -> tuple[float, float]:
        """How long work lasts, and the hush after it, for an effort (1: all of the time).

        A small effort is concentrated in a third of the time, because what an experiment tells
        grows with the square of the difference. Little is asked once much is known.
        """
        work, hush = WORK_LOOKS_WHEN_CERTAIN, LEAST_LOOKS
        if not is_certain:
            work = min(max(round(effort * CYCLE_LOOKS), LEAST_LOOKS), CYCLE_LOOKS - LEAST_LOOKS)
            hush = CYCLE_LOOKS - work
        return work * self.look_s, hush * self.look_s

    def hushed_s(self, now_s: float) -> float:
        """How much of the time so far was hushes."""
        if not self.is_hush or not math.isfinite(self._began_s):
            return self._hushed_s
        return self._hushed_s + max(min(now_s, self.ends_s) - self._began_s, 0.0)

    def is_prolonged(self, now_s: float) -> bool:
        """Whether there is no hush although it is time, because another database's batch runs."""
        return not self.is_hush and now_s >= self.ends_s and bool(self._running)

    @property
    def least_s(self) -> float:
        """The shortest batch that is looked at more than once."""
        return 3 * self.look_s

    def turn(
        self, now_s: float, work_s: float, hush_s: float, *, until_batch: bool = False
    ) -> Result | None:
        """Go on to the next phase if this one is over; the experiment that is complete, if any.

        `until_batch`: work is the next batch, from its start to its end, whenever that is.
        """
        if now_s < self.ends_s or (until_batch and self._began_s == math.inf):
            return None
        if self._running and not self.is_hush:
            return None  # of another database: there is no hush before its end
        self._hushed_s = self.hushed_s(now_s)
        ended_s = self.ends_s
        if not self.is_hush and math.isfinite(ended_s):
            # A batch may last beyond the moment that it belongs to.
            ended_s = max(ended_s, self._worked_s)
        if now_s - ended_s > hush_s:
            # Nobody asked for a while: there was no such phase.
            self._work, self._hush, self.is_hush = _Moments(), _Moments(), True
        self.is_hush = not self.is_hush
        until_batch = until_batch and not self.is_hush
        self._began_s = math.inf if until_batch else now_s
        self.ends_s = now_s if until_batch else now_s + (hush_s if self.is_hush else work_s)
        if self.is_hush:
            if self._is_delayed and not self._has_worked:
                self._work = _Moments()
            return None
        self._is_delayed = self._has_worked = False
        if not (self._work.requests and self._hush.requests):
            return None
        result = Result(
            self._work.mean - self._hush.mean,
            self._variance * (1 / self._work.requests + 1 / self._hush.requests),
        )
        self._work, self._hush = _Moments(), _Moments()
        return result

    def delayed(self) -> None:
        """A batch that was due waits; if none runs in this moment, nothing was tried in it."""
        self._is_delayed = True

    def works(self, database_name: str, now_s: float) -> None:
        """A batch begins."""
        self._running.add(database_name)
        self._has_worked = True
        if self._began_s == math.inf:
            self._began_s = self.ends_s = now_s

    def worked(self, database_name: str, now_s: float) -> None:
        """A batch has ended: while it ran, nobody asked for a turn."""
        self._running.discard(database_name)
        self._worked_s = now_s

    def restart(self, now_s: float) -> None:
        """Another update works from now on: what was seen so far is not about it."""
        self._hushed_s = self.hushed_s(now_s)
        self._began_s = self.ends_s = -math.inf

    def forget(self, now_s: float) -> None:
        """Clients waited for something else, so that not even what is usual is known any more."""
        self.restart(now_s)
        self._base.clear()

    def look(
        self, now_s: float, responses: Mapping[str, tuple[float, float]], late_s: float = 0.0
    ) -> None:
        """Time that answers took, and how many there were, by kind, since the server's start.

        `late_s` is how late the event loop is now: a request waits for it before it is counted.
        """
        since_s, self._looked_s = self._looked_s, now_s
        seen, self._seen = self._seen, dict(responses)
        # Work goes on to the end of its last batch, amid which nobody asks for a turn.
        is_over = now_s > self.ends_s and (self.is_hush or not self._running)
        if since_s < self._began_s or is_over:
            return
        phase = self._hush if self.is_hush else self._work
        for kind, (total_s, count) in responses.items():
            total_before_s, count_before = seen.get(kind, (0.0, 0.0))
            added, added_s = count - count_before, total_s - total_before_s
            latency_s = added_s / added + late_s if 0 < added < math.inf else math.nan
            if not 0 < latency_s < math.inf:
                continue
            latency = math.log(latency_s)
            base = self._base.setdefault(kind, latency)
            deviation = max(min(latency - base, _MOST_DEVIATION), -_MOST_DEVIATION)
            share = 1 - (1 - _BASE_SHARE) ** added
            self._base[kind] = base + share * deviation
            spread = min(added * deviation**2, _MOST_DEVIATION**2)
            self._variance += _VARIANCE_SHARE * (max(spread, _LEAST_VARIANCE) - self._variance)
            phase.total += added * deviation
            phase.requests += added
