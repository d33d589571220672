"""The command `bgthrottle` as a process, against real servers on SQLite and on PostgreSQL."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from harness.command import COMMAND, Command
from harness.matrix import MatrixClient
from tests.real.conftest import Api, wait_until
from tests.real.terminal import Terminal

_ADMIN = "@admin:bgthrottle.test"
_HOSTILE = "look \x1b[2J\x1b]0;owned\x07\r\n\x9b31m\u202ehere"
_ON_SQLITE = pytest.mark.parametrize("make_api", ["sqlite"], indirect=True)
_RESTS_LONG = {"background_updates": {"sleep_duration_ms": 3_600_000}}


@attrs.frozen
class Caller:
    """The server's administrator at the command."""

    api: Api
    command: Command

    def __call__(self, expected_status: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, which must have this exit status; nothing is ever drawn or traced."""
        ended = self.command.run(*arguments)
        assert expected_status == ended.returncode, (arguments, ended.stdout, ended.stderr)
        for output in (ended.stdout, ended.stderr):
            assert "\x1b" not in output
            assert "Traceback" not in output
            assert self.api.admin.token not in output
        return ended

    def json(self, *arguments: str) -> Any:
        return json.loads(self(0, "-o", "json", *arguments).stdout)


def _started(api: Api) -> Caller:
    api.start()
    token_file = api.synapse.folder.parent / "token"
    return Caller(api, Command.of(api.synapse.url, api.admin.token, token_file))


def test_what_it_tells(make_api: Callable[..., Api]) -> None:
    """Status, check, explain and history say what the API says, for people and for programs."""
    call = _started(make_api({"sleep": "1h"}))
    wait_until(lambda: "rests 1h" in call.api.state()[1])
    told = call.api.get("status")
    names = [update["name"] for update in told["databases"][0]["pending"]]

    lines = call(0, "status").stdout.splitlines()
    assert f"bgthrottle.test, module {told['version']}" == lines[0]
    assert f", {len(names)} pending" in lines[1]
    assert f"  {names[0]} " in lines[2]
    assert "throttled: sleep 1h: rests 1h after a batch of " in lines[2]
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
    assert (False, "") == (verdict["safe"], verdict["not_told"])

    explained = call(0, "explain", names[0]).stdout
    assert explained.startswith(f"{names[0]} in master: ")
    assert "  sleep: 1h\n" in explained
    assert "  nothing would hold it now\n" in explained
    assert call.api.get(f"explain?update={names[0]}") == call.json("explain", names[0])

    assert f" UTC {names[0]} in master: running" in call(0, "history").stdout
    assert "no history\n" == call(0, "history", "no_such_*").stdout
    (entry,) = call.json("history", names[0], "--limit", "5")
    assert (names[0], "running") == (entry["update"], entry["outcome"])
    assert "no uses\n" == call(0, "history", "--uses").stdout
    assert [] == call.json("history", "--uses")

    late = call(5, "wait", "--timeout", "500ms")
    assert f"not finished after 500ms: master: {names[0]}" in late.stderr
    assert "" == late.stdout


def test_a_terminal(make_api: Callable[..., Api]) -> None:
    """In 80 columns `watch` draws anew over what it drew, never wider; Ctrl-C ends it with 130."""
    call = _started(make_api({"sleep": "1h"}))
    wait_until(lambda: "rests 1h" in call.api.state()[1])
    arguments = [*COMMAND, "watch", "--interval", "200ms"]
    with Terminal(arguments, call.command.environment(), 80) as terminal:
        terminal.read_until(lambda drawn: drawn.count("bgthrottle.test, module") >= 3)
        call(0, "pause", "--yes", "--reason", "a long reason " * 20)
        terminal.read_until(lambda drawn: "PROBLEM" in drawn)
        terminal.press(b"\x03")
        assert 130 == terminal.end()
    assert "\x1b[1A" in terminal.drawn
    assert "\x1b[2K" in terminal.drawn
    assert "Traceback" not in terminal.drawn
    assert "then:" in "".join(terminal.lines())
    lines = [line.removesuffix("^C") for line in terminal.lines()]  # the terminal's own echo
    assert max(map(len, lines)) <= 80


def test_levers(make_api: Callable[..., Api]) -> None:
    """Pause, resume, release and set do what they say, and the server knows who did it and why."""
    call = _started(make_api({"sleep": "1h"}))
    wait_until(lambda: "rests 1h" in call.api.state()[1])
    name = call.api.database()["pending"][0]["name"]

    nobody = call(2, "pause")
    assert "Nobody can be asked here: add --yes" in nobody.stderr
    paused = call(0, "pause", "--for", "2h", "--reason", "load test", "--yes").stdout
    assert paused.startswith("made: pause *, until 20")
    assert f"(2h left), by {_ADMIN}: load test" in paused
    wait_until(lambda: call.api.state()[0] == "held")
    status = call(0, "status").stdout
    assert status.startswith("PROBLEM: ")
    assert f"paused by {_ADMIN}" in status
    assert f"* is paused by {_ADMIN}: load test" in call(5, "check").stdout
    begin_s = time.monotonic()
    assert f"master: {name} is paused by {_ADMIN}" in call(5, "wait").stderr
    assert time.monotonic() - begin_s < 5
    (lever,) = call.json("pause", name, "--for", "90s")["made"]
    assert ("pause", name, 90_000) == (
        lever["kind"],
        lever["update"],
        lever["ends_ms"] - lever["created_ms"],
    )
    assert 2 == call(0, "resume").stdout.count("ended: pause ")
    assert call(0, "resume").stdout.startswith("nothing is paused")

    made = call(0, "set", name, "sleep=2h", "--for", "1d", "--reason", "calm").stdout
    assert made.startswith(f"made: override {name}, sleep=2h, until ")
    wait_until(lambda: "rests 2h" in call.api.state()[1])
    assert "sleep: 2h\n" in call(0, "explain", name).stdout
    wrong = call(1, "set", name, "sleeep=2h", "duty_cycle=0%").stderr
    assert "sleeep" in wrong
    assert "duty_cycle" in wrong
    released = call(0, "release", name, "--reason", "now").stdout
    assert f"made: release {name} in master, until " in released
    assert call(1, "release", "no_such_update").stderr
    assert 2 == call(0, "set", name, "--reset").stdout.count("ended: ")
    wait_until(lambda: "rests 1h" in call.api.state()[1])

    uses = call(0, "history", "--uses").stdout.splitlines()
    actions = [line.split(" UTC ")[1].split()[1] for line in uses]
    assert ["reset", "release", "override", "resume", "pause", "pause"] == actions
    assert f" UTC {_ADMIN} pause *, until 20" in uses[-1]

    refused = call(1, "pause", name, "--reason", _HOSTILE)
    assert "reason" in refused.stderr
    call(0, "pause", name, "--reason", "harmless")
    char = {"sqlite": "CHAR", "postgres": "CHR"}[call.api.database()["engine"]]
    call.api.synapse.stop()
    # As if somebody's SQL had let it in.
    hostile = f"'look ' || {char}(27) || '[2J' || {char}(7) || {char}(10) || 'here'"
    call.api.execute(f"UPDATE bgthrottle_levers SET reason = {hostile}")
    call.api.start()
    for command in (("status",), ("status", "-o", "json"), ("status", "-o", "yaml")):
        shown = call(0, *command).stdout
        assert "\x07" not in shown
        assert "look " in shown
        assert not any(line.startswith("here") for line in shown.splitlines())
    assert "\x07" not in call(5, "check").stdout
    assert "\x07" not in call(0, "resume", name).stdout


@_ON_SQLITE
def test_who_may(make_api: Callable[..., Api]) -> None:
    """Strangers get 3, shown tokens and empty files 1, and a server that is not there 4."""
    call = _started(make_api({"sleep": "1h"}))
    folder = call.api.synapse.folder.parent
    url = call.api.synapse.url
    user = MatrixClient.register(url, "user", admin=False)
    commands = (
        "status",
        "check",
        "wait --timeout 300ms",
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
        told = call(4, *command.split()).stderr
        assert told.startswith("20" if "wait" in command else "Error: ")
        assert f"Error: {url}: " in told
        assert told.endswith("is Synapse running there, and is --url right?\n")


def test_to_the_end(make_api: Callable[..., Api], tmp_path: Path) -> None:
    """`watch` outlasts a restart and `wait` a server's absence; both end when all is done."""
    in_days = time.gmtime(time.time() + 3 * 86_400)
    window = {"days": [time.strftime("%a", in_days).lower()], "start": "00:00", "end": "24:00"}
    rules = [{"update": "populate_stats_process_rooms", "windows": [window]}]
    call = _started(make_api({"profile": "finish", "rules": rules}))
    watch_path, wait_path = tmp_path / "watch", tmp_path / "wait"
    watch = call.command.start(watch_path, "watch", "--until-done", "--interval", "200ms")
    wait = call.command.start(wait_path, "wait", "--interval", "200ms")
    paths = (watch_path, wait_path)
    wait_until(lambda: all("windows are closed" in path.read_text() for path in paths))
    call.api.synapse.stop()
    wait_until(lambda: "no status" in watch_path.read_text())
    wait_until(lambda: "no status" in wait_path.read_text())
    call.api.start()
    wait_until(lambda: "windows are closed" in call.api.state()[1])
    call(0, "release", "populate_stats_*")
    assert (0, 0) == (watch.wait(60), wait.wait(60))
    followed, waited = watch_path.read_text(), wait_path.read_text()
    assert waited.endswith("\nnothing is pending\n")
    for lines in (followed, waited.removesuffix("nothing is pending\n")):
        assert "held: windows are closed" in lines.partition("no status: ")[2]
        assert lines.endswith("master: nothing pending\n")
        assert all(" UTC " in line and line.startswith("20") for line in lines.splitlines())
    assert "safe to upgrade: nothing is pending\n" == call(0, "check").stdout
    history = call.json("history", "--limit", "1000")
    assert {"done"} == {entry["outcome"] for entry in history}
    assert "populate_stats_process_rooms" in {entry["update"] for entry in history}

    assert "regenerate_directory is in the queue\n" == call(0, "run", "regenerate_directory").stdout
    assert call(1, "run", "no_such_job").stderr
    assert "nothing is pending\n" == call(0, "wait", "--interval", "200ms").stdout
    (line,) = call(0, "watch", "--until-done", "-o", "json").stdout.splitlines()
    assert [] == json.loads(line)["databases"][0]["pending"]


def test_without_the_module(make_api: Callable[..., Api]) -> None:
    """Synapse's own switch and status serve, and what they cannot do is said."""
    api = make_api(None, _RESTS_LONG)
    call = _started(api)
    wait_until(lambda: api.admin.updates_status()["current_updates"])
    current = api.admin.updates_status()["current_updates"]["master"]["name"]
    status = call(0, "status").stdout
    assert f"master: {current} " in status
    assert "without the module: no queue, no progress, no reasons\n" in status
    assert api.admin.updates_status() == call.json("status")
    assert f"  {current} runs in master\n" in call(5, "check").stdout
    assert "not finished after 300ms" in call(5, "wait", "--timeout", "300ms").stderr
    paused = call(0, "pause", "--yes")
    assert "NO END" in paused.stderr
    assert "switched off" in paused.stdout
    assert not api.admin.updates_status()["enabled"]
    assert "PROBLEM: background updates are switched off" in call(0, "status").stdout
    assert "switched off" in call(5, "wait").stderr
    assert "switched off" in call(5, "check").stdout
    assert "only all updates can be stopped" in call(1, "pause", "event_search").stderr
    for command in (("release", "x"), ("set", "x", "sleep=1s"), ("history",), ("explain", "x")):
        assert "module" in call(1, *command).stderr
    assert {"enabled": True} == call.json("resume")
    assert api.admin.updates_status()["enabled"]


def test_without_the_module_to_the_end(make_api: Callable[..., Api]) -> None:
    """`wait` and `check` take several looks without an update for the end; `run` is Synapse's."""
    call = _started(make_api(None, {"background_updates": {"sleep_enabled": False}}))
    assert "nothing runs any more\n" == call(0, "wait", "--interval", "300ms").stdout
    assert 0 == call.api.pending()
    assert "for all that is told" in call(0, "check").stdout
    assert "is in the queue" in call(0, "run", "populate_stats_process_rooms").stdout
    call(0, "watch", "--until-done", "--interval", "300ms")
    wait_until(lambda: call.api.pending() == 0)


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
