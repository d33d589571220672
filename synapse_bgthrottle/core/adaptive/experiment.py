"""Work and rest by turns, and what clients' latency was in either. Pure.

A switchback experiment: for a while batches follow each other, then there is none, by assignment
and whatever the load is. The mean log latencies of the requests that ended in either are compared.
`controller` has the formulas, and where they come from.
"""

import math
from collections import deque
from collections.abc import Mapping

import attrs

# In looks: what spans a change of phase is lost, so a phase has several.
_REST_LOOKS = 4
_WORK_LOOKS = 6
# Up to this share of the time it is the rest that follows from the work, above it the reverse.
LARGEST_TRIAL_RATIO = _WORK_LOOKS / (_WORK_LOOKS + _REST_LOOKS)
LONGEST_REST_S = 30.0

# A batch may outlast its moment, and is paid for with a rest of at most this.
_LONGEST_PAYMENT_S = 600.0

# All wait for the last batch to end, so that there is a moment without any; not if it takes longer.
_LONGEST_BATCH_S = 30.0

# Of requests of one kind about whose latency little is known. (The log latencies of requests of
# one kind have a standard deviation of 0.5 to 1 on real servers.)
_START_VARIANCE = 0.5

# What is usual follows slowly, or it would follow an update that turns harmful, and hide it: for so
# many requests of one kind, looks, and requests in work.
_BASE_REQUESTS = 250.0
_START_REQUESTS = 50.0
_VARIANCE_LOOKS = 250.0
_START_LOOKS = 10.0
_WORK_REQUESTS = 3000.0
_MOST_DEVIATION = 2.0
_LEAST_VARIANCE = 0.01

# Suspicion: the last three seconds of work, in their own standard deviations, against the work of
# before. Requests that meet in a queue are not independent, which inflates the variance: so much at
# first, and then as much as such seconds have differed (the modelled servers: 2.5 to 7). A mean of
# squares of normal values that are cut at two standard deviations is 0.774 of the variance.
_SUSPICIOUS = 2.5
_SUSPICION_LOOKS = 12
_START_INFLATION = 2.5
_START_INFLATION_LOOKS = 48.0
_INFLATION_LOOKS = 600.0
_LEAST_INFLATION = 1.0
_CUT_AT = 2.0
_CUT_SHARE = 0.774


@attrs.define
class _Usual:
    """A mean that forgets: of so much weight at most."""

    most: float
    mean: float = 0.0
    weight: float = 0.0

    def follow(self, value: float, weight: float = 1.0) -> None:
        self.weight = min(self.weight + weight, self.most)
        self.mean += min(weight / self.weight, 1.0) * (value - self.mean)


@attrs.define
class _Sum:
    """Deviations of the log latency from what is usual for its kind."""

    total: float = 0.0
    requests: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.requests

    def add(self, other: "_Sum") -> None:
        self.total += other.total
        self.requests += other.requests


@attrs.frozen
class Result:
    """One experiment."""

    difference: float  # of the mean log latencies, with batches less without
    variance: float  # of that difference, by formula


@attrs.frozen
class Turn:
    """A moment of work is over, and the rest after it."""

    work_s: float
    rest_s: float
    result: Result | None  # of both; None: it cannot be compared
    is_suspicious: bool  # whether clients were slower in this work than in work before


