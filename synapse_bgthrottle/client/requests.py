"""Every call as a value: what to send, and how to read what comes back. Pure, no I/O."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

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
    decode,
)

T = TypeVar("T")

OFFICIAL_PREFIX = "/_synapse/admin/v1/background_updates"
MODULE_PREFIX = "/_synapse/bgthrottle"
JOBS = ("populate_stats_process_rooms", "regenerate_directory", "event_resign")


@attrs.frozen
class Call(Generic[T]):
    """One request.

    Attributes:
        method: of HTTP.
        path: below the prefix of its API.
        read: makes the result from the answer's JSON; raises MismatchError.
        query: parameters of the URL.
        body: JSON to send; None: nothing.
        of_module: whether it is the module's API, not Synapse's own.
        when_empty: makes the result of an empty answer; None: that is an error.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = None
    of_module: bool = True
    when_empty: Callable[[], T] | None = None


def status() -> Call[UpdatesStatus]:
    """Synapse's own status."""
    return Call("GET", "/status", lambda found: decode(UpdatesStatus, found), of_module=False)


def enabled(value: bool | None) -> Call[bool]:
    """Ask for Synapse's own switch (None), or set it."""

    def read(found: Any) -> bool:
        return decode(Enabled, found).enabled

    if value is None:
        return Call("GET", "/enabled", read, of_module=False)
    body = {"enabled": value}
    # An empty answer with a good status: the switch stands as it was set.
    return Call("POST", "/enabled", read, body=body, of_module=False, when_empty=lambda: value)


def run(job: str, old_key: str | None, before_ts_ms: int | None) -> Call[None]:
    """Put a job into the queue."""
    body: dict[str, Any] = {"job_name": job}
    if old_key is not None:
        body["old_key"] = old_key
    if before_ts_ms is not None:
        body["before_ts"] = before_ts_ms
    return Call(
        "POST", "/start_job", lambda _: None, body=body, of_module=False, when_empty=lambda: None
    )


def throttle_status() -> Call[ThrottleStatus]:
    """The module's status."""
    return Call("GET", "/v1/status", lambda found: decode(ThrottleStatus, found))


def history(limit: int, update: str | None, database: str | None) -> Call[tuple[HistoryEntry, ...]]:
    """Updates that went or go on."""
    query = {"limit": str(limit), **_given(update=update, database=database)}
    return Call("GET", "/v1/history", lambda found: decode(History, found).history, query)


def uses(limit: int) -> Call[tuple[Use, ...]]:
    """Who used which lever."""
    query = {"limit": str(limit)}
    return Call("GET", "/v1/uses", lambda found: decode(Uses, found).uses, query)


def load() -> Call[tuple[SeenHour, ...]]:
    """What was seen of the hours of the week."""
    return Call("GET", "/v1/load", lambda found: decode(Load, found).load)


def explain(update: str, database: str, one_shot: bool) -> Call[Explanation]:
    """What an update is subject to."""
    query = {"update": update, "database": database, "one_shot": str(one_shot).lower()}
    return Call("GET", "/v1/explain", lambda found: decode(Explanation, found), query)


def lever(
    action: str,
    update: str,
    database: str | None,
    duration: str | int | None,
    reason: str,
    settings: Mapping[str, Any] | None = None,
) -> Call[LeverAnswer]:
    """`pause`, `resume`, `release`, `override` or `reset`."""
    body = {
        "update": update,
        **_given(database=database, settings=settings, reason=reason or None),
        **({} if duration is None else {"for": duration}),
    }
    return Call("POST", f"/v1/{action}", lambda found: decode(LeverAnswer, found), body=body)


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
