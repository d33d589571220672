"""The log lines for administrators. Pure.

Decisions: a line for each change, not for each batch. Samples: missing signals, index builds.
"""

import logging
import math
from collections.abc import Iterator
from datetime import datetime, timezone

import attrs

from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet
from synapse_bgthrottle.core.units import format_duration_ms, format_ratio

Line = tuple[int, str]

# After this time, an index build that stays in one phase is logged again.
BUILD_AGAIN_S = 600.0

# A rate needs two samples.
_SAMPLES_UNTIL_SEEN = 3

_LOUD = (Cause.DATABASE, Cause.PAUSED, Cause.BACKOFF, Cause.APPROVAL, Cause.BUDGET)


@attrs.define
class UpdateLog:
    """Remembers the last log line about one database."""

    database_name: str
    update_name: str = ""
    cause: Cause = Cause.RUN  # its cause; RUN stands for all causes that are no hold
    subject: str = ""
    since_wall_s: float = 0.0  # since when the update is held, in seconds since the epoch
    released: bool = False  # whether the line on the end of `max_hold` was logged

    def lines(
        self, update_name: str, update: UpdateState, decision: Decision, wall_s: float
    ) -> Iterator[Line]:
        """The log lines for this decision, mostly none: level and text."""
        name = f"{update_name} in {self.database_name}"
        if update_name != self.update_name:
            self.update_name, self.released = update_name, False
            yield logging.INFO, f"Pacing {name}: {describe(update)}"
        if update.holds.has_outlasted and not self.released:
            hold = format_duration_ms(update.limits.max_hold_ms)
            windows = Cause.WINDOW in update.holds.since_s
            held_by = "its windows are closed" if windows else "a budget is closed"
            yield (
                logging.WARNING,
                f"Letting {name} go although {held_by}: it was held for {hold} (max_hold);"
                f" {decision.reason}",
            )
        self.released = update.holds.has_outlasted
        cause = decision.cause if decision.cause.is_hold else Cause.RUN
        if cause is Cause.LEVERS:  # short at every start; if it lasts, the recorder logs it
            return
        if cause is self.cause and decision.subject == self.subject:
            return
        if cause.is_hold:
            level = logging.WARNING if cause in _LOUD else logging.INFO
            yield level, f"Holding {name}, and all updates behind it: {decision.reason}"
        else:
            held = format_duration_ms(max(wall_s - self.since_wall_s, 0) * 1000)
            since = datetime.fromtimestamp(self.since_wall_s, timezone.utc)
            yield (
                logging.INFO,
                f"Going on with {name} after {held} on hold"
                f" ({self.cause.value}, since {since:%Y-%m-%dT%H:%M:%SZ})",
            )
        if not (cause.is_hold and self.cause.is_hold):
            self.since_wall_s = wall_s
        self.cause, self.subject = cause, decision.subject


def doing(database_name: str, database: DatabaseState, update: UpdateState) -> str:
    """What the update at the head of a database's queue is doing."""
    does = "running a batch" if update.batch.start_s is not None else "waiting"
    reason = update.decision.reason if update.decision is not None else "just begun"
    return (
        f"{database_name}: {database.update_name} {does} ({reason}), {update.totals.batches}"
        f" batches in {update.totals.batch_s:.1f}s, {database.failures} failures in a row"
    )


def describe(update: UpdateState) -> str:
    """How an update is limited, and by which rule."""
    limits = update.limits
    parts = [f"{limits.pace}, {limits.profile}" if update.is_adaptive else str(limits.pace)]
    if update.one_shot:
        parts.append("one-shot: only its start can be chosen")
    else:
        parts.append(f"target duration {format_duration_ms(limits.target_duration_ms)}")
        if math.isfinite(limits.max_items_per_second):
            parts.append(f"at most {limits.max_items_per_second:g} items/s")
        if math.isfinite(limits.max_batch_items):
            parts.append(f"at most {limits.max_batch_items} items a batch")
    if limits.windows:
        parts.append(f"windows {'; '.join(map(str, limits.windows))} {limits.time_zone}")
    return f"{', '.join(parts)}; {update.rule or 'no rule matches'}"


@attrs.define
class SignalLog:
    """Remembers what was logged about the samples of one database."""

    database_name: str
    _samples: int = 0
    _logged: set[str] = attrs.field(factory=set)
    _phase: str = ""
    _logged_s: float = 0.0

    def lines(
        self, update_name: str, signal_set: SignalSet, sample: DatabaseSample
    ) -> Iterator[Line]:
        """The log lines for this sample, mostly none: level and text."""
        if sample.problem:
            return
        self._samples += 1
        yield from self._refused(sample)
        # Only PostgreSQL counts transactions. On SQLite missing signals are not worth a line.
        if self._samples >= _SAMPLES_UNTIL_SEEN and sample.transactions is not None:
            for name in sorted(
                set(signal_set.unobservable()) - self._logged - sample.refused.keys()
            ):
                self._logged.add(name)
                left_out = "and is left out"
                if signal_set.states[name].is_hidden:
                    left_out = "but for sessions of the server's own role"
                yield (
                    logging.INFO,
                    f"{name} is not observable in {self.database_name}, {left_out}:"
                    " see docs/signals.md",
                )
        yield from self._build(update_name, sample)

    def _refused(self, sample: DatabaseSample) -> Iterator[Line]:
        for complaint in sorted(set(sample.refused.values())):
            names = {
                name for name, why in sample.refused.items() if why == complaint
            } - self._logged
            if names:
                self._logged |= names
                yield (
                    logging.WARNING,
                    f"the database {self.database_name} refuses to show"
                    f" {', '.join(sorted(names))}: {complaint}. It is left out, and tried again"
                    " every hour",
                )

    def _build(self, update_name: str, sample: DatabaseSample) -> Iterator[Line]:
        phase, done_ratio = sample.index_build or ("", None)
        if phase and (phase != self._phase or sample.at_s - self._logged_s >= BUILD_AGAIN_S):
            done = "" if done_ratio is None else f", {format_ratio(round(done_ratio, 3))} done"
            name = f"{update_name} in {self.database_name}"
            yield logging.INFO, f"Building an index for {name}: {phase}{done}"
            self._logged_s = sample.at_s
        self._phase = phase
