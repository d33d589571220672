"""The command `bgthrottle forecast`, of a server and of numbers."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import click
import pytest

from synapse_bgthrottle.cli import forecast_memory
from synapse_bgthrottle.cli.forecasting import forecast_command
from tests.unit.cli_fakes import (
    NOW_MS,
    PAUSE,
    PROGRESS,
    FakeServer,
    current,
    database,
    pending,
    run,
    status,
)

LIMITS = {
    "target_duration": "100ms",
    "duty_cycle": "adaptive",
    "profile": "balanced",
    "min_duty_cycle": "1%",
    "max_duty_cycle": "100%",
    "max_items_per_second": "off",
    "default_batch_size": "100",
    "min_batch_size": "1",
    "max_batch_size": "off",
    "windows": "always",
    "time_zone": "UTC",
    "max_hold": "7d",
    "approval": "off",
}


def explained(name: str, **more: Any) -> dict[str, Any]:
    return {"update": name, "database": "master", "limits": {**LIMITS, **more}}


def server(*entries: dict[str, Any], limits: Any = None, **more: Any) -> FakeServer:
    explain = [explained(name, **(limits or {})) for name in ("event_search", "an_index")]
    return FakeServer(
        {
            "GET status": status(database(), **more),
            "GET history": {"history": list(entries)},
            "GET load": {"load": []},
            "GET explain": [*explain, *explain, *explain],
        }
    )


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


IDLE = ("--load", "idle")


def test_numbers(tmp_path: Path) -> None:
    """Of numbers alone a finish date, a comparison and a plot are made, and a picture."""
    picture = tmp_path / "a.svg"
    options = ("--items", "1e6", "--rate", "5/ms", "--svg", picture, *IDLE)
    result = run(FakeServer(), "forecast", *options, env={"BGTHROTTLE_URL": ""})
    assert (0, "") == (result.exit_code, result.stderr)
    lines = result.output.splitlines()
    assert lines[0].startswith("(unnamed): 1000000 items left; done 2026-01-06 22:03 UTC")
    names = [line.split()[0] for line in lines[3:9]]
    assert ["present", "gentle", "balanced", "fast", "finish", "stock"] == names
    assert max(map(len, lines[3:])) < 120
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize("span", ["10m", "600"])
def test_a_one_shot_of_numbers(span: str) -> None:
    """How long a one-shot takes is said as any span, or as a bare number of seconds."""
    options = ("--one-shot", span, "-o", "json", *IDLE)
    told = json.loads(run(FakeServer(), "forecast", *options, env={"BGTHROTTLE_URL": ""}).output)
    assert NOW_MS + 600_000 == told["updates"][0]["ends_ms"]


def test_completion_of_loads() -> None:
    """The shell completes the names of loads, and files."""
    (option,) = (each for each in forecast_command.params if each.name == "load")
    found = option.shell_complete(click.Context(forecast_command), "f")
    assert [("flat", "plain"), ("f", "file")] == [(each.value, each.type) for each in found]


def test_the_load_of_the_documentation(tmp_path: Path) -> None:
    """The week that the documentation shows is accepted."""
    page = Path(__file__).parent.parent.parent / "docs" / "forecast.md"
    (block,) = re.findall(r"```text\n(share_of_time.*?)```", page.read_text(), re.S)
    file = tmp_path / "week.yaml"
    file.write_text(block)
    options = ("--items", "1e3", "--rate", "5/ms", "--load", file, "-o", "json")
    assert 0 == run(FakeServer(), "forecast", *options).exit_code


def test_numbers_and_a_configuration(tmp_path: Path) -> None:
    """The rule that matches, and what Synapse's own section says, are in it."""
    file = tmp_path / "homeserver.yaml"
    file.write_text(
        "server_name: x\nbackground_updates: {sleep_duration_ms: 400}\nmodules:\n"
        "  - module: synapse_bgthrottle.BackgroundUpdateThrottle\n"
        "    config: {rules: [{update: quick, sleep: 0}]}\n"
    )
    shares = {}
    for name in ("quick", "slow"):
        options = ("--config", file, "--items", "1e6", "--rate", "5/ms", "--update", name, *IDLE)
        found = json.loads(run(FakeServer(), "forecast", *options, "-o", "json").output)
        shares[name] = found["updates"][0]["share_in_batches"]
    assert {"quick": pytest.approx(1.0, rel=0.03), "slow": pytest.approx(0.2, rel=0.05)} == shares


