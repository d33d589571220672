"""The commands that make one change: levers, jobs, and Synapse's own switch."""

import json
from typing import Any

import httpx
import pytest

from tests.unit.cli.fakes import (
    HTML,
    IDLE,
    LEVERS,
    FakeServer,
    current,
    database,
    official,
    run,
    status,
)

NOTHING = (404, {"errcode": "M_NOT_FOUND", "error": "nothing is paused"})
ON, OFF = {"enabled": True}, {"enabled": False}
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        (("pause", {"update": "e", "for": DAY_MS}), ["pause", "e"]),
        (
            ("pause", {"update": "*", "for": 7_200_000, "reason": "why", "database": "state"}),
            ["pause", "--for", "2h", "--reason", "why", "--database", "state", "--yes"],
        ),
        (("resume", {"update": "e*"}), ["resume", "e*"]),
        (("release", {"update": "e", "for": DAY_MS}), ["release", "e"]),
        (
            ("override", {
                "update": "e", "for": 1000,
                "settings": {"duty_cycle": "5%", "max_batch_size": 200, "windows": [],
                             "update": "*_x", "odd": "2026-01-01"},
            }),
            ["set", "e", "duty_cycle=5%", "max_batch_size=200", "windows=[]", "update=*_x",
             "odd=2026-01-01", "--for", "1s"],
        ),
        (("reset", {"update": "e", "reason": "x"}), ["set", "e", "--reset", "--reason", "x"]),
    ],
)  # fmt: skip
def test_levers(expected: tuple[str, dict[str, Any]], arguments: list[str]) -> None:
    """Each lever sends its pattern, its end and its reason, and shows what is in force."""
    action, body = expected
    server = FakeServer({f"POST {action}": LEVERS})
    result = run(server, *arguments)
    assert (0, [(f"POST {action}", body)]) == (result.exit_code, server.sent)
    assert "made: pause *, until 2026-01-07 00:00 UTC (2h left)" in result.output


@pytest.mark.parametrize(
    ("setting", "doubt"),
    [
        ("sleep=1", "sleep: 1 is 1 ms; write 1s if you mean seconds, otherwise 1ms"),
        ("duty_cycle=1", "duty_cycle: 1 is 100%; write 1% if you mean one percent, otherwise 100%"),
        ("sleep=1s", ""),
        ("max_batch_size=1", ""),
        ("odd=1", ""),
    ],
)
def test_a_bare_number_that_is_probably_a_mistake(setting: str, doubt: str) -> None:
    """It is set as it stands, with a warning on stderr."""
    server = FakeServer({"POST override": LEVERS})
    result = run(server, "set", "e", setting)
    assert (0, 1) == (result.exit_code, len(server.sent))
    assert (f"warning: {doubt}\n" if doubt else "") == result.stderr


@pytest.mark.parametrize(
    "arguments", [["pause"], ["pause", "**"], ["release", "*"], ["set", "*", "profile=finish"]]
)
@pytest.mark.parametrize(
    ("expected", "terminal", "stdin", "more"),
    [(2, False, "", []), (0, False, "", ["--yes"]), (0, True, "y\n", []), (1, True, "n\n", [])],
)
def test_confirmation(
    arguments: list[str], expected: int, terminal: bool, stdin: str, more: list[str]
) -> None:
    """What is for all updates is asked about; without a terminal only --yes will do."""
    answers = {f"POST {name}": LEVERS for name in ("pause", "release", "override")}
    server = FakeServer(answers)
    result = run(server, *arguments, *more, terminal=terminal, stdin=stdin)
    assert (expected, expected == 0) == (result.exit_code, bool(server.sent))
    assert "Usage" not in result.output
    assert (expected == 1) == ("nothing was changed" in result.output)


def test_compound_spans() -> None:
    """A span is taken as the program itself tells spans."""
    server = FakeServer({"POST pause": LEVERS})
    run(server, "pause", "e", "--for", "1h59m")
    assert 7_140_000 == server.sent[0][1]["for"]


