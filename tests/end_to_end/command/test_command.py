"""The command `bgthrottle` as a process: its output for real servers."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import yaml

from testbed.servers.cli_process import COMMAND, Command
from testbed.servers.matrix import MatrixClient
from testbed.waiting import wait_until
from tests.end_to_end.command.caller import started
from tests.end_to_end.command.terminal import Terminal
from tests.end_to_end.conftest import Api

_ON_SQLITE = pytest.mark.parametrize("make_api", ["sqlite"], indirect=True)


def test_what_it_tells(make_api: Callable[..., Api]) -> None:
    """Status, check, explain and history say what the API says, for people and for programs."""
    call = started(make_api({"sleep": "1h"}))
    wait_until(lambda: "resting 1h" in call.api.state()[1])
    told = call.api.get("status")
    names = [update["name"] for update in told["databases"][0]["pending"]]

    lines = call(0, "status").stdout.splitlines()
    assert f", {len(names)} pending" in lines[0]
    assert lines[1].startswith(f"  {names[0]} ")
    assert "  throttled: resting 1h: sleep 1h" == lines[3]
    assert [f"  then {names[1]}, and {len(names) - 2} more"] == lines[4:]
    lines = call(0, "status", "-v").stdout.splitlines()
    assert f"bgthrottle.test, module {told['version']}" == lines[0]
    for place, name in enumerate(names[1:], start=2):
        assert any(line.startswith(f"    {place}. {name}") for line in lines)
    as_json = call.json("status")
    assert told.keys() == as_json.keys()
    assert told["databases"][0].keys() == as_json["databases"][0].keys()
    assert told["databases"][0]["current"].keys() == as_json["databases"][0]["current"].keys()
    assert names == [update["name"] for update in as_json["databases"][0]["pending"]]
    as_yaml = yaml.safe_load(call(0, "status", "-o", "yaml").stdout)
    assert as_json["databases"][0]["pending"] == as_yaml["databases"][0]["pending"]

    unsafe = call(5, "check")
    assert "not safe to upgrade:\n" in unsafe.stdout
    assert f"  {len(names)} updates are pending in master: {names[0]}" in unsafe.stdout
    verdict = json.loads(call(5, "check", "-o", "json").stdout)
    assert (False, "") == (verdict["safe"], verdict["not_seen"])

    explained = call(0, "explain", names[0]).stdout
    assert explained.startswith(f"{names[0]} in master: ")
    assert "  sleep: 1h\n" in explained
    assert "  nothing would hold it now\n" in explained
    assert call.api.get(f"explain?update={names[0]}") == call.json("explain", names[0])

    row = call(0, "history").stdout.splitlines()[1]
    assert names[0] == row.split()[-1]
    assert "nothing found\n" == call(0, "history", "no_such_*").stdout
    (entry,) = call.json("history", names[0], "--limit", "5")
    assert (names[0], "running") == (entry["update"], entry["outcome"])
    assert "nothing found\n" == call(0, "history", "--uses").stdout
    assert [] == call.json("history", "--uses")

    late = call.late()
    assert re.search(rf"not finished after \d+m?s: master: {names[0]}", late.stderr)
    assert "" == late.stdout


def test_a_terminal(make_api: Callable[..., Api]) -> None:
    """In 80 columns `watch` draws anew over what it drew, never wider; Ctrl-C ends it with 130."""
    call = started(make_api({"sleep": "1h"}))
    wait_until(lambda: "resting 1h" in call.api.state()[1])
    arguments = [*COMMAND, "watch", "--interval", "200ms"]
    with Terminal(arguments, call.command.environment(), 80) as terminal:
        terminal.read_until(lambda drawn: drawn.count("throttled: resting 1h") >= 3)
        call(0, "pause", "--yes", "--reason", "a long reason " * 20)
        terminal.read_until(lambda drawn: "PROBLEM" in drawn)
        terminal.press(b"\x03")
        assert 130 == terminal.end()
    assert re.search(r"\x1b\[\d+A\x1b\[J", terminal.drawn)
    assert terminal.has_cursor
    assert "Traceback" not in terminal.drawn
    assert "  then " in "".join(terminal.lines())
    lines = [line.removesuffix("^C") for line in terminal.lines()]  # the terminal's own echo
    assert max(map(len, lines)) <= 80


@_ON_SQLITE
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_after_a_signal(make_api: Callable[..., Api], number: signal.Signals) -> None:
    """`watch` gives the cursor back, whatever ends it."""
    call = started(make_api({"sleep": "1h"}))
    arguments = [*COMMAND, "watch", "--interval", "200ms"]
    with Terminal(arguments, call.command.environment(), 80) as terminal:
        terminal.read_until(lambda drawn: "resting 1h" in drawn)
        assert not terminal.has_cursor
        terminal.send(number)
        assert 128 + number == terminal.end()
    assert terminal.has_cursor


@_ON_SQLITE
def test_who_may(make_api: Callable[..., Api]) -> None:
    """Strangers get 3, shown tokens and empty files 1, and a server that is not there 4."""
    call = started(make_api({"sleep": "1h"}))
    folder = call.api.synapse.folder.parent
    url = call.api.synapse.url
    user = MatrixClient.register(url, "user", admin=False)
    commands = (
        "status",
        "check",
        "wait",
        "history",
        "resume",
        "explain x",
        "set x --reset",
    )
    for who, token in (("stranger", "syt_of_nobody"), ("user", user.token)):
        stranger = attrs.evolve(call, command=Command.of(url, token, folder / who))
        for command in commands if who == "user" else commands[:2]:
            assert stranger(3, *command.split()).stderr.startswith("Error: ")
    shown = attrs.evolve(call, command=Command.of(url, call.api.admin.token, folder / "shown"))
    shown.command.token_file.chmod(0o640)
    assert "chmod 600" in shown(1, "status").stderr
    nobody = attrs.evolve(call, command=Command.of(url, "", folder / "empty"))
    assert "is empty" in nobody(1, "status").stderr
    assert "No such command" in call(2, "stauts").stderr
    call.api.synapse.stop()
    for command in commands:
        arguments = ["wait", "--timeout", "300ms"] if command == "wait" else command.split()
        told = call(4, *arguments).stderr
        assert told.startswith("20" if command == "wait" else "Error: ")
        assert f"Error: {url}: " in told
        assert told.endswith("is Synapse running there, and is --url right?\n")


@_ON_SQLITE
def test_configuration(make_api: Callable[..., Api], tmp_path: Path) -> None:
    """The server's own homeserver.yaml is checked and explained offline, with mistakes' places."""
    rules = [{"update": "event_search", "max_items_per_second": 5}]
    api = make_api({"sleep": "1h", "rules": rules})
    path = api.synapse.config_path
    command = Command.of(api.synapse.url, "unused", tmp_path / "token")
    checked = command.run("check-config", str(path))
    assert (0, f"{path}: ok, 1 rule\n") == (checked.returncode, checked.stdout)
    explained = command.run("explain", "event_search", "--config", str(path))
    assert 0 == explained.returncode
    assert "max_items_per_second: 5\n" in explained.stdout
    text = path.read_text()
    path.write_text(text.replace("max_items_per_second", "max_item_per_second"))
    wrong = command.run("check-config", str(path))
    assert 1 == wrong.returncode
    line = next(n for n, t in enumerate(path.read_text().splitlines(), 1) if "max_item_per" in t)
    assert wrong.stderr.startswith(f"{path}:{line}:")
    path.write_text(text.replace("synapse_bgthrottle.B", "other.B"))
    assert 1 == command.run("check-config", str(path)).returncode
