"""The command `bgthrottle` as a process: its changes on real servers, and its waits."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from testbed.waiting import HANG_S, wait_until
from tests.end_to_end.command.caller import started
from tests.end_to_end.conftest import Api

_ADMIN = "@admin:bgthrottle.test"
_HOSTILE = "look \x1b[2J\x1b]0;owned\x07\r\n\x9b31m\u202ehere"


_RESTS_LONG = {"background_updates": {"sleep_duration_ms": 3_600_000}}


def test_levers(make_api: Callable[..., Api]) -> None:
    """Pause, resume, release and set do what they say, and the server knows who did it and why."""
    call = started(make_api({"sleep": "1h"}))
    wait_until(lambda: "resting 1h" in call.api.state()[1])
    name = call.api.database()["pending"][0]["name"]

    nobody = call(2, "pause")
    assert "There is no terminal to ask: add --yes" in nobody.stderr
    paused = call(0, "pause", "--for", "2h", "--reason", "load test", "--yes").stdout
    assert paused.startswith("made: pause *, until 20")
    assert re.search(rf"\((2h|1h59m\S*) left\), by {_ADMIN}: load test", paused)
    wait_until(lambda: call.api.state()[0] == "held")
    status = call(0, "status").stdout
    assert status.startswith("PROBLEM: ")
    assert f"paused by {_ADMIN}" in status
    said = rf"all updates are paused by {_ADMIN} until .* UTC: load test\n"
    assert re.search(said, call(5, "check").stdout)
    # At once: the pause lasts for longer than the command is waited for.
    assert f"master: {name} is paused by {_ADMIN}" in call(5, "wait").stderr
    (lever,) = call.json("pause", name, "--for", "90m")["made"]
    assert ("pause", name, 5_400_000) == (
        lever["kind"],
        lever["update"],
        lever["ends_ms"] - lever["created_ms"],
    )
    assert 2 == call(0, "resume").stdout.count("ended: pause ")
    assert call(0, "resume").stdout.startswith("nothing is paused")

    made = call(0, "set", name, "sleep=2h", "--for", "1d", "--reason", "calm").stdout
    assert made.startswith(f"made: override {name}, sleep=2h, until ")
    wait_until(lambda: "resting 2h" in call.api.state()[1])
    assert "sleep: 2h\n" in call(0, "explain", name).stdout
    wrong = call(1, "set", name, "sleeep=2h", "duty_cycle=0%").stderr
    assert "sleeep" in wrong
    assert "duty_cycle" in wrong
    released = call(0, "release", name, "--reason", "now").stdout
    assert f"made: release {name} in master, until " in released
    assert call(1, "release", "no_such_update").stderr
    assert 2 == call(0, "set", name, "--reset").stdout.count("ended: ")
    wait_until(lambda: "resting 1h" in call.api.state()[1])

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


def test_to_the_end(make_api: Callable[..., Api], tmp_path: Path) -> None:
    """`watch` outlasts a restart and `wait` a server's absence; both end when all is done."""
    in_days = time.gmtime(time.time() + 3 * 86_400)
    window = {"days": [time.strftime("%a", in_days).lower()], "start": "00:00", "end": "24:00"}
    rules = [{"update": "populate_stats_process_rooms", "windows": [window]}]
    call = started(make_api({"profile": "finish", "rules": rules}))
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
    assert (0, 0) == (watch.wait(HANG_S), wait.wait(HANG_S))
    followed, waited = watch_path.read_text(), wait_path.read_text()
    assert waited.endswith("\nnothing is pending\n")
    for lines in (followed, waited.removesuffix("nothing is pending\n")):
        assert "held: windows are closed" in lines.partition("no status: ")[2]
        assert lines.endswith("master: nothing pending\n")
        assert all(" UTC " in line and line.startswith("20") for line in lines.splitlines())
    assert "safe to upgrade: nothing is pending\n" == call(0, "check").stdout

    def outcomes() -> set[str]:
        return {entry["outcome"] for entry in call.json("history", "--limit", "1000")}

    # The end of the last update is recorded within seconds after the queue is empty.
    wait_until(lambda: "running" not in outcomes())
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
    call = started(api)
    wait_until(lambda: api.admin.updates_status()["current_updates"])
    current = api.admin.updates_status()["current_updates"]["master"]["name"]
    status = call(0, "status").stdout
    assert f"master: {current} " in status
    assert "without the module nothing more is known: no queue, no progress, no reasons\n" in status
    assert api.admin.updates_status() == call.json("status")
    assert f"  {current} runs in master\n" in call(5, "check").stdout
    assert "not finished after " in call.late().stderr
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
    call = started(make_api(None, {"background_updates": {"sleep_enabled": False}}))
    # Where the machine is so busy that several looks fall between two updates, it is not the end.
    assert "nothing runs any more\n" == call(0, "wait", "--interval", "300ms").stdout
    wait_until(lambda: call.api.pending() == 0)
    assert "as far as can be seen" in call(0, "check").stdout
    assert "is in the queue" in call(0, "run", "populate_stats_process_rooms").stdout
    call(0, "watch", "--until-done", "--interval", "300ms")
    wait_until(lambda: call.api.pending() == 0)