def test_problems_of_a_lever() -> None:
    """A refusal is told with each of its problems."""
    problem = {"path": ["settings", "duty_cycle"], "message": "found '500%'\n"}
    body = {"errcode": "M_INVALID_PARAM", "error": "wrong settings", "problems": [problem]}
    result = run(FakeServer({"POST override": (400, body)}), "set", "e", "duty_cycle=500%")
    assert 1 == result.exit_code
    assert "wrong settings\n  settings.duty_cycle: found '500%'\\n\n" in result.output


def test_a_problem_that_the_message_has() -> None:
    """It is told once."""
    problem = {"path": ["for"], "message": "found '1y'"}
    body = {"errcode": "M_INVALID_PARAM", "error": "for: found '1y'", "problems": [problem]}
    result = run(FakeServer({"POST pause": (400, body)}), "pause", "e")
    assert 1 == result.output.count("for: found '1y'")


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        (True, httpx.ReadTimeout("")),
        (True, httpx.RemoteProtocolError("Server disconnected")),
        (True, HTML),
        (True, (200, b"<html>")),
        (False, httpx.ConnectError("refused")),
        (False, httpx.ConnectTimeout("")),
        (False, (500, {"errcode": "M_UNKNOWN", "error": "Internal"})),
        (False, (503, {"errcode": "M_UNKNOWN", "error": "nothing has changed"})),
        (True, (503, {"errcode": "M_UNKNOWN", "error": "10 s", "may_be_done": True})),
    ],
)
@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("POST pause", ["pause", "e"]),
        ("POST resume", ["resume", "e"]),
        ("POST release", ["release", "e"]),
        ("POST override", ["set", "e", "sleep=0"]),
        ("POST admin/start_job", ["run", "regenerate_directory"]),
    ],
)
def test_a_change_whose_answer_is_lost(
    expected: bool, answer: Any, key: str, arguments: list[str]
) -> None:
    """It may have been done, unless nothing was sent or the server says no; a look is no change."""
    server = FakeServer({key: answer, "GET status": answer})
    result = run(server, *arguments)
    assert result.exit_code in (1, 4)
    hint = "it may have been done all the same: see `bgthrottle status`, or do it again"
    assert expected == (hint in result.output)
    assert "may have been done" not in run(server, "status").output


def test_pause_without_module() -> None:
    """Synapse's switch is used instead, and that it has no end is said loudly."""
    server = FakeServer({"POST admin/enabled": OFF})
    result = run(server, "pause", "--yes")
    assert 0 == result.exit_code
    assert ("POST admin/enabled", OFF) == server.sent[-1]
    assert "NO END" in result.output
    assert "FORGOTTEN" in result.output


def test_pause_one_without_module() -> None:
    """One update alone cannot be stopped by Synapse's switch."""
    server = FakeServer({"POST admin/enabled": OFF})
    result = run(server, "pause", "event_search")
    assert (1, 1) == (result.exit_code, len(server.sent))
    assert "only all updates can be stopped" in result.output


@pytest.mark.parametrize("command", ["pause", "resume", "status"])
def test_a_worker_is_no_server_without_the_module(command: str) -> None:
    """Its words are shown: Synapse's own switch has no end, and the module has pauses that do."""
    said = {"errcode": "M_UNRECOGNIZED", "error": "This is a worker.", "is_worker": True}
    answers = {"POST pause": (404, said), "POST resume": (404, said), "GET status": (404, said)}
    server = FakeServer({"POST admin/enabled": OFF, "GET admin/status": official(), **answers})
    result = run(server, command, *(["--yes"] if command == "pause" else []))
    assert (1, 1) == (result.exit_code, len(server.sent))
    assert "This is a worker." in result.output


def test_pause_without_module_is_asked_about() -> None:
    """Who wanted a pause that ends is asked again before one that does not."""
    server = FakeServer({"POST admin/enabled": OFF})
    result = run(server, "pause", terminal=True, stdin="y\nn\n")
    assert (1, ["POST pause"]) == (result.exit_code, [key for key, _ in server.sent])


ABORTED = status(IDLE | {"state": "aborted"})


