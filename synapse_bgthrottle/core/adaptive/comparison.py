"""Work and hush by turns, and what clients' latency was in either. Pure.

A switchback experiment (Bojinov, Simchi-Levi, Zhao, 2023): for a while batches follow each other,
then there is none, by assignment and whatever the load is. The mean log latencies of the requests
that ended in either are compared. A regular pause that shows what is usual is also how Envoy's
adaptive concurrency (minRTT) and LEDBAT++ keep their bases honest.

    work        W = 6 looks, hush H = W (1/u - 1)            up to a duty cycle of u = 0.6
    above       H = 4 looks, W = H u / (1 - u)
    least duty  H = 30 s at most, and W = H u / (1 - u)
    variance    v = V (1 / n_work + 1 / n_hush)              V of one request, n requests

All work is at full contrast: information a second is u (x - u) / q at contrast x, greatest at 1.
"""

import math
from collections import deque
from collections.abc import Mapping

import attrs

# In looks: what spans a change of phase is lost, so a phase has several.
_HUSH_LOOKS = 4
_WORK_LOOKS = 6
_LONGEST_HUSH_S = 30.0
LARGEST_TRIAL_RATIO = _WORK_LOOKS / (_WORK_LOOKS + _HUSH_LOOKS)

# A batch may outlast its moment, and is paid for with a hush of at most this.
_LONGEST_PAYMENT_S = 600.0

# For so long others wait for a batch to end, so that there is a moment without any.
_LONGEST_ENDING_S = 30.0

# Of requests of one kind about whose latency little is known. (The log latencies of requests of
# one kind have a standard deviation of 0.5 to 1 on real servers.)
_START_VARIANCE = 0.5

# For each request. At 2 % what is usual would follow work and hush, and hide a sixth of the
# difference between them.
_BASE_SHARE = 0.004
_VARIANCE_SHARE = 0.02
_MOST_DEVIATION = 2.0
_LEAST_VARIANCE = 0.01