@pytest.mark.parametrize(
    "options",
    [
        ("--items", "1e9"),
        ("--items", "many"),
        ("--items", "1e9", "--rate", "fast"),
        ("--items", "1e9", "--rate", "1/s", "--load", "/nonexistent"),
        ("--items", "1e9", "--rate", "1/s", "--load", "learned"),
        ("--items", "1e9", "--rate", "1/s", "--server", "mainframe"),
        ("--one-shot", "-1"),
        ("--one-shot", "soon"),
    ],
    ids=" ".join,
)
def test_wrong_usage(options: tuple[str, ...]) -> None:
    """What cannot be understood ends with 2, and what is accepted is told."""
    result = run(FakeServer(), "forecast", *options, env={"BGTHROTTLE_URL": ""})
    assert 2 == result.exit_code
    assert "Traceback" not in result.output


def test_a_load_that_is_none(tmp_path: Path) -> None:
    """A file of another shape is told with what is accepted."""
    file = tmp_path / "load.yaml"
    file.write_text("[1, 2]")
    result = run(FakeServer(), "forecast", "--items", "1", "--rate", "1/s", "--load", file)
    assert 2 == result.exit_code
    assert "168 numbers" in result.output
    assert "found 2 of them" in result.output


def test_of_a_server(env: dict[str, str]) -> None:
    """Progress and speed are the server's; what is not known is told, and with it what to say."""
    result = run(server(), "forecast", *IDLE, env=env)
    assert 0 == result.exit_code
    first, second = result.output.splitlines()[:2]
    # 255965 in 420 s of batches.
    assert first.startswith("event_search: 255965 stream positions left; done")
    assert first.endswith("100.0% of the time in batches, at 609 stream positions/s")
    assert second == "an_index: how much is left is not known: say --items"
    assert "past forecasts: none has come to its end yet" in result.output


def test_as_it_was_so_far(env: dict[str, str]) -> None:
    """Without a load, and without enough history, the pace is as it was while nothing held it."""
    found = status(
        database(
            pending=[pending("event_search")],
            current=current(
                since_ms=NOW_MS - 1_000_000,
                batch_time_ms=100_000,
                waited_ms={"pace": 300_000, "gap": 100_000, "paused": 500_000},
            ),
        )
    )
    fake = server()
    fake.answers["GET status"] = found
    result = run(fake, "forecast", "-o", "json", env=env)
    told = json.loads(result.output)
    assert 0.2 == pytest.approx(told["updates"][0]["share_in_batches"])
    assert 420 / 0.2 * 1000 == pytest.approx(told["updates"][0]["ends_ms"] - NOW_MS)
    assert any("not enough history" in note for note in told["notes"])
    rows = {row["name"]: row["share_in_batches"] for row in told["configurations"]}
    assert ["observed", "present", "gentle", "balanced"] == list(rows)[:4]
    assert 0.2 == pytest.approx(rows["observed"])
    assert rows["balanced"] == rows["present"] != pytest.approx(0.2, rel=0.05)


def learned_from(*hours: tuple[int, float]) -> FakeServer:
    """Half of the time in batches for a day, and these shares of hours with clients."""
    fake = server()
    fake.answers["GET load"] = {
        "load": [
            {
                "hour": hour,
                "watched_s": 3600.0,
                "present_ratio": ratio,
                "requests_per_second": 1.0,
            }
            for hour, ratio in hours
        ]
    }
    fake.answers["GET status"] = status(
        database(
            pending=[pending("event_search")],
            current=current(since_ms=NOW_MS - 86_400_000, batch_time_ms=43_200_000),
        )
    )
    return fake


def test_learned_load(env: dict[str, str]) -> None:
    """The week that the server saw is the load of all rows; hours that it did not see are told."""
    halves = learned_from(*((hour, float(hour % 24 >= 12)) for hour in range(168)))
    told = json.loads(run(halves, "forecast", "--load", "learned", "-o", "json", env=env).output)
    assert "learned" == told["load"]
    assert any("learned from 168 of 168 hours" in note for note in told["notes"])
    # It is 22:00: clients are there, of whom the model and the day before tell.
    assert told["updates"][0]["share_in_batches"] < 0.2
    few = run(learned_from((10, 0.5), (20, 0.5)), "forecast", env=env).output
    assert "learned from 2 of 168 hours of the week" in few
    assert "the others are taken for like the same hour of other days" in few
    assert "observed: 50.0% of the time in batches so far" in few


def test_an_older_module_does_not_tell_the_week(env: dict[str, str]) -> None:
    """Without `v1/load` the load is flat, which is said, unless the learned one was asked for."""
    fake = server()
    del fake.answers["GET load"]
    result = run(fake, "forecast", env=env)
    assert 0 == result.exit_code
    assert result.output.startswith("event_search: 255965 stream positions left; done")
    why = "the server has no GET v1/load"
    (note,) = (line for line in result.output.splitlines() if why in line)
    assert note.startswith("load: taken for flat, as ")
    assert 0 == run(fake, "forecast", *IDLE, env=env).exit_code
    assert 1 == [key for key, _ in fake.sent].count("GET load")
    result = run(fake, "forecast", "--load", "learned", env=env)
    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(f"Error: --load learned: {why}")
    del fake.answers["GET status"]
    assert "the module does not answer there" in run(fake, "forecast", env=env).stderr


