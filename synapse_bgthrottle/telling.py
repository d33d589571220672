"""The log lines that an administrator wants to read: one a change, none a batch. Pure."""

import logging
from collections.abc import Iterator
from datetime import datetime, timezone

import attrs

from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.limits import Adaptive
from synapse_bgthrottle.state import UpdateState
from synapse_bgthrottle.units import format_duration_ms

Line = tuple[int, str]

_LOUD = (
    Cause.DATABASE,
    Cause.PAUSED,
    Cause.BACKOFF,
    Cause.APPROVAL,
    Cause.BUDGET,
)


@attrs.define
class Teller:
    """Remembers what was last told of one database.

    Attributes:
        database_name: the database.
        update_name: the update that was told of.
        cause: the cause that was told; RUN stands for every one that is no hold.
        subject: what it was about.
        since_wall_s: since when it holds, in seconds since the epoch.
        released: whether it was told that the update is let go although its windows are closed.
    """

    database_name: str
    update_name: str = ""
    cause: Cause = Cause.RUN
    subject: str = ""
    since_wall_s: float = 0.0
    released: bool = False

    def tell(
        self, update_name: str, update: UpdateState, decision: Decision, wall_s: float
    ) -> Iterator[Line]:
        """The lines, mostly none, that this decision is worth: level and text."""
        name = f"{update_name} in {self.database_name}"
        if update_name != self.update_name:
            self.update_name, self.released = update_name, False
            yield logging.INFO, f"Pacing {name}: {describe(update)}"
        if update.released and not self.released:
            hold = format_duration_ms(update.limits.max_hold_ms)
            windows = Cause.WINDOW in update.held_since_s
            held_by = "its windows are closed" if windows else "a budget is closed"
            yield (
                logging.WARNING,
                f"Letting {name} go although {held_by}: that held it for {hold},"
                f" which is max_hold; {decision.reason}",
            )
        self.released = update.released
        cause = decision.cause if decision.cause.is_hold else Cause.RUN
        if cause is Cause.LEVERS:  # for a moment at every start; where it lasts, the keeper tells
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


def describe(update: UpdateState) -> str:
    """How an update is limited, and by which rule."""
    limits = update.limits
    adaptive = isinstance(limits.pace, Adaptive)
    parts = [f"{limits.pace}, {limits.profile}" if adaptive else str(limits.pace)]
    if update.one_shot:
        parts.append("one-shot, so that only its start can be chosen")
    else:
        parts.append(f"target duration {format_duration_ms(limits.target_duration_ms)}")
        if limits.max_items_per_second < float("inf"):
            parts.append(f"at most {limits.max_items_per_second:g} items/s")
        if limits.max_batch_items < float("inf"):
            parts.append(f"at most {limits.max_batch_items} items a batch")
    if limits.windows:
        parts.append(f"windows {'; '.join(map(str, limits.windows))} {limits.time_zone}")
    return f"{', '.join(parts)}; {update.rule or 'no rule, the top level'}"
