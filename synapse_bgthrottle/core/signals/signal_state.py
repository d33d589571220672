"""One signal over time: its last value, its pressure, and whether its budget is closed."""

import math
from collections.abc import Callable

import attrs

from synapse_bgthrottle.core.signals.samples import BatchSample, CheckSample, DatabaseSample, Sample
from synapse_bgthrottle.core.signals.signal import (
    PERIOD_S,
    STALE_PERIODS,
    NoRateYetError,
    Signal,
    SignalClass,
    Unit,
)
from synapse_bgthrottle.core.units import format_duration_ms, format_size_bytes

ENTER_PRESSURE = 1.0
LEAVE_PRESSURE = 0.7
SHORTEST_HOLD_S = 10.0
PANIC_S = 2.0

_ATTACK = 0.7
_RELEASE = 0.3
# A higher pressure has no further effect, so it need not fade from more. Otherwise, after one batch
# of 400 times its usual time, ten more would have the least duty cycle.
_FADES_FROM = 4.0

# Limit of the pressure, against division by almost zero.
_MOST_PRESSURE = 100.0


@attrs.define
class SignalState:
    """The state of one signal."""

    signal: Signal
    threshold: float
    is_configured: bool  # whether the administrator configured it, so that it must be readable
    at_s: float | None = None  # when it was last read; None: never
    value: float | None = None
    problem: str = ""  # why it could not be read; empty: it could
    about: str = ""  # the last text of the signal
    refusal: str = ""  # why the database refuses to show it; empty: it does not refuse
    is_hidden: bool = False  # whether other roles' sessions make it unobservable
    pressure: float = 0.0  # from 1.0 on the signal has its effect; smoothed for a soft signal
    momentary: float = 0.0
    closed_since_s: float | None = None  # since when the budget is closed; None: open
    panic_until_s: float | None = None  # until when no batch may start; None: no panic so far
    _unseen_s: float = 0.0
    _least: tuple[float, float] | None = None  # the value, and its time

    @property
    def is_timed(self) -> bool:
        """Whether samples come at fixed times, so that a late one is missing."""
        return self.signal.source is not BatchSample

    @property
    def _holds_good_s(self) -> float:
        return STALE_PERIODS * PERIOD_S[self.signal.source]

    def observe(self, sample: Sample, before: Sample | None) -> None:
        """Take a sample of this signal's source."""
        try:
            value, problem = self._read(sample, before)
        except NoRateYetError:
            return  # keep what is known until the next sample
        if self.signal.about is not None:
            self.about = self.signal.about(sample) or self.about
        if isinstance(sample, DatabaseSample) and not sample.problem:
            self.refusal = sample.refused.get(self.signal.name, "")
        self.problem = problem
        if problem and self._holds_as_seen(sample.at_s):
            return
        self._pass_over_gap(sample.at_s)
        known = 0.0 if self.is_stale(sample.at_s) else self.pressure
        pressure = 0.0 if value is None else min(self._pressure(value, sample.at_s), _MOST_PRESSURE)
        # A lower bound may be enough to slow down, but never shows that all is well.
        hides_sessions = isinstance(sample, DatabaseSample) and sample.hides_sessions
        is_least = hides_sessions and self.signal.of_sessions
        self.is_hidden = value is not None and pressure < ENTER_PRESSURE and is_least
        if self.is_hidden:
            value, pressure = None, 0.0
        self.at_s, self.value, self.momentary = sample.at_s, value, pressure
        self._press(pressure, known, sample.at_s)

    def _read(self, sample: Sample, before: Sample | None) -> tuple[float | None, str]:
        """The value, and why it could not be read."""
        problem = sample.problem if isinstance(sample, (DatabaseSample, CheckSample)) else ""
        value = None if problem else self.signal.read(sample, before)
        if value is not None and not (math.isfinite(value) and value >= 0):
            unit = self.signal.unit.value
            return None, f"it was read as {value}, which is not a number of {unit}"
        return value, problem

    def _press(self, pressure: float, known: float, at_s: float) -> None:
        """Record a new pressure; `known` is the one before."""
        if self.signal.signal_class is SignalClass.SOFT:
            known = min(known, max(pressure, _FADES_FROM))
            share = _ATTACK if pressure > known else _RELEASE
            self.pressure = known + share * (pressure - known)
            return
        self.pressure = pressure
        if self.signal.signal_class is SignalClass.BUDGET:
            self._open_or_close(at_s)
        elif pressure >= ENTER_PRESSURE:
            self.panic_until_s = at_s + PANIC_S

    def is_stale(self, now_s: float) -> bool:
        """Whether it has not been read for three periods."""
        return self.at_s is None or now_s - self.at_s > self._holds_good_s

    def closed(self, now_s: float) -> tuple[str, str] | None:
        """Why this budget holds updates, in a word or two and in full; None: it does not."""
        if self.is_configured and (unread := self._unread(now_s)) is not None:
            what, in_full = unread
            return what, f"{self.signal.name} is configured and {in_full}"
        if self.closed_since_s is None or self._has_outlasted(now_s):
            return None
        return "closed", self.describe()

    def _unread(self, now_s: float) -> tuple[str, str] | None:
        """Why its value is unknown, in a word or two and in full; None: it is known."""
        if self.at_s is None:
            return "not read yet", "has not been read yet"
        if self.is_stale(now_s):
            ago = format_duration_ms((now_s - self.at_s) * 1000)
            return "stale", f"was last read {ago} ago"
        if self.problem:
            return "unreadable", f"cannot be read: {self.problem}"
        if self.value is None:
            why = f", because the database refuses it: {self.refusal}" if self.refusal else ""
            if self.is_hidden:
                why = " without pg_monitor, because other roles have sessions"
            return "not observable", f"cannot be observed here{why}"
        return None

    def _has_outlasted(self, now_s: float) -> bool:
        """Whether it has been closed for longer than this budget may hold."""
        if self.at_s is None or self.closed_since_s is None:
            return False
        known_until_s = min(now_s, self.at_s + self._holds_good_s)
        known_for_s = known_until_s - self.closed_since_s - self._unseen_s
        return known_for_s > self.signal.longest_hold_s

    def describe(self) -> str:
        """The value with its threshold, `replica_lag 12s >= 10s`, or what was found."""
        name = self.signal.name
        if self.value is None:
            return f"{name} {self.problem or 'not observable'}"
        if self.signal.unit is Unit.YES_NO:
            over = ", but no longer" if self.pressure < ENTER_PRESSURE else ""
            return f"{name} {self.about}".rstrip() + over
        show, relation = _FORMATS[self.signal.unit], "<=" if self.signal.less_is_worse else ">="
        if self.pressure < ENTER_PRESSURE:
            relation = ">" if self.signal.less_is_worse else "<"
        return f"{name} {show(self.value)} {relation} {show(self.threshold)}"

    def _holds_as_seen(self, now_s: float) -> bool:
        """Whether a failed read keeps the last value until that is stale.

        Reads fail when a database or a disk is in trouble. A closed budget must not open then.
        """
        if self.signal.signal_class is SignalClass.SOFT:
            return True
        is_closed = self.closed_since_s is not None and not self.is_configured
        return is_closed and not self.is_stale(now_s)

    def _pressure(self, value: float, at_s: float) -> float:
        signal = self.signal
        if signal.less_is_worse:
            return self.threshold / value if value else _MOST_PRESSURE
        if signal.base_s:
            least, seen_s = self._least or (value, at_s)
            if value <= least or at_s - seen_s > signal.base_s:  # falls at once, rises when too old
                least, seen_s = value, at_s
            self._least = least, seen_s
            return max(value - least, 0.0) / max(self.threshold, least)
        return value / self.threshold

    def _pass_over_gap(self, at_s: float) -> None:
        # Nobody measures during a pause, so it does not count as time closed.
        gap_s = 0.0 if self.at_s is None else at_s - self.at_s
        has_outlasted = self._has_outlasted(at_s)
        self._unseen_s += max(gap_s - self._holds_good_s, 0.0)
        if has_outlasted and gap_s > self.signal.longest_hold_s:
            # It has held the update for long enough. If it still is closed, that counts from now.
            self.closed_since_s = None

    def _open_or_close(self, at_s: float) -> None:
        # Suddenly not observable: it belonged to the update that was at the head before.
        is_seen = self.value is not None or self.problem or self.is_hidden or self.is_configured
        if self.pressure >= ENTER_PRESSURE:
            if self.closed_since_s is None:
                self.closed_since_s, self._unseen_s = at_s, 0.0
        elif self.closed_since_s is not None and (
            self._has_outlasted(at_s)
            or not is_seen
            or (self.pressure < LEAVE_PRESSURE and at_s - self.closed_since_s >= SHORTEST_HOLD_S)
        ):
            self.closed_since_s = None


_FORMATS: dict[Unit, Callable[[float], str]] = {
    Unit.DURATION: format_duration_ms,
    Unit.SIZE: format_size_bytes,
    Unit.RATE: lambda value: f"{format_size_bytes(value)}/s",
    Unit.FACTOR: "{:.3g}x".format,
    Unit.COUNT: "{:g}".format,
}