def test_windows_and_pauses_of_a_server(env: dict[str, str]) -> None:
    """Its windows, and a pause that is in force, are in it."""
    limits = {"windows": "daily 02:00 to 04:00"}
    found = json.loads(run(server(limits=limits), "forecast", *IDLE, "-o", "json", env=env).output)
    assert NOW_MS + 4 * 3_600_000 == found["updates"][0]["starts_ms"]
    fake = server(levers=[PAUSE])
    found = json.loads(run(fake, "forecast", *IDLE, "-o", "json", env=env).output)
    assert PAUSE["ends_ms"] == found["updates"][0]["starts_ms"]


def test_pauses_of_others(env: dict[str, str]) -> None:
    """A pause of another update, or of another database, is none of this one."""
    own = {**PAUSE, "update": "event_*", "database": "master"}
    longer = {**PAUSE, "ends_ms": NOW_MS + 20 * 86_400_000}
    others = [{**longer, "update": "an_*"}, {**longer, "database": "state"}]
    fake = server(levers=[own, *others])
    fake.answers["GET status"]["databases"][0]["pending"][0]["paused"] = True
    found = json.loads(run(fake, "forecast", *IDLE, "-o", "json", env=env).output)
    assert PAUSE["ends_ms"] == found["updates"][0]["starts_ms"]


def behind(**first: Any) -> FakeServer:
    """`an_index` is behind `event_search`, and another update behind both."""
    fake = server()
    names = ("an_index", "another")
    queue = [pending(name, progress=PROGRESS) for name in names]
    (master,) = fake.answers["GET status"]["databases"]
    master["pending"] = [pending("event_search", **first), *queue]
    return fake


def test_one_update_of_a_queue(env: dict[str, str]) -> None:
    """One update begins after those in front of it, of which it does not tell."""
    options = (*IDLE, "--rate", "1000/s", "-o", "json")
    fake = behind(progress=PROGRESS)
    fake.answers["GET explain"].insert(2, explained("another"))
    first, second, _ = json.loads(run(fake, "forecast", *options, env=env).output)["updates"]
    fake = behind(progress=PROGRESS)
    told = json.loads(run(fake, "forecast", *options, "--update", "an_index", env=env).output)
    assert [second] == told["updates"]
    assert first["ends_ms"] == second["starts_ms"] > NOW_MS
    assert second["ends_ms"] == told["configurations"][0]["ends_ms"]
    assert 2 == [key for key, _ in fake.sent].count("GET explain")


def test_one_update_behind_what_is_not_known(env: dict[str, str]) -> None:
    """What one update does not get past is told with it."""
    fake = behind()
    fake.answers["GET status"]["databases"][0]["current"] = None
    options = (*IDLE, "--rate", "1000/s", "--update", "an_index")
    lines = run(fake, "forecast", *options, env=env).output.splitlines()
    assert "an_index: 255965 stream positions left; waits behind event_search" == lines[0]
    missing = "how much is left is not known: say --items"
    assert f"event_search, in front of it: {missing}" == lines[1]


@pytest.mark.parametrize(
    ("name", "hint"), [("event_serch", ": did you mean event_search?"), ("x", "")]
)
def test_an_update_that_is_not_pending(env: dict[str, str], name: str, hint: str) -> None:
    """A name that no pending update has is an error."""
    result = run(server(), "forecast", *IDLE, "--update", name, env=env)
    assert (1, "") == (result.exit_code, result.stdout)
    assert f"Error: {name} is not pending now{hint}\n" == result.stderr


@pytest.mark.parametrize("used_ms", [None, NOW_MS - 1000], ids=["unused", "in use"])
@pytest.mark.parametrize("limits", [{"windows": "daily 02:00 to 04:00"}, {"approval": "required"}])
def test_releases_of_a_server(
    env: dict[str, str], limits: dict[str, str], used_ms: int | None
) -> None:
    """What somebody released goes now, whatever holds others."""
    release = {**PAUSE, "kind": "release", "update": "event_search", "used_ms": used_ms}
    fake = server(limits=limits, levers=[{**release, "database": "master"}])
    update, *_ = json.loads(run(fake, "forecast", *IDLE, "-o", "json", env=env).output)["updates"]
    assert ("", NOW_MS) == (update["why"], update["starts_ms"])
    fake = server(limits=limits, levers=[{**release, "database": "state"}])
    update, *_ = json.loads(run(fake, "forecast", *IDLE, "-o", "json", env=env).output)["updates"]
    assert NOW_MS != update["starts_ms"]


