"""How updates went, and what one of them is subject to."""

from collections.abc import Mapping
from typing import Any

import attrs

from synapse_bgthrottle.client.levers import Lever


@attrs.frozen
class HistoryEntry:
    """How one update went.

    Attributes:
        update, database: which.
        started_ms, ended_ms: since the epoch; `ended_ms` None: not yet.
        outcome: `running`, `done`, `aborted` or `gone`.
        items, batches, batch_time_ms: what ran.
        waited_ms: by cause.
        failures: failed batches.
        last_failure: the error of the last one; may be empty.
    """

    update: str
    database: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None
    outcome: str = ""
    items: int = 0
    batches: int = 0
    batch_time_ms: float = 0.0
    waited_ms: Mapping[str, float] = attrs.field(factory=dict)
    failures: int = 0
    last_failure: str = ""


@attrs.frozen
class History:
    """Updates that went or go on, newest first."""

    history: tuple[HistoryEntry, ...] = ()


@attrs.frozen
class SeenHour:
    """How busy clients were in one hour of the week, while an update was pending.

    Attributes:
        hour: of the week in UTC, 0 is Monday's from midnight.
        watched_s: for how long it was watched, what is weeks old counted for less.
        present_ratio: the share of that in which clients were there.
        requests_per_second: in it; None where requests go to other processes.
    """

    hour: int
    watched_s: float = 0.0
    present_ratio: float = 0.0
    requests_per_second: float | None = None


@attrs.frozen
class Load:
    """The hours of the week that were watched."""

    load: tuple[SeenHour, ...] = ()


@attrs.frozen
class HeldBy:
    """What would hold an update now.

    Attributes:
        cause: its short name.
        reason: the same for people.
    """

    cause: str = ""
    reason: str = ""


@attrs.frozen
class Explanation:
    """What an update is subject to.

    Attributes:
        update, database: which.
        one_shot: whether it runs in one go.
        rule: that matches first; None: the top level alone.
        description: one line.
        limits: as texts, by name.
        details: lines on what follows from them.
        held_by: what would hold it now, all of it.
        levers: that match it.
    """

    update: str
    database: str = ""
    one_shot: bool = False
    rule: str | None = None
    description: str = ""
    limits: Mapping[str, Any] = attrs.field(factory=dict)
    details: tuple[str, ...] = ()
    held_by: tuple[HeldBy, ...] = ()
    levers: tuple[Lever, ...] = ()
