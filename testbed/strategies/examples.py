"""Levers for tests."""

from typing import Any

from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind
from testbed.strategies.strategies import utc_s

# A Monday.
NOON_S = utc_s("2026-06-01 12:00")


def lever(**changes: Any) -> Lever:
    """A pause of everything, from noon for an hour, with these changes."""
    values: dict[str, Any] = {
        "lever_id": "a1",
        "kind": LeverKind.PAUSE,
        "update": "*",
        "author": "@admin:example.org",
        "created_s": NOON_S,
        "ends_s": NOON_S + 3600,
    }
    return Lever(**{**values, **changes})


def override(settings: Settings, **changes: Any) -> Lever:
    """The same as an override."""
    return lever(kind=LeverKind.OVERRIDE, settings=settings, **changes)


def release(**changes: Any) -> Lever:
    """The same as a release."""
    return lever(kind=LeverKind.RELEASE, **changes)
