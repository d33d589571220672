"""The pace of an update, measured from looks at how much is left. Pure.

A look sees only batches that have ended, so what is left falls in steps. The time of a step is
known only to within the time between two looks. So:

- Pace is measured from step to step, never from look to look. Between two steps there are whole
  batches and whole rests.
- It is measured separately with clients and without: the two may differ tenfold. A step counts for
  the case that held for most of its time.
- Pace is the ratio of two sums over the steps, work and time, in which old steps fade. Time in
  holds makes nothing fade. If the steps of the last `_RECENT_S` differ by a factor of `_CHANGED`,
  the load has changed, and only these steps count.
- The range includes the pace of the last minutes, because the number of clients varies.
- Until enough is measured, the expected pace (`expected_pace`) is mixed in.
- Between steps the answer counts down. If a batch takes more than twice the usual time, the rest of
  that time counts as time without work.
"""

import functools
import math
from collections import deque
from collections.abc import Iterable

import attrs

from synapse_bgthrottle.core.scheduling.batch_cost import FadingSums
from synapse_bgthrottle.core.tracking.expected_pace import Range, Shares

HALF_LIFE_S = 30.0

# The half-life is at least so many times the uncertainty of a step's time. So the pace is known to
# about a tenth.
_LEAST_COVER = 16
# A step that is so many times faster than usual skipped items or a gap in the numbers. It does not
# show the pace of the following ones.
_LEAP = 10.0

# If the pace changed by this factor over so many steps and seconds, the load has changed.
_RECENT_S, _RECENT_STEPS, _CHANGED = 20.0, 4, 1.5

# The expected pace has the weight of so many seconds, and of the uncertainty of a step's time.
_EXPECTED_WEIGHT_S = 5.0

# Relative error of the measured pace. Its range also includes the pace of so many half-lives.
_ERROR, _PAST = 0.25, 10

# The time over which the share of time with clients is measured.
_PRESENT_S = 25.0
_MOSTLY = 0.5
# By chance, that share varies by more than this.
_BY_CHANCE = 0.05


@attrs.frozen
class Look:
    """An update at one time. All totals count from the same instant."""

    now_s: float  # time of the look, monotonic
    left: float | None  # how much is left to do, always in the same unit; None: unknown
    batch_s: float  # time in batches that have ended
    held_s: float  # time in holds, with the present one
    items: float = 0.0  # done by batches
    watched_s: float = 0.0  # time in which it was known whether clients are active
    clients_s: float = 0.0  # the part of that with active clients
    batches: float = 0.0

    def active_s_since(self, earlier: "Look") -> float:
        """Seconds from the earlier look to this one, without holds."""
        return max(self.now_s - earlier.now_s - (self.held_s - earlier.held_s), 0.0)

    def clients_since(self, earlier: "Look") -> float | None:
        """The share of the time with clients since then; None: less than half was watched."""
        watched_s = self.watched_s - earlier.watched_s
        if watched_s <= 0 or watched_s < _MOSTLY * self.active_s_since(earlier):
            return None
        return min(max((self.clients_s - earlier.clients_s) / watched_s, 0.0), 1.0)

    def is_after(self, earlier: "Look") -> bool:
        """Whether no clock and no total went back, and none is NaN."""
        mine, theirs = (attrs.astuple(attrs.evolve(each, left=0.0)) for each in (self, earlier))
        return all(new >= old for new, old in zip(mine, theirs, strict=True))

    @property
    def is_sound(self) -> bool:
        """Whether all numbers are finite, and what is left is not negative."""
        known = [value for value in attrs.astuple(self) if value is not None]
        return all(map(math.isfinite, known)) and (self.left is None or self.left >= 0)


@attrs.frozen
class Sums(FadingSums):
    """Over steps."""

    steps: float = 0.0
    work: float = 0.0
    active_s: float = 0.0
    batch_s: float = 0.0
    items: float = 0.0
    clients_s: float = 0.0
    batches: float = 0.0

    @property
    def rate(self) -> float:
        """Work per second; 0: none was done."""
        return max(self.work, 0.0) / self.active_s if self.active_s else 0.0


