"""From JSON to records and back: tolerant of new and missing keys, strict about nonsense."""

from typing import Any

import pytest

from synapse_bgthrottle.codec import MismatchError, decode, to_json
from synapse_bgthrottle.schema import (
    CurrentUpdate,
    DatabaseStatus,
    Explanation,
    HistoryEntry,
    Lever,
    LeverAnswer,
    PendingUpdate,
    SeenHour,
    StatedSignal,
    ThrottleStatus,
    TimeLeft,
    Use,
)
from testbed.virtual.fake_service import example
from tests.unit.cli.fakes import LEVERS, PAUSE, database, pending, status

SIGNAL = {
    "name": "disk_free",
    "class": "budget",
    "unit": "bytes",
    "value": 1.5,
    "threshold": 2.0,
    "pressure": 0.75,
    "age_s": 1.0,
    "is_stale": False,
    "is_closed": True,
    "problem": "",
}

MISSING = {"name": "BackgroundUpdater._running", "cost": "an abort is not seen"}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (ThrottleStatus, status(database(signals=[SIGNAL]), levers=[PAUSE], missing=[MISSING])),
        (LeverAnswer, LEVERS),
        (StatedSignal, SIGNAL),
    ],
)
def test_round_trip(kind: Any, found: Any) -> None:
    """Nothing of the contract is lost, and to_json is the inverse of decode."""
    assert found == to_json(decode(kind, found))


@pytest.mark.parametrize(
    ("method", "path", "key", "kind"),
    [
        ("get", "/v1/status", None, ThrottleStatus),
        ("get", "/v1/history", "history", HistoryEntry),
        ("get", "/v1/uses", "uses", Use),
        ("get", "/v1/load", "load", SeenHour),
        ("get", "/v1/explain", None, Explanation),
        ("post", "/v1/pause", None, LeverAnswer),
        ("post", "/v1/override", None, LeverAnswer),
    ],
)
def test_all_that_the_api_describes(method: str, path: str, key: str | None, kind: Any) -> None:
    """No key of the examples in openapi.json is lost."""
    answer = example(method, path)
    for found in [answer] if key is None else answer[key]:
        assert found == to_json(decode(kind, found))


def test_a_key_that_python_cannot_name() -> None:
    """A signal's `class` is its `kind`."""
    assert "budget" == decode(StatedSignal, SIGNAL).kind


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (DatabaseStatus(name="master"), {"name": "master"}),
        (
            DatabaseStatus(name="master"),
            {"name": "master", "state": None, "news": [1], "pending": None},
        ),
        (DatabaseStatus(name="m", pending=()), {"name": "m", "pending": []}),
        (
            DatabaseStatus(name="m", pending=(PendingUpdate(name="e"),)),
            {"name": "m", "pending": [{"name": "e", "known": None}]},
        ),
        (CurrentUpdate(name="e", total_item_count=5), {"name": "e", "total_item_count": 5.0}),
        (CurrentUpdate(name="e", total_duration_ms=5.0), {"name": "e", "total_duration_ms": 5}),
        (Lever(), {}),
        (Use(), {"settings": None}),
        (HistoryEntry(update="e"), {"update": "e", "outcome": None}),
        (Explanation(update="e"), {"update": "e"}),
        (TimeLeft(unthrottled=3.0), {"unthrottled": 3}),
    ],
)
def test_gaps_and_news(expected: Any, found: Any) -> None:
    """Keys that are missing or null get their default; unknown ones are left out."""
    assert expected == decode(type(expected), found)


@pytest.mark.parametrize(
    ("said", "kind", "found"),
    [
        ("answer is not an object", ThrottleStatus, []),
        ("answer.enabled is missing", ThrottleStatus, {"databases": []}),
        ("answer.databases is missing", ThrottleStatus, {"enabled": True}),
        (
            "answer.databases[0].name is missing",
            ThrottleStatus,
            {"enabled": True, "databases": [{}]},
        ),
        ("answer.pending is not a list", DatabaseStatus, {"name": "m", "pending": {}}),
        ("answer.name is not a text", PendingUpdate, pending("e") | {"name": 5}),
        ("answer.paused is not true or false", PendingUpdate, pending("e", paused=1)),
        ("answer.value is not a number", StatedSignal, {"name": "s", "value": True}),
        ("answer.value is not a number", StatedSignal, {"name": "s", "value": "9"}),
        ("answer.value is not a number", StatedSignal, {"name": "s", "value": 10**400}),
        ("answer.value is not a number", StatedSignal, {"name": "s", "value": float("inf")}),
        ("answer.at_ms is not a whole number", Use, {"at_ms": 0.5}),
        ("answer.at_ms is not a whole number", Use, {"at_ms": float("inf")}),
        (
            "answer.waited_ms.pace is not a number",
            HistoryEntry,
            {"update": "e", "waited_ms": {"pace": "long"}},
        ),
    ],
)
def test_nonsense(said: str, kind: Any, found: Any) -> None:
    """What cannot be meant is an error that names the place: no status is made up."""
    with pytest.raises(MismatchError) as caught:
        decode(kind, found)
    assert said == str(caught.value)
