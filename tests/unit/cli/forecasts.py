"""A server with two updates pending, which the command `bgthrottle forecast` asks."""

from typing import Any

from tests.unit.cli.fakes import FakeServer, database, status

IDLE = ("--load", "idle")
LIMITS = {
    "target_duration": "100ms",
    "duty_cycle": "adaptive",
    "profile": "balanced",
    "min_duty_cycle": "1%",
    "max_duty_cycle": "100%",
    "max_items_per_second": "off",
    "default_batch_size": "100",
    "min_batch_size": "1",
    "max_batch_size": "off",
    "windows": "always",
    "time_zone": "UTC",
    "max_hold": "7d",
    "approval": "off",
}


def explained(name: str, **more: Any) -> dict[str, Any]:
    """What an explanation tells of an update, with these limits besides."""
    return {"update": name, "database": "master", "limits": {**LIMITS, **more}}


def server(*entries: dict[str, Any], limits: Any = None, **more: Any) -> FakeServer:
    """It has this history and, for both updates, these limits; `more` is of its status."""
    explain = [explained(name, **(limits or {})) for name in ("event_search", "an_index")]
    return FakeServer(
        {
            "GET status": status(database(), **more),
            "GET history": {"history": list(entries)},
            "GET load": {"load": []},
            "GET explain": [*explain, *explain, *explain],
        }
    )