@attrs.define
class _Regime:
    """The steps with clients, or those without."""

    sums: Sums = Sums()
    past: Sums = Sums()
    _latest: deque[Sums] = attrs.field(factory=deque)

    @property
    def rates(self) -> Range:
        now, past = self.sums.rate, self.past.rate
        return Range(now, min(now, past) * (1 - _ERROR), max(now, past) * (1 + _ERROR))

    def take(self, step: Sums, half_life_s: float) -> None:
        self.sums = step.plus(self.sums, 0.5 ** (step.active_s / half_life_s))
        self.past = step.plus(self.past, 0.5 ** (step.active_s / (_PAST * half_life_s)))
        self._latest.append(step)
        while len(self._latest) > _RECENT_STEPS and (
            sum(each.active_s for each in self._latest) - self._latest[0].active_s >= _RECENT_S
        ):
            self._latest.popleft()
        recent = _sum(self._latest)
        if recent.steps < _RECENT_STEPS or recent.active_s < _RECENT_S:
            return
        # Leave out one step, which may be a leap, or may have waited for something.
        by_rate = sorted(self._latest, key=lambda each: each.rate)
        old, least, most = self.sums.rate, _sum(by_rate[:-1]).rate, _sum(by_rate[1:]).rate
        if least > old * _CHANGED or most < old / _CHANGED:
            self.sums = recent

    def set_back(self, by: float) -> None:
        self.sums = attrs.evolve(self.sums, work=self.sums.work - by)
        self.past = attrs.evolve(self.past, work=self.past.work - by)
        if self._latest:
            self._latest[-1] = attrs.evolve(self._latest[-1], work=self._latest[-1].work - by)