@pytest.mark.parametrize(
    ("expected", "switched", "answers", "arguments"),
    [
        (0, False, {"POST resume": LEVERS, "GET status": status(IDLE)}, ["resume"]),
        (0, True, {"POST resume": LEVERS, "GET status": ABORTED}, ["resume"]),
        (0, True, {"POST resume": NOTHING, "GET status": ABORTED}, ["resume"]),
        (0, True, {"POST resume": NOTHING, "GET status": status(IDLE, enabled=False)}, ["resume"]),
        (0, False, {"POST resume": NOTHING, "GET status": status(IDLE)}, ["resume"]),
        (0, False, {"POST resume": NOTHING, "GET status": status(IDLE)},
         ["resume", "--database", "x"]),
        (0, False, {"POST resume": NOTHING, "GET status": ABORTED}, ["resume", "e"]),
        (0, False, {"POST resume": LEVERS, "GET status": ABORTED}, ["resume", "e"]),
        (0, True, {}, ["resume"]),
        (1, False, {}, ["resume", "e"]),
    ],
)  # fmt: skip
def test_resume(
    expected: int, switched: bool, answers: dict[str, Any], arguments: list[str]
) -> None:
    """Without a name everything goes on: pauses end, and the switch is put on if it has to be."""
    server = FakeServer({"POST admin/enabled": ON, **answers})
    result = run(server, *arguments)
    assert expected == result.exit_code
    assert switched is (("POST admin/enabled", ON) in server.sent)


@pytest.mark.parametrize("answers", [{}, {"POST resume": NOTHING, "GET status": ABORTED}])
def test_resume_for_programs(answers: dict[str, Any]) -> None:
    """Where nothing but the switch was to be put on, its answer is the output."""
    server = FakeServer({"POST admin/enabled": ON, **answers})
    assert ON == json.loads(run(server, "resume", "-o", "json").stdout)


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("POST resume", ["resume"]),
        ("POST resume", ["resume", "e"]),
        ("POST reset", ["set", "*", "--reset"]),
        ("POST reset", ["set", "e", "--reset"]),
        ("POST reset", ["set", "e", "--reset", "--database", "x"]),
    ],
)
def test_nothing_to_end(key: str, arguments: list[str]) -> None:
    """It is told, with what does hold updates, and is no error."""
    hold = {"cause": "window", "is_hold": True, "reason": "windows are closed", "since_ms": 0}
    held = status(database(state="held", current=current(decision=hold)))
    result = run(FakeServer({key: NOTHING, "GET status": held}), *arguments)
    said = "nothing is paused\nmaster: held: windows are closed\n"
    assert (0, said) == (result.exit_code, result.output)


def test_run() -> None:
    """A job is put into the queue by Synapse's own API, one unknown here too."""
    server = FakeServer({"POST admin/start_job": {}})
    assert 0 == run(server, "run", "news").exit_code
    key = "ed25519:a_old " + "X" * 43
    assert 0 == run(server, "run", "event_resign", "--old-key", key, "--before-ts", "5").exit_code
    assert [
        {"job_name": "news"},
        {"job_name": "event_resign", "old_key": key, "before_ts": 5},
    ] == [body for _, body in server.sent]


@pytest.mark.parametrize("key", ["k", "ed25519:a", "a_old " + "X" * 43, "ed25519:a " + "X" * 42])
def test_run_with_a_key_that_is_none(key: str) -> None:
    """Synapse would queue it, and fail again and again."""
    server = FakeServer({"POST admin/start_job": {}})
    assert 2 == run(server, "run", "event_resign", "--old-key", key).exit_code
    assert [] == server.sent


@pytest.mark.parametrize(
    ("expected", "arguments"), [(2, []), (2, ["--before-ts", "5"]), (0, ["--yes"])]
)
def test_signing_everything_is_asked_about(expected: int, arguments: list[str]) -> None:
    """Without an old key all events are signed."""
    server = FakeServer({"POST admin/start_job": {}})
    result = run(server, "run", "event_resign", *arguments)
    assert (expected, expected == 0) == (result.exit_code, bool(server.sent))


def test_run_what_is_no_job() -> None:
    """The jobs are listed, with the one that was probably meant."""
    refused = (400, {"errcode": "M_UNKNOWN", "error": "Invalid job_name"})
    result = run(FakeServer({"POST admin/start_job": refused}), "run", "regenerate_dir")
    assert 1 == result.exit_code
    assert (
        "Error: the server refuses this (400): Invalid job_name; the jobs are"
        " populate_stats_process_rooms, regenerate_directory, event_resign; did you mean"
        " regenerate_directory?\n"
    ) == result.output