@attrs.define
class Switchback:
    """Phases, and what was seen in them. It begins with a rest."""

    look_s: float = 0.25  # time between two looks
    is_rest: bool = True  # whether this is a moment without batches
    began_s: float = -math.inf  # of this phase
    ends_s: float = -math.inf
    _work_s: float = 0.0
    _planned_s: float = 0.0
    _batch_s: float = 0.0
    _is_short: bool = False  # too short to be looked at: paid for by its batches alone
    _asked_s: float = -math.inf
    _looked_s: float = -math.inf
    _is_suspicious: bool = False
    _has_worked: bool = False
    _running: dict[str, float] = attrs.field(factory=dict)
    _ran_s: float = -math.inf
    _seen: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    _base: dict[str, _Usual] = attrs.field(factory=dict)
    _spread: _Usual = attrs.field(
        factory=lambda: _Usual(_VARIANCE_LOOKS, _START_VARIANCE, _START_LOOKS)
    )
    _usual_work: _Usual = attrs.field(factory=lambda: _Usual(_WORK_REQUESTS))
    _inflation: _Usual = attrs.field(
        factory=lambda: _Usual(_INFLATION_LOOKS, _START_INFLATION, _START_INFLATION_LOOKS)
    )
    _work: _Sum = attrs.field(factory=_Sum)
    _rest: _Sum = attrs.field(factory=_Sum)
    _latest: deque[_Sum] = attrs.field(factory=lambda: deque(maxlen=_SUSPICION_LOOKS))

    def turn(self, now_s: float, ratio: float) -> Turn | None:
        """Go on to the rest if work is over. Return what both showed if the rest is over, too.

        Args:
            now_s: the time.
            ratio: the share of the time that is work, from now on.
        """
        if now_s - self._asked_s > _LONGEST_PAYMENT_S:
            self.restart()
        self._asked_s = now_s
        if self.began_s == -math.inf:
            self._begin(now_s, self._rest_s(ratio), is_rest=True)
        elif self.is_rest:
            self.ends_s = self.began_s + self._rest_s(ratio)  # it may have changed since
            if now_s >= self.ends_s:
                return self._result(now_s)
        elif now_s >= self.ends_s and not self.is_ending(now_s):
            # Nobody may have asked since: there was no update for a while.
            ended_s = max(self.ends_s, self._ran_s)
            self._work_s = self._batch_s if self._is_short else ended_s - self.began_s
            self._begin(now_s, self._rest_s(ratio), is_rest=True)
        return None

    def begin_work(self, now_s: float, ratio: float) -> None:
        """A moment of work begins."""
        rest_s = _REST_LOOKS * self.look_s
        work_s = rest_s * ratio / max(1 - ratio, 0.001)
        if ratio <= LARGEST_TRIAL_RATIO:
            longest_s = max(LONGEST_REST_S, rest_s) * ratio / (1 - ratio)
            work_s = min(_WORK_LOOKS * self.look_s, longest_s)
        self._begin(now_s, work_s, is_rest=False)
        self._planned_s = work_s
        self._is_short = work_s < rest_s
        self._has_worked, self._batch_s = False, 0.0
        self._latest.clear()

    def is_ending(self, now_s: float) -> bool:
        """Whether work is over but for a batch that all wait for."""
        is_over = not self.is_rest and now_s >= self.ends_s
        return is_over and any(now_s - at_s < _LONGEST_BATCH_S for at_s in self._running.values())

    def stand_still(self, passed_s: float) -> None:
        """No client was active for so long: phases go on where they were."""
        self.began_s += passed_s
        self.ends_s += passed_s

    def restart(self) -> None:
        """What was seen so far is not about what comes: begin with a rest."""
        self._work, self._rest, self._work_s = _Sum(), _Sum(), 0.0
        self.began_s, self.is_rest, self._is_suspicious = -math.inf, True, False

    def leave_out(self) -> None:
        """Another update works from now on: phases go on, but this experiment is about none."""
        self._work, self._rest = _Sum(), _Sum()
        self._has_worked = self._is_suspicious = False

    def forget(self) -> None:
        """Clients waited for something else, so that not even what is usual is known any more."""
        self.restart()
        self._base.clear()

    def works(self, database_name: str, now_s: float) -> None:
        """A batch begins."""
        self._running[database_name] = now_s
        self._has_worked = True

    def worked(self, database_name: str, now_s: float) -> None:
        """A batch has ended."""
        self._batch_s += now_s - self._running.pop(database_name, now_s)
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
        deviations = self._deviations(responses, late_s)
        if since_s < self.began_s:
            return  # a part of it was another phase
        if self.is_rest:
            if self.is_clean(since_s):
                self._rest.add(deviations)
        elif now_s <= self.ends_s or self._running:
            self._work.add(deviations)
            self._suspect(now_s, deviations)

    def _deviations(self, responses: Mapping[str, tuple[float, float]], late_s: float) -> _Sum:
        seen, self._seen = self._seen, dict(responses)
        found = _Sum()
        for kind, (total_s, count) in responses.items():
            total_before_s, count_before = seen.get(kind, (0.0, 0.0))
            added, added_s = count - count_before, total_s - total_before_s
            latency_s = added_s / added + late_s if 0 < added < math.inf else math.nan
            if not 0 < latency_s < math.inf:
                continue
            latency = math.log(latency_s)
            base = self._base.setdefault(kind, _Usual(_BASE_REQUESTS, latency, _START_REQUESTS))
            deviation = max(min(latency - base.mean, _MOST_DEVIATION), -_MOST_DEVIATION)
            base.follow(base.mean + deviation, added)
            spread = min(added * deviation**2, _MOST_DEVIATION**2)
            self._spread.follow(max(spread, _LEAST_VARIANCE))
            found.add(_Sum(added * deviation, added))
        return found

    def _suspect(self, now_s: float, deviations: _Sum) -> None:
        self._latest.append(deviations)
        if now_s - self.began_s < _SUSPICION_LOOKS * self.look_s or self._is_suspicious:
            return
        requests = sum(each.requests for each in self._latest)
        if not requests:
            return
        excess = sum(each.total for each in self._latest) - requests * self._usual_work.mean
        surprise = excess / math.sqrt(requests * self._spread.mean)
        inflation = max(self._inflation.mean, _LEAST_INFLATION)
        if surprise > _SUSPICIOUS * math.sqrt(inflation):
            self._is_suspicious = True
            self.ends_s = now_s
        self._inflation.follow(min(surprise**2, _CUT_AT**2 * inflation) / _CUT_SHARE)

    def _rest_s(self, ratio: float) -> float:
        rest, planned_s = 1 / ratio - 1, min(self._work_s, self._planned_s)
        # The share may have fallen since: that is no reason to starve an update.
        paid_s = min(planned_s * rest, LONGEST_REST_S)
        # What outlasted the moment is paid for in full.
        paid_s += min((self._work_s - planned_s) * rest, _LONGEST_PAYMENT_S)
        return max(paid_s, _REST_LOOKS * self.look_s)

    def _begin(self, now_s: float, lasts_s: float, *, is_rest: bool) -> None:
        self.is_rest, self.began_s, self.ends_s = is_rest, now_s, now_s + lasts_s

    def _result(self, now_s: float) -> Turn:
        work, rest = self._work, self._rest
        result = None
        # Suspicion chose the moment, so that what it showed is no fair sample.
        if self._has_worked and not self._is_suspicious and work.requests and rest.requests:
            variance = self._spread.mean * (1 / work.requests + 1 / rest.requests)
            result = Result(work.mean - rest.mean, variance)
        if work.requests:
            self._usual_work.follow(work.mean, work.requests)
        turn = Turn(self._work_s, now_s - self.began_s, result, self._is_suspicious)
        self._work, self._rest, self._work_s = _Sum(), _Sum(), 0.0
        self._is_suspicious = False
        return turn