@attrs.define
class MeasuredPace:
    """The pace of one update, from one look to the next."""

    _look: Look | None = None  # the last one
    _first: Look | None = None  # the first since the measurement began anew
    _step: Look | None = None  # the last one at which a batch had ended
    _alone: _Regime = attrs.field(factory=_Regime)
    _among: _Regime = attrs.field(factory=_Regime)
    _blur_s: float = 0.0  # uncertainty of a step's time
    _most_left: float = 0.0  # how much was left at the first look
    _latest: deque[Look] = attrs.field(factory=deque)

    def observe(self, look: Look) -> None:
        """Take a look. They may come at any times, but in order."""
        if not look.is_sound:
            return
        earlier, self._look = self._look, look
        self._note_presence(look)
        if (
            earlier is None
            or not look.is_after(earlier)
            or (look.left is None) is not (earlier.left is None)
        ):
            self._forget()
        elif _left(look) > _left(earlier):
            self._set_back(look, _left(look) - _left(earlier))
        elif look.batch_s > earlier.batch_s or _left(look) < _left(earlier):
            self._take_step(earlier, look)

    @property
    def left(self) -> float | None:
        """How much was left at the last look."""
        return None if self._look is None else self._look.left

    @property
    def clients_ratio(self) -> float | None:
        """The share of the last half minute with clients; None: unknown."""
        if len(self._latest) < 2:
            return None
        return self._latest[-1].clients_since(self._latest[0])

    @property
    def is_seen_alone(self) -> bool:
        """Whether the pace without clients is measured."""
        return self._alone.sums.steps > 0

    @property
    def totals(self) -> Sums:
        """Sums over all steps that are remembered."""
        return self._alone.sums.plus(self._among.sums)

    def per_batch_s(self) -> float | None:
        """Work per second of batches, lately; None: unknown."""
        sums = self.measured
        return sums.work / sums.batch_s if sums.work > 0 and sums.batch_s > 0 else None

    def per_item(self) -> float | None:
        """Work per item, lately; None: unknown."""
        sums = self.measured
        return sums.work / sums.items if sums.work > 0 and sums.items > 0 else None

    @property
    def measured(self) -> Sums:
        """The same; before the second step, what was done since the first look."""
        look, first = self._look, self._first
        if self.totals.steps or look is None or first is None or look.left is None:
            return self.totals
        done = _left(first) - look.left
        return attrs.evolve(_between(first, look), work=done)

    def rates(self, expected: Shares, speed: float) -> Shares:
        """Work per second without clients and with them.

        Until enough is measured, `expected` at this speed in batches is mixed in.
        """
        among = self._among.sums
        weight = self._weight(among)
        clients_ratio = among.clients_s / among.active_s if among.active_s else 1.0
        return Shares(
            self._filled(self._alone, expected.alone.times(speed)),
            self._filled(self._among, expected.among_clients.times(speed)),
            max(clients_ratio * weight + 1 - weight - _BY_CHANCE, _MOSTLY),
        )

    def since_step(self) -> tuple[float, float]:
        """Seconds of work since the last step, and seconds by which the next one is overdue."""
        look, step, sums = self._look, self._step, self.totals
        if look is None or step is None or not sums.steps:
            return 0.0, 0.0
        since_s, usual_s = look.active_s_since(step), sums.active_s / sums.steps
        return min(since_s, usual_s), max(since_s - 2 * usual_s, 0.0)

    def _filled(self, regime: _Regime, expected: Range) -> Range:
        weight = self._weight(regime.sums)
        measured = regime.rates
        pairs = zip(attrs.astuple(measured), attrs.astuple(expected), strict=True)
        return Range(*(one * weight + other * (1 - weight) for one, other in pairs))

    def _weight(self, sums: Sums) -> float:
        """The weight of the measured pace; the rest is that of the expected one."""
        return sums.active_s / (sums.active_s + _EXPECTED_WEIGHT_S + self._blur_s)

    def _note_presence(self, look: Look) -> None:
        if self._latest and not look.is_after(self._latest[-1]):
            self._latest.clear()
        self._latest.append(look)
        while len(self._latest) > 2 and look.now_s - self._latest[1].now_s >= _PRESENT_S:
            self._latest.popleft()

    def _take_step(self, earlier: Look, look: Look) -> None:
        step, self._step = self._step, look
        gap_s = look.active_s_since(earlier)
        if step is None:
            self._blur_s = gap_s
            return  # the first step is only the start of the measurement
        sums = self.totals
        active_s = look.active_s_since(step)
        done = _between(step, look)
        work = done.items if look.left is None else _left(earlier) - _left(look)
        if sums.active_s > 0:
            # A late look misses at most a batch and its rest.
            usual_s = sums.active_s / sums.steps
            gap_s = min(gap_s, sums.active_s / max(sums.steps, sums.batches))
            if sums.work > 0:
                work = min(work, _LEAP * max(active_s, usual_s) * sums.work / sums.active_s)
        # If looks are rare, memory must be longer.
        self._blur_s = gap_s
        half_life_s = max(HALF_LIFE_S, _LEAST_COVER * gap_s)
        ratio = look.clients_since(step)
        if ratio is None:
            ratio = self.clients_ratio
        regime = self._alone if ratio is not None and ratio < _MOSTLY else self._among
        clients_s = active_s * (1.0 if ratio is None else ratio)
        step_sums = attrs.evolve(done, steps=1, work=work, active_s=active_s, clients_s=clients_s)
        regime.take(step_sums, half_life_s)

    def _set_back(self, look: Look, by: float) -> None:
        # A small increase comes from new rows: count that much less as done. If more is left than
        # at first, or the increase is far more than what was done lately, the update began anew.
        if _left(look) > self._most_left or by > _LEAP * self.totals.work > 0:
            self._forget()
            return
        max(self._alone, self._among, key=lambda each: each.sums.active_s).set_back(by)

    def _forget(self) -> None:
        self._first, self._step, self._blur_s = self._look, None, 0.0
        self._alone, self._among = _Regime(), _Regime()
        self._most_left = 0.0 if self._look is None else _left(self._look)


def _sum(steps: Iterable[Sums]) -> Sums:
    return functools.reduce(Sums.plus, steps, Sums())


def _between(earlier: Look, look: Look) -> Sums:
    return Sums(
        batch_s=look.batch_s - earlier.batch_s,
        items=look.items - earlier.items,
        batches=look.batches - earlier.batches,
    )


def _left(look: Look) -> float:
    return look.left or 0.0
