"""Every call as a value: what to send, and how to read the answer. Pure, no I/O."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from synapse_bgthrottle.codec import decode
from synapse_bgthrottle.schema import (
    Enabled,
    Explanation,
    History,
    HistoryEntry,
    LeverAnswer,
    Load,
    SeenHour,
    ThrottleStatus,
    UpdatesStatus,
    Use,
    Uses,
)

T = TypeVar("T")

OFFICIAL_PREFIX = "/_synapse/admin/v1/background_updates"
MODULE_PREFIX = "/_synapse/bgthrottle"
JOBS = ("populate_stats_process_rooms", "regenerate_directory", "event_resign")


@attrs.frozen
class Call(Generic[T]):
    """One request."""

    method: str
    path: str  # below the prefix of its API
    read: Callable[[Any], T]  # makes the result from the answer's JSON; raises MismatchError
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = None
    of_module: bool = True  # whether it is for the module's API, and not Synapse's own
    # Makes the result of an empty answer; None: an empty answer is an error.
    when_empty: Callable[[], T] | None = None


def status() -> Call[UpdatesStatus]:
    """The current update of every database, as Synapse itself reports it."""
    return Call("GET", "/status", partial(decode, UpdatesStatus), of_module=False)


def enabled(value: bool | None = None) -> Call[bool]:
    """How Synapse's own switch for background updates stands. A value sets it first.

    If it is off, only this call or a restart puts it on.
    """

    def read(found: Any) -> bool:
        return decode(Enabled, found).enabled

    if value is None:
        return Call("GET", "/enabled", read, of_module=False)
    body = {"enabled": value}
    # A successful answer may be empty; the switch is then as requested.
    return Call("POST", "/enabled", read, {}, body, of_module=False, when_empty=lambda: value)


def run(job: str, *, old_key: str | None = None, before_ts_ms: int | None = None) -> Call[None]:
    """Put one of `JOBS` into the queue; the other arguments are for `event_resign`.

    Raises RefusedError if the server does not know the job, or it is in the queue already.
    """
    body = {"job_name": job, **_given(old_key=old_key, before_ts=before_ts_ms)}
    return Call(
        "POST", "/start_job", lambda _: None, body=body, of_module=False, when_empty=lambda: None
    )


def throttle_status() -> Call[ThrottleStatus]:
    """Queue, progress, decisions, signals, levers and problems."""
    return Call("GET", "/v1/status", partial(decode, ThrottleStatus))


def history(
    limit: int = 100, update: str | None = None, database: str | None = None
) -> Call[tuple[HistoryEntry, ...]]:
    """Runs of updates, newest first; `update` is a glob, `limit` is 1 to 1000."""
    query = {"limit": str(limit), **_given(update=update, database=database)}
    return Call("GET", "/v1/history", lambda found: decode(History, found).history, query)


def uses(limit: int = 100) -> Call[tuple[Use, ...]]:
    """Who used which lever, newest first."""
    query = {"limit": str(limit)}
    return Call("GET", "/v1/uses", lambda found: decode(Uses, found).uses, query)


def load() -> Call[tuple[SeenHour, ...]]:
    """Clients' activity in each hour of the week."""
    return Call("GET", "/v1/load", lambda found: decode(Load, found).load)


def explain(update: str, database: str = "master", one_shot: bool = False) -> Call[Explanation]:
    """The rule, limits and levers of an update, and what would hold it now."""
    query = {"update": update, "database": database, "one_shot": str(one_shot).lower()}
    return Call("GET", "/v1/explain", partial(decode, Explanation), query)


def pause(
    update: str = "*",
    *,
    database: str | None = None,
    duration: str | int | None = None,
    reason: str = "",
) -> Call[LeverAnswer]:
    """Hold matching updates. `duration`: `"24h"` or ms, 1 s to 30 d; None: the server's default."""
    return _lever("pause", update, reason, database=database, **{"for": duration})


def resume(
    update: str = "*", *, database: str | None = None, reason: str = ""
) -> Call[LeverAnswer]:
    """End pauses that the glob equals or matches; NotFoundError: there is none."""
    return _lever("resume", update, reason, database=database)


def release(
    update: str,
    *,
    database: str | None = None,
    duration: str | int | None = None,
    reason: str = "",
) -> Call[LeverAnswer]:
    """Let matching pending updates run once, despite windows and approvals; NotFoundError: none."""
    return _lever("release", update, reason, database=database, **{"for": duration})


def override(
    update: str,
    settings: Mapping[str, Any],
    *,
    database: str | None = None,
    duration: str | int | None = None,
    reason: str = "",
) -> Call[LeverAnswer]:
    """Replace settings of matching updates for `duration`; RefusedError has `problems`."""
    more = {"settings": settings, "for": duration}
    return _lever("override", update, reason, database=database, **more)


def reset(update: str = "*", *, database: str | None = None, reason: str = "") -> Call[LeverAnswer]:
    """End matching overrides and releases; NotFoundError: there is none."""
    return _lever("reset", update, reason, database=database)


def _lever(action: str, update: str, reason: str, **others: Any) -> Call[LeverAnswer]:
    body = {"update": update, **_given(reason=reason or None, **others)}
    return Call("POST", f"/v1/{action}", partial(decode, LeverAnswer), body=body)


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
