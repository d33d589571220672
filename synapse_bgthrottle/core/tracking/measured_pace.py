"""The pace of an update, measured from looks at how much is left. Pure.

A look sees only batches that have ended, so what is left falls in steps, and the instant of a step
is known no better than the time between two looks. Hence the law:

- Pace is measured from step to step, never from look to look: between two steps whole batches and
  whole rests were done, and nothing of a batch is seen by halves.
- It is measured apart for times with clients and times without: these differ tenfold, and each is
  known again at once when it comes back. A step counts for what was there for most of it.
- Pace is the ratio of two sums over the steps, work and time, in which old steps fade. Fading goes
  by the time that passed outside of holds: a night in a closed window makes nothing fade. Where
  the steps of the last `_RECENT_S` differ from that by a factor of `_CHANGED`, only these count: a
  change of the load, of which half a minute later nothing old is left.
- The range reaches to what the pace was over the last minutes: how many clients there are, and what
  is known of their harm, goes to and fro.
- Until enough is measured it is filled up with what is expected (`expected_pace`).
- Between steps the answer counts down, and where a batch takes more than twice the usual time, that
  it does not come counts as time without work.
"""

import functools
import math
from collections import deque
from collections.abc import Iterable

import attrs

from synapse_bgthrottle.core.scheduling.batch_cost import FadingSums
from synapse_bgthrottle.core.tracking.expected_pace import Range, Shares

HALF_LIFE_S = 30.0

# How often what a step's instant may be off must fit into what is remembered, so that it is known
# to a tenth or so.
_LEAST_COVER = 8
# A step that is more than so much faster than usual is a leap over what was not there to be done
# (gaps, items that are skipped), of which the pace of what follows cannot be had.
_LEAP = 10.0

# A change of the pace by this factor, seen over these steps, is one of the load.
_RECENT_S, _RECENT_STEPS, _CHANGED = 20.0, 4, 1.5

# What is expected counts for as much as so many seconds of what is measured, and what the instant
# of a step may be off.
_EXPECTED_WEIGHT_S = 5.0

# What is measured may be off by this. It may also be again what it was over so many half-lives.
_ERROR, _PAST = 0.25, 10

# Presence is that of so long.
_PRESENT_S = 25.0
_MOSTLY = 0.5
# In half a minute it varies by more than this, where clients come and go.
_BY_CHANCE = 0.05


@attrs.frozen
class Look:
    """What is seen of an update at one time; totals are since any instant, the same each time."""

    now_s: float  # when, on a clock that does not go back
    left: float | None  # how much is left to do, in any unit, but always the same; None: unknown
    batch_s: float  # in batches that have ended
    held_s: float  # in holds, the present hold's included
    items: float = 0.0  # what batches did
    watched_s: float = 0.0  # how long it was watched whether clients are there
    clients_s: float = 0.0  # for how much of that they were
    batches: float = 0.0

    def active_s_since(self, earlier: "Look") -> float:
        """Seconds from the earlier look to this one, without holds."""
        return max(self.now_s - earlier.now_s - (self.held_s - earlier.held_s), 0.0)

    def clients_since(self, earlier: "Look") -> float | None:
        """The share of the time with clients since then; None: it was hardly watched."""
        watched_s = self.watched_s - earlier.watched_s
        if watched_s <= 0 or watched_s < _MOSTLY * self.active_s_since(earlier):
            return None
        return min(max((self.clients_s - earlier.clients_s) / watched_s, 0.0), 1.0)

    def is_after(self, earlier: "Look") -> bool:
        """Whether no clock and no count went back, and all are numbers."""
        mine, theirs = (attrs.astuple(attrs.evolve(each, left=0.0)) for each in (self, earlier))
        return all(new >= old for new, old in zip(mine, theirs, strict=True))

    @property
    def is_sound(self) -> bool:
        """Whether all are numbers, and what is left is no less than nothing."""
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
        """Work for each second; 0: none was done."""
        return max(self.work, 0.0) / self.active_s if self.active_s else 0.0


@attrs.define
class _Regime:
    """The steps at which clients were there, or those at which they were not."""

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
        # One step may be a leap, or have waited for something.
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
class Pace:
    """The pace of one update, from one look to the next."""

    _look: Look | None = None
    _first: Look | None = None  # since it was forgotten
    _step: Look | None = None
    _alone: _Regime = attrs.field(factory=_Regime)
    _among: _Regime = attrs.field(factory=_Regime)
    _blur_s: float = 0.0  # what the instant of a step may be off
    _most_left: float = 0.0  # when it was first seen
    _latest: deque[Look] = attrs.field(factory=deque)

    def observe(self, look: Look) -> None:
        """Take a look; at whatever times, but in their order."""
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
        """For how much of the last half minute clients were there; None: unknown."""
        if len(self._latest) < 2:
            return None
        return self._latest[-1].clients_since(self._latest[0])

    @property
    def is_seen_alone(self) -> bool:
        """Whether the pace without clients is measured."""
        return self._alone.sums.steps > 0

    @property
    def totals(self) -> Sums:
        """All that is remembered."""
        return self._alone.sums.plus(self._among.sums)

    def per_batch_s(self) -> float | None:
        """Work for each second in batches, of late; None: not known."""
        sums = self.measured
        return sums.work / sums.batch_s if sums.work > 0 and sums.batch_s > 0 else None

    def per_item(self) -> float | None:
        """Work for each item, of late; None: not known."""
        sums = self.measured
        return sums.work / sums.items if sums.work > 0 and sums.items > 0 else None

    @property
    def measured(self) -> Sums:
        """All that is remembered; before the second step, what was done since the first look."""
        look, first = self._look, self._first
        if self.totals.steps or look is None or first is None or look.left is None:
            return self.totals
        done = _left(first) - look.left
        return attrs.evolve(_between(first, look), work=done)

    def rates(self, expected: Shares, speed: float) -> Shares:
        """Work for each second without clients and with them.

        Until they are measured, it is as `expected` at this speed in batches.
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
        """Seconds since the last step that count as done, and those by which one is overdue."""
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
        """How much what is measured counts, against what is expected."""
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
            return  # the first only says where to measure from
        sums = self.totals
        active_s = look.active_s_since(step)
        done = _between(step, look)
        work = done.items if look.left is None else _left(earlier) - _left(look)
        if sums.active_s > 0:
            # A late look misses no more than a batch and its rest.
            usual_s = sums.active_s / sums.steps
            gap_s = min(gap_s, sums.active_s / max(sums.steps, sums.batches))
            if sums.work > 0:
                work = min(work, _LEAP * max(active_s, usual_s) * sums.work / sums.active_s)
        # Where looks are rare, memory is longer: it must hold what an answer has to cover.
        self._blur_s = gap_s
        half_life_s = max(HALF_LIFE_S, 2 * _LEAST_COVER * gap_s)
        ratio = look.clients_since(step)
        if ratio is None:
            ratio = self.clients_ratio
        regime = self._alone if ratio is not None and ratio < _MOSTLY else self._among
        clients_s = active_s * (1.0 if ratio is None else ratio)
        step_sums = attrs.evolve(done, steps=1, work=work, active_s=active_s, clients_s=clients_s)
        regime.take(step_sums, half_life_s)

    def _set_back(self, look: Look, by: float) -> None:
        # A little: the end moved away, because rows came in, and that much less was done. More than
        # was left at first, or far more than was done of late: the update began anew.
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
