"""The commands that ask or change something once."""

import json
from typing import Any

import click
import httpx
import pytest
import yaml

from synapse_bgthrottle.cli.commands import bgthrottle
from synapse_bgthrottle.cli.lazy import LazyGroup
from synapse_bgthrottle.cli.running import JOBS
from synapse_bgthrottle.client import calls
from tests.unit.cli_fakes import (
    HTML,
    IDLE,
    LEVERS,
    PAUSE,
    FakeServer,
    current,
    database,
    official,
    run,
    status,
)

NOTHING = (404, {"errcode": "M_NOT_FOUND", "error": "nothing is paused"})
ON, OFF = {"enabled": True}, {"enabled": False}


def test_summaries() -> None:
    """What the group's help says of a command is the first line of the command's own."""
    assert isinstance(bgthrottle, LazyGroup)
    for name, command in bgthrottle.commands.items():
        assert name == command.name
        assert bgthrottle.summaries[name] == (command.help or "").strip().splitlines()[0]


def test_jobs() -> None:
    """The jobs that are completed are those that the client knows."""
    assert calls.JOBS == JOBS


@pytest.mark.parametrize(
    ("expected", "answer", "arguments"),
    [
        (0, status(IDLE), ["status"]),
        (1, (500, {"errcode": "M_UNKNOWN", "error": "Internal"}), ["status"]),
        (1, (200, b"<html>"), ["status"]),
        (1, (302, b""), ["status"]),
        (1, (429, {"errcode": "M_LIMIT_EXCEEDED"}), ["status"]),
        (3, (401, {"errcode": "M_UNKNOWN_TOKEN"}), ["status"]),
        (3, (403, {"errcode": "M_FORBIDDEN"}), ["status"]),
        (4, HTML, ["status"]),
        (4, httpx.ConnectError("refused"), ["status"]),
        (4, httpx.ReadTimeout(""), ["status"]),
        (1, (503, {"errcode": "M_UNKNOWN", "error": "the database"}), ["status"]),
        (2, status(IDLE), ["status", "--timeout", "30"]),
        (2, status(IDLE), ["status", "--url", "example.org"]),
        (2, status(IDLE), ["nonsense"]),
    ],
)
def test_exit_statuses(expected: int, answer: Any, arguments: list[str]) -> None:
    """Each kind of failure has its exit status; no traceback, no token is shown."""
    result = run(FakeServer({"GET status": answer}), *arguments)
    assert expected == result.exit_code
    assert "Traceback" not in result.output
    assert "syt_secret" not in result.output


def test_an_error_of_its_own() -> None:
    """A defect is told in one line."""
    result = run(FakeServer({"GET status": RuntimeError("a\x1b[2Jdefect")}), "status")
    assert 1 == result.exit_code
    assert r"an error of its own: RuntimeError: a\x1b[2Jdefect" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments", [("pause", "x", "--reason", "caf\udce9"), ("history", "\udce9*")]
)
def test_words_that_are_no_text(arguments: tuple[str, ...]) -> None:
    """Bytes that are not UTF-8 cannot be sent: that is a matter of usage."""
    result = run(FakeServer({}), *arguments)
    assert (2, True) == (result.exit_code, "is not text in UTF-8" in result.output)


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
    output = run(FakeServer({"GET status": status(IDLE, levers=[lever])}), "status").output
    assert output.replace("\n", "").isprintable()
    assert r"by @\x9b2J:x: \x1b[2J\nFORGED" in output


@pytest.mark.parametrize(
    ("expected", "said", "answers"),
    [
        (0, "safe to upgrade: nothing is pending", {"GET status": status(IDLE)}),
        (5, "2 updates are pending in master", {"GET status": status(database())}),
        (0, "for all that is told", {"GET admin/status": official()}),
        (5, "event_search runs in master", {"GET admin/status": official(master="event_search")}),
        (5, "switched off", {"GET admin/status": official(enabled=False)}),
    ],
)
def test_check(expected: int, said: str, answers: dict[str, Any]) -> None:
    """Safe is 0, not safe is 5 with the reasons; without the module it says what is not told."""
    result = run(FakeServer(answers), "check")
    assert expected == result.exit_code
    assert said in result.output
    assert ("not told" in result.output) == ("GET admin/status" in answers)


def test_check_between_two_updates() -> None:
    """Without the module one look without an update may have met the moment between two."""
    server = FakeServer({"GET admin/status": [official(), official(), official(master="e")]})
    result = run(server, "check")
    assert 5 == result.exit_code
    assert "e runs in master" in result.output


