"""The signals of one database now: pressures, stale signals, closed budgets.

Pure. Soft pressures are smoothed, fast upwards and slowly downwards. A budget closes at a pressure
of 1.0 and opens below 0.7, after a minimum time. Such hysteresis is also in the health checks of
block/spirit and GitLab.
"""

import math
from collections.abc import Iterator, Mapping

import attrs

from synapse_bgthrottle.core.signals import SIGNALS
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, Sample
from synapse_bgthrottle.core.signals.signal import SignalClass
from synapse_bgthrottle.core.signals.signal_state import SignalState


@attrs.frozen
class Soft:
    """The soft signals together."""

    pressure: float | None  # the highest pressure that is not stale; None: all are stale
    name: str = ""
    stale: str = ""  # name of a stale signal, which forbids to speed up; empty: none
    momentary: float = math.inf  # the highest without smoothing; never above `pressure`


@attrs.frozen
class Closed:
    """A budget that holds the update."""

    name: str
    subject: str  # the signal and the kind of problem; unchanged while the problem is the same
    reason: str  # with the measured value and the threshold
    may_be_let_go: bool = True  # whether `max_hold` ends it


# `max_hold` does not end these: a full disk stops the database, and checks are the administrator's.
_NEVER_LET_GO = frozenset({"disk_free", "pause_file", "http", "sql"})


# SQLite has one connection, so everybody waits for the transaction before.
_WAITS_FOR_A_CONNECTION = frozenset({"pool_wait", "database_pool_wait"})
_ONE_CONNECTION_MS = 50.0


class SignalSet:
    """The signals of one database."""

    def __init__(
        self, configured: Mapping[str, float | None], cores: int, *, is_sqlite: bool = False
    ) -> None:
        """`configured` has thresholds by signal name (None: off); `cores` are this machine's."""
        self.states: dict[str, SignalState] = {}  # by name, without those that are off
        # Phase of a running index build, and share done.
        self.index_build: tuple[str, float | None] | None = None
        self._before: dict[type[Sample], Sample] = {}
        for name, signal in SIGNALS.items():
            default = float(cores) if name == "foreground_backends" else signal.threshold
            if is_sqlite and name in _WAITS_FOR_A_CONNECTION:
                default = _ONE_CONNECTION_MS
            threshold = configured.get(name, default)
            if threshold is not None:
                self.states[name] = SignalState(signal, threshold, name in configured)
        # Prepared once, because they are read several times a second.
        self._soft, self._panics = self._of(SignalClass.SOFT), self._of(SignalClass.PANIC)
        self._budgets = sorted(self._of(SignalClass.BUDGET), key=_may_be_let_go)

    def observe(self, sample: Sample) -> None:
        """Take a sample."""
        if isinstance(sample, DatabaseSample):
            self.index_build = sample.index_build
        kind: type[Sample] = type(sample)
        name = sample.name if isinstance(sample, CheckSample) else None  # each is for one signal
        before = None if name else self._before.get(kind)
        has_problem = isinstance(sample, (DatabaseSample, CheckSample)) and sample.problem
        if not has_problem:  # a sample without values would leave the next rate without a base
            self._before[kind] = sample
        for level in self.states.values():
            if level.signal.source is kind and name in (None, level.signal.name):
                level.observe(sample, before)

    def soft(self, now_s: float) -> Soft:
        """The soft signals together."""
        fresh: list[tuple[float, str]] = []
        momentary = 0.0
        stale = ""
        for level in self._soft:
            if level.value is None:
                continue
            if level.is_stale(now_s):
                stale = level.signal.name if level.is_timed else stale
            else:
                fresh.append((level.pressure, level.signal.name))
                momentary = max(momentary, min(level.momentary, level.pressure))
        pressure, name = max(fresh, default=(None, ""))
        return Soft(pressure, name, stale, momentary)

    def panic(self, now_s: float) -> tuple[float, str] | None:
        """Until when no batch may start, and why; None: no panic."""
        panics = (
            (until_s, level.describe())
            for level in self._panics
            if (until_s := level.panic_until_s) is not None and until_s > now_s
        )
        return max(panics, default=None)

    def closed(self, now_s: float, *, one_shot: bool) -> Closed | None:
        """The first budget that is closed; None: all are open."""
        return next(self.all_closed(now_s, one_shot=one_shot), None)

    def all_closed(self, now_s: float, *, one_shot: bool) -> Iterator[Closed]:
        """The budgets that are closed.

        Those without `max_hold` come first, so that no other one hides them and ends first.
        """
        for level in self._budgets:
            if level.signal.one_shot_only and not one_shot:
                continue
            closed = level.closed(now_s)
            if closed is not None:
                name, (kind, reason) = level.signal.name, closed
                yield Closed(name, f"{name} {kind}", reason, _may_be_let_go(level))

    def unobservable(self) -> Iterator[str]:
        """Names of signals that were read without an error, but are not observable."""
        for name, level in self.states.items():
            if level.at_s is not None and level.value is None and not level.problem:
                yield name

    def _of(self, signal_class: SignalClass) -> list[SignalState]:
        return [v for v in self.states.values() if v.signal.signal_class is signal_class]


def _may_be_let_go(level: SignalState) -> bool:
    return level.signal.name not in _NEVER_LET_GO
