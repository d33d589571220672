"""What the signals of one database say now: pressures, stale signals, budgets that are closed.

Pure. Soft pressures are smoothed, quick upwards and slow downwards. A budget closes at a pressure
of 1.0 and opens below 0.7 (the hysteresis of block/spirit's and GitLab's health checks), and stays
closed for a while at least.
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
    """What the soft signals say together.

    Attributes:
        pressure: the highest of those that are fresh; None: all are lost.
        name: of the signal that it comes from.
        momentary: the highest now, without what was before; never above `pressure`.
        stale: name of a signal that was there and no longer is, so that nothing may get faster;
            empty: there is none.
    """

    pressure: float | None
    name: str = ""
    stale: str = ""
    momentary: float = math.inf


@attrs.frozen
class Closed:
    """A budget that holds the update.

    Attributes:
        name: of the signal.
        subject: the signal and what is wrong with it, the same as long as that is the same.
        reason: with the value observed and the threshold.
        may_be_let_go: whether `max_hold` ends it.
    """

    name: str
    subject: str
    reason: str
    may_be_let_go: bool = True


# A full disk stops the database, and what the operator asked for is the operator's to end.
_NEVER_LET_GO = frozenset({"disk_free", "pause_file", "http", "sql"})


# SQLite has one connection, so that everybody waits for the transaction before them.
_WAITS_FOR_A_CONNECTION = frozenset({"pool_wait", "database_pool_wait"})
_ONE_CONNECTION_MS = 50.0


class SignalSet:
    """The signals of one database.

    Attributes:
        states: by name, those that are not switched off.
        index_build: phase and share done of an index build at work; None: none is seen.
    """

    def __init__(
        self, configured: Mapping[str, float | None], cores: int, *, is_sqlite: bool = False
    ) -> None:
        """`configured` are thresholds by name of signal, None for off; `cores` of this machine."""
        self.states: dict[str, SignalState] = {}
        self.index_build: tuple[str, float | None] | None = None
        self._before: dict[type[Sample], Sample] = {}
        for name, signal in SIGNALS.items():
            default = float(cores) if name == "foreground_backends" else signal.threshold
            if is_sqlite and name in _WAITS_FOR_A_CONNECTION:
                default = _ONE_CONNECTION_MS
            threshold = configured.get(name, default)
            if threshold is not None:
                self.states[name] = SignalState(signal, threshold, name in configured)
        # Asked for several times a second, for as long as an update takes.
        by_class = {of: self._of(of) for of in SignalClass}
        self._soft, self._panics = by_class[SignalClass.SOFT], by_class[SignalClass.PANIC]
        self._budgets = sorted(by_class[SignalClass.BUDGET], key=_may_be_let_go)

    def observe(self, sample: Sample) -> None:
        """A sample has been taken."""
        if isinstance(sample, DatabaseSample):
            self.index_build = sample.index_build
        kind: type[Sample] = type(sample)
        name = getattr(sample, "name", None)  # of a check: each is for one signal
        before = None if name else self._before.get(kind)
        has_problem = isinstance(sample, (DatabaseSample, CheckSample)) and sample.problem
        if not has_problem:  # or a rate would be missing after each
            self._before[kind] = sample
        for level in self.states.values():
            if level.signal.source is kind and name in (None, level.signal.name):
                level.observe(sample, before)

    def soft(self, now_s: float) -> Soft:
        """What the soft signals say together."""
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
        """Until when nothing may run because somebody is hurt for certain, and why; None: go on."""
        panics = [
            (until_s, level)
            for level in self._panics
            if (until_s := level.panic_until_s) is not None
        ]
        until_s, level = max(panics, key=lambda panic: panic[0], default=(now_s, None))
        return None if level is None or until_s <= now_s else (until_s, level.describe())

    def closed(self, now_s: float, *, one_shot: bool) -> Closed | None:
        """The first budget that holds an update now; None: all are open."""
        return next(self.all_closed(now_s, one_shot=one_shot), None)

    def all_closed(self, now_s: float, *, one_shot: bool) -> Iterator[Closed]:
        """The budgets that hold an update now.

        Those that nothing lets go come first: no other may hide one, and be let go in its place.
        """
        for level in self._budgets:
            if level.signal.one_shot_only and not one_shot:
                continue
            closed = level.closed(now_s)
            if closed is not None:
                name, (kind, reason) = level.signal.name, closed
                yield Closed(name, f"{name} {kind}", reason, _may_be_let_go(level))

    def unobservable(self) -> Iterator[str]:
        """Names of signals that were looked at, without an error, and could not be seen."""
        for name, level in self.states.items():
            if level.at_s is not None and level.value is None and not level.problem:
                yield name

    def _of(self, signal_class: SignalClass) -> list[SignalState]:
        return [v for v in self.states.values() if v.signal.signal_class is signal_class]


def _may_be_let_go(level: SignalState) -> bool:
    return level.signal.name not in _NEVER_LET_GO