def test_check_for_programs() -> None:
    """The reasons are a list there."""
    result = run(FakeServer({"GET status": status(IDLE, levers=[PAUSE])}), "check", "-o", "json")
    assert {
        "safe": False,
        "reasons": ["* is paused by @admin:example.org: load test"],
        "not_told": "",
    } == json.loads(result.output)


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "e"],
        ["set", "e", "profile"],
        ["set", "e", "--reset", "profile=fast"],
        ["pause", "e", "--for", "24"],
        ["pause", "e", "--for", "1.5h"],
        ["history", "e", "--uses"],
        ["history", "--limit", "0"],
        ["run", "regenerate_directory", "--old-key", "k"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """It is told before anything is sent."""
    server = FakeServer()
    assert (2, []) == (run(server, *arguments).exit_code, server.sent)


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("'60d' is not within 1s and 30d", ["pause", "e", "--for", "60d"]),
        ("'999ms' is not within 1s and 30d", ["set", "e", "sleep=0", "--for", "999ms"]),
        ("'24' is no span with a unit", ["release", "e", "--for", "24"]),
        ("say of which update: bgthrottle set NAME duty_cycle=5%", ["set", "duty_cycle=5%"]),
    ],
)
def test_wrong_usage_in_the_words_that_were_typed(said: str, arguments: list[str]) -> None:
    """What was typed is told, and what is accepted."""
    assert said in " ".join(run(FakeServer(), *arguments).output.replace("│", "").split())


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
    hint = "it may have been done all the same: unless `bgthrottle status` shows it, do it again"
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
        (1, False, {"POST resume": NOTHING, "GET status": status(IDLE)},
         ["resume", "--database", "x"]),
        (1, False, {"POST resume": NOTHING, "GET status": ABORTED}, ["resume", "e"]),
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


@pytest.mark.parametrize(
    ("key", "arguments"),
    [("POST resume", ["resume"]), ("POST reset", ["set", "*", "--reset"])],
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


def test_history() -> None:
    """Updates and uses of levers each have a line, and no line is told too."""
    entry = {"update": "e", "database": "m", "outcome": "done", "items": 5}
    use = {"at_ms": 0, "author": "@a:b", "action": "pause", "update": "*"}
    server = FakeServer({"GET history": [{"history": [entry]}, {"history": []}],
                         "GET uses": {"uses": [use]}})  # fmt: skip
    assert "unknown e in m: done; 5 items in 0 batches, 0ms\n" == run(server, "history").output
    assert "no history\n" == run(server, "history", "e").output
    assert "1970-01-01 00:00 UTC @a:b pause *\n" == run(server, "history", "--uses").output


def test_explain_online() -> None:
    """The server says what would hold an update now."""
    held = {"cause": "window", "reason": "closed"}
    told = {"update": "e", "database": "master", "description": "adaptive", "held_by": [held]}
    output = run(FakeServer({"GET explain": told}), "explain", "e").output
    assert "e in master: adaptive\n  would be held now by window: closed\n" == output


@pytest.mark.parametrize(
    ("expected", "name", "more"),
    [
        (
            "it waits behind 1 in the queue, of which event_search is held: closed until 1:00",
            "an_index",
            {"decision": {"cause": "window", "is_hold": True, "reason": "closed until 1:00"}},
        ),
        ("it waits behind 1 in the queue, of which event_search is first", "an_index", {}),
        ("nosuch is not pending in master now; this is by its name alone", "nosuch", {}),
        (
            "event_serch is not pending in master now; this is by its name alone:"
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


@pytest.mark.parametrize(
    ("expected", "incomplete"),
    [
        (["max_batch_size=", "max_duty_cycle=", "max_hold=", "max_items_per_second="], "max_"),
        (["profile=fast", "profile=finish"], "profile=f"),
        (["windows=always"], "windows="),
        ([], "sleep="),
        ([], "nosuch"),
    ],
)
def test_completion_of_settings(expected: list[str], incomplete: str) -> None:
    """The shell completes the keys that `set` takes, and the words that are their values."""
    command = bgthrottle.commands["set"]
    (argument,) = (each for each in command.params if each.name == "settings_given")
    found = argument.shell_complete(click.Context(command), incomplete)
    assert expected == sorted(each.value for each in found)


def test_explain_without_anybody_to_ask() -> None:
    """Neither a configuration nor a server is wrong usage."""
    result = run(FakeServer(), "explain", "e", env={"BGTHROTTLE_URL": ""})
    assert 2 == result.exit_code
    assert "--config" in result.output
