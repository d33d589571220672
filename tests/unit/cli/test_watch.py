"""`watch` and `wait`: their output over time."""

import json
import socket
import ssl
import sys
from typing import Any

import click
import httpx
import pytest

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.render.text import Line
from tests.unit.cli.fakes import (
    HTML,
    IDLE,
    NOT_THERE,
    PAUSE,
    FakeServer,
    current,
    database,
    official,
    pending,
    run,
    status,
)

GONE = httpx.ConnectError("refused")
BUSY = status(database())
DONE = status(IDLE)
HOLD = {"cause": "window", "is_hold": True, "reason": "windows are closed", "since_ms": 0}
HELD = status(database(state="held", current=current(decision=HOLD)))
PAUSED = status(database(pending=[pending("event_search", paused=True)]), levers=[PAUSE])


def lines_of(answers: list[Any], *arguments: str, **more: Any) -> tuple[int, list[str]]:
    """Exit status, and lines without their times."""
    result = run(FakeServer({"GET status": answers}), *arguments, **more)
    return result.exit_code, [line.partition(" UTC ")[2] for line in result.output.splitlines()]


PACE = (
    "master: event_search 66.0% 496900/752865; started 3h12m ago; ETA 1h40m;"
    " throttled: active backends 26 >= 25"
)
IDLE_TEXT = "master: nothing pending"


def test_a_line_a_change() -> None:
    """Without a terminal a change is one line, and what stays as it is none."""
    held = PACE.replace("throttled: active backends 26 >= 25", "held: windows are closed")
    told = lines_of([BUSY, BUSY, HELD, HELD, DONE], "watch", "--until-done")
    assert (0, [PACE, held, IDLE_TEXT]) == told


def test_a_line_every_so_often() -> None:
    """What does not change is told again after --every; Ctrl-C ends with 130."""
    arguments = ("watch", "--interval", "10s", "--every", "30s")
    assert (130, [PACE] * 3) == lines_of([BUSY], *arguments, sleeps=6)


def test_the_server_goes_and_comes_back() -> None:
    """A server that is gone, or behind a proxy that says anything, is waited for."""
    code, told = lines_of([BUSY, GONE, GONE, HTML, NOT_THERE, BUSY, DONE], "watch", "--until-done")
    assert 0 == code
    assert [PACE, "no status: https://matrix.example.org: refused"] == told[:2]
    assert [PACE, IDLE_TEXT] == told[-2:]


@pytest.mark.parametrize(
    ("expected", "answers"),
    [
        (4, [GONE]),
        (3, [(403, {"errcode": "M_FORBIDDEN"})]),
        (3, [BUSY, (401, {"errcode": "M_UNKNOWN_TOKEN"})]),
    ],
)
@pytest.mark.parametrize("command", ["watch", "wait"])
def test_what_ends_it(expected: int, answers: list[Any], command: str) -> None:
    """A server that was never there, and a token that is no longer good, end it."""
    assert expected == lines_of(list(answers), command)[0]


@pytest.mark.parametrize("command", [["wait"], ["watch", "--until-done"]])
def test_a_server_that_is_just_starting(command: list[str]) -> None:
    """What refuses connections, or is not there for its proxy, is waited for from the first."""
    code, told = lines_of([GONE, HTML, GONE, BUSY, DONE], *command)
    assert 0 == code
    assert "no status: https://matrix.example.org: refused" == told[0]


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_a_server_that_never_comes(command: str) -> None:
    """It is waited for for five minutes, or for the time that was given."""
    server = FakeServer({"GET status": [GONE]})
    assert 4 == run(server, command, "--interval", "10s").exit_code
    assert 31 == len(server.sent)
    server = FakeServer({"GET status": [GONE]})
    assert 4 == run(server, "wait", "--timeout", "20s").exit_code
    assert 3 == len(server.sent)


@pytest.mark.parametrize("cause", [socket.gaierror(-2, "unknown name"), ssl.SSLError("untrusted")])
@pytest.mark.parametrize("command", ["wait", "watch"])
def test_a_server_that_cannot_come(cause: OSError, command: str) -> None:
    """An unknown name and a certificate that is not trusted end it at once."""
    error = httpx.ConnectError("it failed")
    error.__cause__ = cause
    server = FakeServer({"GET status": [error]})
    assert (4, 1) == (run(server, command).exit_code, len(server.sent))


def test_watch_for_programs() -> None:
    """Each look is a line of JSON."""
    result = run(FakeServer({"GET status": [BUSY, DONE]}), "-o", "json", "watch", "--until-done")
    assert [BUSY, DONE] == [json.loads(line) for line in result.stdout.splitlines()]


def test_watch_without_module() -> None:
    """Synapse's own status is followed, and the module is not asked for again."""
    server = FakeServer({"GET admin/status": [official(master="e"), official()]})
    result = run(server, "watch", "--until-done")
    assert ["GET status", *["GET admin/status"] * 4] == [key for key, _ in server.sent]
    assert "master: e 50 items" in result.output
    assert "no update is running now" in result.output


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminals_that_are_not_drawn_on(env: dict[str, str]) -> None:
    """With NO_COLOR or TERM=dumb there are plain lines on a terminal too."""
    code, told = lines_of([BUSY, DONE], "watch", "--until-done", terminal=True, env=env)
    assert (0, [PACE, IDLE_TEXT]) == (code, told)


