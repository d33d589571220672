"""The commands that only read: `status`, `check`, `history` and `explain`."""

import json
from typing import Any

import pytest
import yaml

from tests.unit.cli.fakes import (
    HTML,
    IDLE,
    PAUSE,
    PAUSED,
    FakeServer,
    current,
    database,
    official,
    run,
    status,
)


@pytest.mark.parametrize("server", [{}, {"GET admin/status": HTML}])
def test_neither_module_nor_admin_api(server: dict[str, Any]) -> None:
    """Where a proxy hides everything, the status ends with an error that says so."""
    result = run(FakeServer(server), "status")
    assert result.exit_code in (1, 4)
    assert "proxy" in result.output or "502" in result.output


def test_status_without_module() -> None:
    """Synapse's own status is shown where the module is not."""
    result = run(FakeServer({"GET admin/status": official(master="event_search")}), "status")
    assert 0 == result.exit_code
    assert "master: event_search 50 items; 10s in batches; rate unknown" in result.output
    assert "without the module" in result.output


def test_status_switched_off_without_module() -> None:
    """A switch that is off is told first."""
    result = run(FakeServer({"GET admin/status": official(enabled=False)}), "status")
    assert result.output.startswith("PROBLEM: background updates are switched off")


@pytest.mark.parametrize(
    "arguments", [["-o", "json", "status"], ["status", "-o", "json"], ["-o", "yaml", "status"]]
)
def test_for_programs(arguments: list[str]) -> None:
    """JSON and YAML are what the server told; the option may stand before or behind the command."""
    told = status(database(), levers=[PAUSE | {"reason": "\x1b[2J\x7f\x9b"}])
    output = run(FakeServer({"GET status": told}), *arguments).output
    assert told == yaml.safe_load(output)
    assert output.replace("\n", "").isprintable()


def test_escaped() -> None:
    """Names and reasons from the server cannot move the cursor or forge a line."""
    lever = PAUSE | {"reason": "\x1b[2J\nFORGED", "author": "@\x9b2J:x"}
    output = run(FakeServer({"GET status": status(IDLE, levers=[lever])}), "status", "-v").output
    assert output.replace("\n", "").isprintable()
    assert r"by @\x9b2J:x: \x1b[2J\nFORGED" in output


@pytest.mark.parametrize(
    ("expected", "said", "answers"),
    [
        (0, "safe to upgrade: nothing is pending", {"GET status": status(IDLE)}),
        (5, "2 updates are pending in master", {"GET status": status(database())}),
        (0, "as far as can be seen", {"GET admin/status": official()}),
        (5, "event_search runs in master", {"GET admin/status": official(master="event_search")}),
        (5, "switched off", {"GET admin/status": official(enabled=False)}),
    ],
)
def test_check(expected: int, said: str, answers: dict[str, Any]) -> None:
    """Safe is 0, not safe is 5 with the reasons; without the module it says what is not told."""
    result = run(FakeServer(answers), "check")
    assert expected == result.exit_code
    assert said in result.output
    assert ("not seen" in result.output) == ("GET admin/status" in answers)


def test_check_between_two_updates() -> None:
    """Without the module one look without an update may have met the moment between two."""
    server = FakeServer({"GET admin/status": [official(), official(), official(master="e")]})
    result = run(server, "check")
    assert 5 == result.exit_code
    assert "e runs in master" in result.output


def test_check_for_programs() -> None:
    """The reasons are a list there."""
    result = run(FakeServer({"GET status": status(IDLE, problems=[PAUSED])}), "check", "-o", "json")
    assert {
        "safe": False,
        "reasons": [PAUSED["message"]],
        "not_seen": "",
    } == json.loads(result.output)


def test_history() -> None:
    """Updates and uses of levers each have a line, and no line is told too."""
    entry = {"update": "e", "database": "m", "outcome": "done", "items": 5}
    use = {"at_ms": 0, "author": "@a:b", "action": "pause", "update": "*"}
    server = FakeServer({"GET history": [{"history": [entry]}, {"history": []}],
                         "GET uses": {"uses": [use]}})  # fmt: skip
    assert (
        "started (UTC)  outcome  took  items  update\n"
        "unknown        done           5      e\n"
        "    0 batches, 0ms in all\n"
    ) == run(server, "history").output
    assert "nothing found\n" == run(server, "history", "e").output
    assert "1970-01-01 00:00 UTC @a:b pause *\n" == run(server, "history", "--uses").output


def test_explain_online() -> None:
    """The server says what would hold an update now."""
    held = {"cause": "window", "reason": "closed"}
    told = {"update": "e", "database": "master", "description": "adaptive", "held_by": [held]}
    output = run(FakeServer({"GET explain": told}), "explain", "e").output
    assert "e in master: adaptive\n  would be held now: closed\n" == output


@pytest.mark.parametrize(
    ("expected", "name", "more"),
    [
        (
            "it waits behind 1 in the queue, of which event_search is held: closed until 1:00",
            "an_index",
            {"decision": {"cause": "window", "is_hold": True, "reason": "closed until 1:00"}},
        ),
        ("it waits behind 1 in the queue, of which event_search is first", "an_index", {}),
        ("nosuch is not pending in master now; the answer is by its name alone", "nosuch", {}),
        (
            "event_serch is not pending in master now; the answer is by its name alone;"
            " did you mean event_search?",
            "event_serch",
            {},
        ),
        ("nothing would hold it now", "event_search", {}),
    ],
)
def test_explain_tells_its_place(expected: str, name: str, more: dict[str, Any]) -> None:
    """What stands before it in the queue is told, and that it is in none."""
    told = {"update": name, "database": "master", "description": "adaptive", "held_by": []}
    queue = status(database(current=current(**more)))
    output = run(FakeServer({"GET explain": told, "GET status": queue}), "explain", name).output
    assert f"  {expected}" == output.splitlines()[-1]


def test_explain_without_anybody_to_ask() -> None:
    """Neither a configuration nor a server is wrong usage."""
    result = run(FakeServer(), "explain", "e", env={"BGTHROTTLE_URL": ""})
    assert 2 == result.exit_code
    assert "--config" in result.output
