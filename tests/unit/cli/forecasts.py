"""A server with two pending updates for the command `bgthrottle forecast`."""

from typing import Any

from tests.unit.cli.fakes import LIMIT_VALUES, FakeServer, database, status

IDLE = ("--load", "idle")


def explained(name: str, **more: Any) -> dict[str, Any]:
    """What an explanation tells of an update, with these limits besides."""
    return {"update": name, "database": "master", "limit_values": {**LIMIT_VALUES, **more}}


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