def test_limits_of_another_version(env: dict[str, str]) -> None:
    """Limits that are not understood are an error, not a guess."""
    result = run(server(limits={"max_hold": "a week"}), "forecast", env=env)
    assert 1 == result.exit_code
    assert "not understood" in result.output


def test_nothing_pending(env: dict[str, str]) -> None:
    """With an empty queue there is nothing to tell."""
    fake = server()
    fake.answers["GET status"] = status(database(state="idle", pending=[], current=None))
    result = run(fake, "forecast", env=env)
    assert (0, "nothing pending") == (result.exit_code, result.output.splitlines()[0])


def test_forecasts_are_kept_and_compared(env: dict[str, str]) -> None:
    """Each is kept in a file of one's own, and compared once its update has ended."""
    assert 0 == run(server(), "forecast", *IDLE, env=env).exit_code
    file = forecast_memory.default_file(env)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(file.parent.stat().st_mode)
    (kept,) = forecast_memory.read(file)
    entry = {
        "update": "event_search",
        "database": "master",
        "outcome": "done",
        "started_ms": NOW_MS - 11_520_000,
        "ended_ms": round(NOW_MS + (kept.ends_ms - NOW_MS) * 1.1),
    }
    result = run(server(entry), "forecast", *IDLE, env=env)
    assert "past forecasts: 1 compared, median error 10.0%, worst 10.0%" in result.output
    assert 2 == len(forecast_memory.read(file))


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", '[{"server": 1}]', "[" * 9999])
def test_a_damaged_memory(env: dict[str, str], text: str) -> None:
    """What cannot be read is as if there were nothing, and is written anew."""
    file = forecast_memory.default_file(env)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert 0 == run(server(), "forecast", *IDLE, env=env).exit_code
    assert 1 == len(forecast_memory.read(file))


def test_a_memory_that_cannot_be_written(tmp_path: Path) -> None:
    """A forecast that cannot be kept is told all the same."""
    (tmp_path / "state").touch()
    result = run(server(), "forecast", *IDLE, env={"XDG_STATE_HOME": str(tmp_path / "state")})
    assert 0 == result.exit_code
    assert "this forecast is not kept" in result.stderr


def freshly_upgraded(hold: dict[str, Any]) -> FakeServer:
    """Forty one-shots and a batched update, of which nothing is known yet."""
    names = [f"index_{number}" for number in range(40)]
    fake = FakeServer(
        {
            "GET history": {"history": []},
            "GET load": {"load": []},
            "GET explain": [
                {**explained(name), "held_by": [hold] if hold else []} for name in (*names, "slow")
            ],
        }
    )
    queue = [*(pending(name, one_shot=True) for name in names), pending("slow")]
    fake.answers["GET status"] = status(database(pending=queue, current=None))
    return fake


def test_much_of_which_nothing_is_known(env: dict[str, str]) -> None:
    """Updates without a forecast are told by what is missing, and what holds the first one."""
    hold = {"cause": "window", "reason": "windows are closed; next open: Mon 01:00 UTC"}
    first, second, third, *_ = run(freshly_upgraded(hold), "forecast", env=env).output.splitlines()
    assert first == (
        "40 updates: how long it takes is not known: say --one-shot SPAN:"
        " index_0, index_1, index_2 and 37 more"
    )
    assert second == "slow: how much is left is not known: say --items"
    assert third == (
        "index_0 is held now, and what is behind it: windows are closed; next open: Mon 01:00 UTC"
    )


def test_one_zone(tmp_path: Path) -> None:
    """The chart has the zone of the text, and names it."""
    file = tmp_path / "config.yaml"
    file.write_text("time_zone: Asia/Tokyo\n")
    options = ("--config", file, "--items", "1e6", "--rate", "5/ms", *IDLE)
    output = run(FakeServer(), "forecast", *options).output
    assert "done 2026-01-06 22:03 UTC" in output
    assert "      2026-01-06 22:00 UTC   " in output


def test_no_end_offline(tmp_path: Path) -> None:
    """An approval that is required is told, and no row of the comparison is never to never."""
    file = tmp_path / "config.yaml"
    file.write_text("approval: required\n")
    options = ("--config", file, "--items", "1e6", "--rate", "5/ms", *IDLE)
    output = run(FakeServer(), "forecast", *options).output
    assert output.startswith("(unnamed): 1000000 items left; approval is required: release it")
    assert "never" not in output
    assert "present          no end\n" in output
    assert "pauses, releases and budgets are the server's to know" in output