# Suspicion: the last three seconds of work, in their own standard deviations.
_SUSPICIOUS = 2.4
_SUSPICION_LOOKS = 12
_USUAL_SHARE = 0.3
_QUEUEING = 2.5


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
        variance: of that difference, by formula.
    """

    difference: float
    variance: float


@attrs.frozen
class Turn:
    """A work moment is over, and the hush after it.

    Attributes:
        work_s, hush_s: how long they were.
        result: what they told; None: nothing.
    """

    work_s: float
    hush_s: float
    result: Result | None


@attrs.define
class Switchback:
    """Phases, and what was seen in them. It begins with a hush.

    Attributes:
        look_s: time between two looks.
        is_hush: whether this is a moment without batches.
        began_s, ends_s: when this phase began and ends.
        is_suspicious: whether clients were slower in this work than in work before.
    """

    look_s: float = 0.25
    is_hush: bool = True
    began_s: float = -math.inf
    ends_s: float = -math.inf
    is_suspicious: bool = False
    _work_s: float = 0.0
    _asked_s: float = -math.inf
    _looked_s: float = -math.inf
    _has_worked: bool = False
    _running: set[str] = attrs.field(factory=set)
    _ran_s: float = -math.inf
    _seen: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    _base: dict[str, float] = attrs.field(factory=dict)
    _variance: float = _START_VARIANCE
    _usual_work: float = 0.0
    _work: _Moments = attrs.field(factory=_Moments)
    _hush: _Moments = attrs.field(factory=_Moments)
    _latest: deque[tuple[float, float]] = attrs.field(
        factory=lambda: deque(maxlen=_SUSPICION_LOOKS)
    )

    def spans_s(self, ratio: float) -> tuple[float, float]:
        """How long work lasts, and the hush after it, for a duty cycle."""
        least_s = _HUSH_LOOKS * self.look_s
        if ratio > LARGEST_TRIAL_RATIO:
            return least_s * ratio / max(1 - ratio, 0.001), least_s
        work_s = _WORK_LOOKS * self.look_s
        hush_s = min(work_s * (1 / ratio - 1), max(_LONGEST_HUSH_S, least_s))
        return min(work_s, hush_s * ratio / (1 - ratio)), hush_s

    def turn(self, now_s: float, ratio: float) -> Turn | None:
        """Go on to the next phase if this one is over; `ratio` is the duty cycle from now on."""
        if now_s - self._asked_s > _LONGEST_PAYMENT_S:
            self.restart(now_s)
        self._asked_s = now_s
        if self.began_s == -math.inf:
            self._begin(now_s, _HUSH_LOOKS * self.look_s, is_hush=True)
            return None
        if self.is_hush:
            return self._end_hush(now_s, ratio)
        if now_s >= self.ends_s and not self._is_ending(now_s):
            self._work_s = now_s - self.began_s
            self._begin(now_s, self._hush_s(ratio), is_hush=True)
        return None

    def begin_work(self, now_s: float, ratio: float) -> None:
        """The moment of work that begins now is for this duty cycle."""
        work_s, _ = self.spans_s(ratio)
        self._begin(now_s, work_s, is_hush=False)

    def is_ending(self, now_s: float) -> bool:
        """Whether work is over but for a batch of another database, that is waited for."""
        return not self.is_hush and now_s >= self.ends_s and self._is_ending(now_s)

    def stand_still(self, passed_s: float) -> None:
        """Nobody was there for so long: phases go on where they were."""
        self.began_s += passed_s
        self.ends_s += passed_s

    def restart(self, now_s: float) -> None:
        """What was seen so far is not about what comes: begin with a hush."""
        self._work, self._hush = _Moments(), _Moments()
        self.began_s, self.is_hush, self.is_suspicious = -math.inf, True, False
        self._latest.clear()

    def forget(self, now_s: float) -> None:
        """Clients waited for something else, so that not even what is usual is known any more."""
        self.restart(now_s)
        self._base.clear()

    def works(self, database_name: str) -> None:
        """A batch begins."""
        self._running.add(database_name)
        self._has_worked = True

    def worked(self, database_name: str, now_s: float) -> None:
        """A batch has ended."""
        self._running.discard(database_name)
        self._ran_s = now_s

    def is_clean(self, since_s: float) -> bool:
        """Whether no batch has run since."""
        return not self._running and self._ran_s <= since_s

    def look(
        self, now_s: float, responses: Mapping[str, tuple[float, float]], late_s: float = 0.0
    ) -> None:
        """Time that answers took, and how many there were, by kind, since the server's start.

        `late_s` is how late the event loop is now: a request waits for it before it is counted.
        """
        since_s, self._looked_s = self._looked_s, now_s
        seen, self._seen = self._seen, dict(responses)
        deviations = self._deviations(seen, late_s)
        if since_s < self.began_s:
            return  # part of it was another phase
        if self.is_hush:
            if self.is_clean(since_s):
                self._hush.total += deviations.total
                self._hush.requests += deviations.requests
        elif now_s <= self.ends_s or self._running:
            self._work.total += deviations.total
            self._work.requests += deviations.requests
            self._suspect(now_s, deviations)

    def _deviations(self, seen: Mapping[str, tuple[float, float]], late_s: float) -> _Moments:
        found = _Moments()
        for kind, (total_s, count) in self._seen.items():
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
            found.total += added * deviation
            found.requests += added
        return found

    def _suspect(self, now_s: float, deviations: _Moments) -> None:
        self._latest.append((deviations.total, deviations.requests))
        if now_s - self.began_s < _SUSPICION_LOOKS * self.look_s or self.is_suspicious:
            return
        total, requests = (sum(each) for each in zip(*self._latest, strict=True))
        excess = total - requests * self._usual_work
        if requests and excess / math.sqrt(requests * self._variance * _QUEUEING) > _SUSPICIOUS:
            self.is_suspicious = True
            self.ends_s = now_s

    def _is_ending(self, now_s: float) -> bool:
        return bool(self._running) and now_s - self.ends_s < _LONGEST_ENDING_S

    def _hush_s(self, ratio: float) -> float:
        paid_s = min(self._work_s * (1 / ratio - 1), _LONGEST_PAYMENT_S)
        return max(paid_s, _HUSH_LOOKS * self.look_s)

    def _begin(self, now_s: float, lasts_s: float, *, is_hush: bool) -> None:
        self.is_hush, self.began_s, self.ends_s = is_hush, now_s, now_s + lasts_s
        if not is_hush:
            self._has_worked = False
            self._latest.clear()

    def _end_hush(self, now_s: float, ratio: float) -> Turn | None:
        self.ends_s = self.began_s + self._hush_s(ratio)  # it may have changed since
        if now_s < self.ends_s:
            return None
        work, hush = self._work, self._hush
        result = None
        if self._has_worked and not self.is_suspicious and work.requests and hush.requests:
            result = Result(
                work.mean - hush.mean, self._variance * (1 / work.requests + 1 / hush.requests)
            )
        if work.requests:
            self._usual_work += _USUAL_SHARE * (work.mean - self._usual_work)
        turn = Turn(self._work_s, now_s - self.began_s, result)
        self._work, self._hush, self._work_s = _Moments(), _Moments(), 0.0
        return turn
