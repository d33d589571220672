"""How long an update will still take, from looks at how much is left.

A look sees only batches that have ended, so what is left falls in steps, and the instant of a step
is known no better than the time between two looks. Hence the law:

- Pace is measured from step to step, never from look to look: between two steps whole batches and
  whole rests were done, and nothing of a batch is seen by halves.
- Pace is the ratio of two sums over the steps, work and time, in which old steps fade. Fading goes
  by the time that passed outside of holds: a night in a closed window makes nobody forget.
- Nothing is answered before the sums cover eight times what a step's instant may be off: with that,
  the answer is within 20 % of the truth at a steady pace, or within three looks near the end,
  where nobody can see 20 %. With looks every 5 s it comes 40 s after the first step.
- Between steps the answer counts down, and where a batch takes more than twice the usual time, that
  it does not come counts as time without work.

The half-life: an adaptive pace settles within minutes, which an answer should follow; and it should
not jump with each batch, of which a minute may see only a few. Three minutes weigh about four and
a half minutes of work, and 5 s between looks are 2 % of that.
"""

import math

import attrs

from synapse_bgthrottle import schema

HALF_LIFE_S = 180.0

# How often what a step's instant may be off must fit into the time covered: 1/8, which leaves
# room below 20 % for the instant of the last step.
_LEAST_COVER = 8
# A step that is more than so much faster than usual is a leap over what was not there to be done
# (gaps, items that are skipped), of which the pace of what follows cannot be had.
_LEAP = 10.0
_ROUNDING_S = 1.0


@attrs.frozen
class TimeLeft:
    """Seconds until an update is done; None: not known yet.

    Attributes:
        at_this_pace_s: as it went in the last minutes. Holds are not in it: who waits for a window
            adds that time.
        unthrottled_s: in batches only, without any rest between them.
    """

    at_this_pace_s: float | None
    unthrottled_s: float | None

    def stated(self) -> schema.TimeLeft:
        """As the HTTP API states it."""
        return schema.TimeLeft(at_this_pace=self.at_this_pace_s, unthrottled=self.unthrottled_s)


NOT_KNOWN = TimeLeft(None, None)


@attrs.frozen
class _Look:
    now_s: float
    left: float
    batch_s: float
    held_s: float

    def active_s_since(self, earlier: "_Look") -> float:
        """Seconds from the earlier look to this one, without holds."""
        return max(self.now_s - earlier.now_s - (self.held_s - earlier.held_s), 0.0)


@attrs.frozen
class _Sums:
    """Over the steps seen, old ones faded."""

    steps: float = 0.0
    work: float = 0.0
    active_s: float = 0.0
    batch_s: float = 0.0

    def faded(self, factor: float) -> "_Sums":
        return _Sums(*(number * factor for number in attrs.astuple(self)))


@attrs.define
class Pace:
    """The pace of one update, of which it is told at each look."""

    _look: _Look | None = None
    _step: _Look | None = None
    _sums: _Sums = _Sums()
    _blur_s: float = 0.0  # what the instant of a step may be off
    _most_left: float = 0.0  # when it was first seen

    def observe(self, now_s: float, left: float, batch_s_total: float, held_s_total: float) -> None:
        """Tell of a look; at whatever times, but in their order.

        Args:
            now_s: when, on a clock that does not go back.
            left: how much is left to do, in any unit, but always the same.
            batch_s_total: seconds in batches that have ended, since any instant.
            held_s_total: seconds in holds since any instant, the present hold's included.
        """
        look = _Look(now_s, left, batch_s_total, held_s_total)
        if not all(map(math.isfinite, attrs.astuple(look))) or left < 0:
            return
        earlier, self._look = self._look, look
        if earlier is None or _went_back(earlier, look):
            self._forget()
        elif left < earlier.left:
            self._take_step(earlier, look)
        elif left > earlier.left:
            self._set_back(look, left - earlier.left)

    def time_left(self) -> TimeLeft:
        """As of the last look."""
        look, step, sums = self._look, self._step, self._sums
        if look is None:
            return NOT_KNOWN
        if look.left == 0:
            return TimeLeft(0.0, 0.0)
        if step is None or sums.work <= 0 or sums.active_s <= 0:
            return NOT_KNOWN
        if sums.active_s < _LEAST_COVER * self._blur_s:
            return NOT_KNOWN
        since_s, usual_s = look.active_s_since(step), sums.active_s / sums.steps
        overdue_s = max(since_s - 2 * usual_s, 0.0)
        at_this_pace_s = look.left * (sums.active_s + overdue_s) / sums.work
        unthrottled_s = look.left * sums.batch_s / sums.work if sums.batch_s > 0 else None
        return TimeLeft(
            _finite(max(at_this_pace_s - min(since_s, usual_s), 0.0)), _finite(unthrottled_s)
        )

    def _take_step(self, earlier: _Look, look: _Look) -> None:
        step, self._step = self._step, look
        gap_s = look.active_s_since(earlier)
        if step is None:
            self._blur_s = gap_s
            return  # the first only says where to measure from
        sums = self._sums
        active_s = look.active_s_since(step)
        work = earlier.left - look.left
        if sums.active_s > 0:
            # Steps come no closer than batches, so that a late look blurs no more than a batch.
            usual_s = sums.active_s / sums.steps
            gap_s = min(gap_s, usual_s)
            if sums.work > 0:
                work = min(work, _LEAP * max(active_s, usual_s) * sums.work / sums.active_s)
        # Where looks are rare, memory is longer: it must hold what an answer has to cover.
        fade = 0.5 ** (active_s / max(HALF_LIFE_S, 2 * _LEAST_COVER * self._blur_s))
        old = sums.faded(fade)
        self._blur_s = max(self._blur_s * fade, gap_s)
        self._sums = _Sums(
            old.steps + 1,
            old.work + work,
            old.active_s + active_s,
            old.batch_s + max(look.batch_s - step.batch_s, 0.0),
        )

    def _set_back(self, look: _Look, by: float) -> None:
        # A little: the end moved away, because rows came in, and that much less was done. More than
        # was left at first, or far more than was done of late: the update began anew.
        if look.left > self._most_left or by > _LEAP * self._sums.work > 0:
            self._forget()
        else:
            self._sums = attrs.evolve(self._sums, work=self._sums.work - by)

    def _forget(self) -> None:
        self._step, self._sums, self._blur_s = None, _Sums(), 0.0
        self._most_left = 0.0 if self._look is None else self._look.left


def _went_back(earlier: _Look, look: _Look) -> bool:
    return (
        look.now_s < earlier.now_s or look.batch_s < earlier.batch_s or look.held_s < earlier.held_s
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
