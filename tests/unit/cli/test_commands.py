"""The whole command: exit statuses, wrong usage, and shell completion."""

import io
from typing import Any

import click
import httpx
import pytest

from synapse_bgthrottle.cli.main import SUMMARIES, command_of
from tests.unit.cli.fakes import HTML, IDLE, FakeServer, run, status


def test_summaries() -> None:
    """What the group's help says of a command is the first line of the command's own."""
    for name in SUMMARIES:
        command = command_of(name)
        assert name == command.name
        assert SUMMARIES[name] == (command.help or "").strip().splitlines()[0]


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


class Interrupted(io.BytesIO):
    """An input at which somebody presses Ctrl-C."""

    def read1(self, size: int | None = -1, /) -> bytes:
        """Never anything."""
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("expected", "said", "stdin"),
    [(130, "", Interrupted()), (1, "Error: nothing was changed\n", io.BytesIO())],
)
def test_a_question_without_an_answer(expected: int, said: str, stdin: io.BytesIO) -> None:
    """Ctrl-C at a question is Ctrl-C; the end of the input there is no yes."""
    server = FakeServer()
    result = run(server, "pause", terminal=True, stdin=stdin)
    assert (expected, []) == (result.exit_code, server.sent)
    assert result.output.endswith(f"[y/N]: \n{said}")


def test_an_error_of_its_own() -> None:
    """A defect is told in one line."""
    result = run(FakeServer({"GET status": RuntimeError("a\x1b[2Jdefect")}), "status")
    assert 1 == result.exit_code
    assert r"internal error: RuntimeError: a\x1b[2Jdefect" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments", [("pause", "x", "--reason", "caf\udce9"), ("history", "\udce9*")]
)
def test_words_that_are_no_text(arguments: tuple[str, ...]) -> None:
    """Bytes that are not UTF-8 cannot be sent: that is a matter of usage."""
    result = run(FakeServer({}), *arguments)
    assert (2, True) == (result.exit_code, "is not text in UTF-8" in result.output)


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
        ("'60d' is not between 1s and 30d", ["pause", "e", "--for", "60d"]),
        ("'999ms' is not between 1s and 30d", ["set", "e", "sleep=0", "--for", "999ms"]),
        ("'24' is not a duration with a unit", ["release", "e", "--for", "24"]),
        ("name the update: bgthrottle set NAME duty_cycle=5%", ["set", "duty_cycle=5%"]),
    ],
)
def test_wrong_usage_in_the_words_that_were_typed(said: str, arguments: list[str]) -> None:
    """What was typed is told, and what is accepted."""
    assert said in " ".join(run(FakeServer(), *arguments).output.replace("│", "").split())


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
    command = command_of("set")
    (argument,) = (each for each in command.params if each.name == "settings_given")
    found = argument.shell_complete(click.Context(command), incomplete)
    assert expected == sorted(each.value for each in found)


@pytest.mark.parametrize("name", ["pause", "resume", "release", "set", "explain", "history"])
def test_completion_of_updates(name: str) -> None:
    """The shell completes names of updates, wherever one stands."""
    command = command_of(name)
    (argument,) = (each for each in command.params if each.name == "update")
    found = argument.shell_complete(click.Context(command), "event_search_p")
    assert ["event_search_postgres_gin", "event_search_postgres_gist"] == [v.value for v in found]