def test_drawn_on_a_terminal() -> None:
    """On a terminal the whole status is drawn over the last one."""
    server = FakeServer({"GET status": [BUSY, GONE, DONE]})
    result = run(server, "watch", "--until-done", terminal=True)
    assert 0 == result.exit_code
    assert "NO STATUS for 0ms, what follows is old" in result.output
    assert "master (postgres): idle" == result.output.splitlines()[-1]


def test_drawn_after_the_server_went() -> None:
    """What was known stays, under a line that says how old it is; Ctrl-C ends it with 130."""
    server = FakeServer({"GET status": [BUSY, GONE]})
    result = run(server, "watch", terminal=True, sleeps=3)
    assert 130 == result.exit_code
    assert "NO STATUS for 4s, what follows is old: https://matrix.example.org" in result.output
    assert "event_search 66.0% 496900/752865" in result.output


def drawn(lines: list[Line], width: int = 80) -> list[str]:
    """What fills a row each, without colours."""
    rows = output._drawn(lines, sys.stdout, width, has_bars=True)
    return [click.unstyle(row) for row in rows]


@pytest.mark.parametrize("width", [80, 40, 12])
def test_drawn_in_few_columns(width: int) -> None:
    """Lines are wrapped under their indentation, and bars fit."""
    told = drawn([Line("  " + "word " * 30, "held", 0.5), Line("x" * 99)], width)
    assert max(map(len, told)) <= width
    assert all(line.startswith("  ") for line in told[:2])


def test_drawn_without_control_characters() -> None:
    """What comes from the server is escaped here too."""
    assert [r"\x1b[2J\nx"] == drawn([Line("\x1b[2J\nx")])


@pytest.mark.parametrize(("done", "ratio"), [(0, -1.0), (0, 0.0), (30, 0.5), (60, 1.0), (60, 7.0)])
def test_odd_ratios(done: int, ratio: float) -> None:
    """A bar is drawn whatever the server says, as wide as there is room."""
    assert ["x", "    " + "=" * done + "-" * (60 - done)] == drawn([Line("x", ratio=ratio)])
    assert ["x", "    " + "-" * 12] == drawn([Line("x", ratio=0.0)], 20)


def test_more_than_there_is_room_for(capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit below each other is left out, and that it is."""
    output.Screen().draw([Line(f"line {number}") for number in range(60)])
    shown = capsys.readouterr().out.splitlines()
    assert ["line 0", "line 1"] == shown[:2]
    assert (23, "...") == (len(shown), shown[-1])


@pytest.mark.parametrize(
    ("expected", "said", "answers"),
    [
        (0, "nothing is pending", [DONE]),
        (0, "nothing is pending", [BUSY, GONE, HTML, DONE]),
        (5, "event_search is paused by @admin:example.org", [BUSY, PAUSED]),
        (5, "switched off", [status(database(), enabled=False)]),
        (5, "aborted", [BUSY, status(database(state="aborted"))]),
        (5, "disabled", [BUSY, status(database(state="disabled"))]),
        (5, "not finished after 1h: master: event_search 66.0%", [BUSY]),
        (5, "not finished after 1h: no status: ", [BUSY, GONE]),
    ],
)
def test_wait(expected: int, said: str, answers: list[Any]) -> None:
    """It ends with 0 when nothing is pending, and with 5 and the reason when that will not come."""
    result = run(FakeServer({"GET status": list(answers)}), "wait", "--timeout", "1h")
    assert expected == result.exit_code
    assert said in result.output


def test_wait_tells_on_stderr() -> None:
    """The output has the result alone."""
    result = run(FakeServer({"GET status": [BUSY, DONE]}), "wait")
    assert "nothing is pending\n" == result.stdout
    assert PACE in result.stderr


def test_wait_without_module() -> None:
    """A moment between two updates is no end: nothing has to run in three looks in a row."""
    idle, busy = official(), official(master="e")
    server = FakeServer({"GET admin/status": [busy, idle, busy, idle, idle, idle, busy]})
    result = run(server, "wait")
    assert (0, "nothing runs any more\n") == (result.exit_code, result.stdout)
    assert 7 == len(server.sent)
    server = FakeServer({"GET admin/status": official(enabled=False)})
    assert 5 == run(server, "wait").exit_code


def test_wait_without_module_while_nothing_moves() -> None:
    """Synapse does not tell that it gave up; that nothing moves is told after five minutes."""
    server = FakeServer({"GET admin/status": official(master="e")})
    result = run(server, "wait", sleeps=29)
    assert "nothing has moved" not in result.output
    result = run(server, "wait", sleeps=40)
    assert "nothing has moved for 5m: it builds an index, or Synapse gave up" in result.output


@pytest.mark.parametrize(
    ("expected_s", "before", "behind"),
    [
        ([30, 30, 30], [], []),
        ([5, 5, 5], ["--timeout", "5s"], []),
        ([25, 15, 5], [], ["--timeout", "25s"]),
        ([9, 9, 5], ["--timeout", "9s"], ["--timeout", "25s"]),
        ([10, 1], [], ["--timeout", "10s"]),
    ],
)
def test_how_long_one_answer_may_take(
    expected_s: list[float], before: list[str], behind: list[str]
) -> None:
    """It is set before `wait`, and is never more than what is left of the whole wait."""
    server = FakeServer({"GET status": [BUSY, BUSY, DONE]})
    assert (0 if len(expected_s) == 3 else 5) == run(server, *before, "wait", *behind).exit_code
    assert expected_s == server.timeouts_s


def test_wait_interrupted() -> None:
    """Ctrl-C ends it with 130."""
    assert 130 == lines_of([BUSY], "wait", sleeps=2)[0]
