"""The command `bgthrottle forecast` of a server: its pace, its load, and stored forecasts."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from synapse_bgthrottle.cli.inputs import forecast_inputs
from tests.unit.cli.fakes import NOW_MS, FakeServer, current, database, pending, run, status
from tests.unit.cli.forecasts import IDLE, server


def test_of_a_server(env: dict[str, str]) -> None:
    """Progress and speed are the server's; what is not known is told, and with it what to say."""
    result = run(server(), "forecast", *IDLE, env=env)
    assert 0 == result.exit_code
    first, second = result.output.splitlines()[:2]
    # 255965 in 420 s of batches.
    assert first.startswith("event_search: 255965 stream positions left; done")
    assert first.endswith("100.0% of the time in batches, at 609 stream positions/s")
    assert second == "an_index: how much is left is not known: use --items"
    assert "past forecasts: none has come to its end yet" in result.output


PACE = {
    "left": 250_000.0,
    "per_batch_second": 600.0,
    "speed_error": 0.1,
    "without_clients": {"likely": 1.0, "low": 0.8, "high": 1.1},
    "with_clients": {"likely": 0.06, "low": 0.05, "high": 0.07},
    "clients_ratio": 1.0,
    "slope": {"likely": 0.4, "low": 0.2, "high": 0.6},
}


def told_by(fake: FakeServer, **more: Any) -> FakeServer:
    """It tells the pace of its update, from which forecasts go on."""
    found = current(pace={**PACE, **more})
    fake.answers["GET status"] = status(database(pending=[pending("event_search")], current=found))
    return fake


def test_goes_on_from_the_pace_of_the_server(env: dict[str, str]) -> None:
    """The update under way goes on as the server tells; headline, row and comparison are one."""
    told = json.loads(run(told_by(server()), "forecast", "-o", "json", env=env).output)
    (update,) = told["updates"]
    rows = {row["name"]: row for row in told["configurations"]}
    assert ["present", "gentle", "balanced", "fast", "finish", "stock"] == list(rows)
    # No hour was seen: clients are as now.
    assert 250_000 / 600 / 0.06 * 1000 == pytest.approx(update["ends_ms"] - NOW_MS)
    assert update["ends_ms"] == rows["present"]["ends_ms"]
    assert rows["balanced"]["ends_ms"] == pytest.approx(update["ends_ms"], rel=1e-6)
    # What it costs clients is what the measured pace shows: 3 % at 6 % of the time.
    shares = [rows[name]["share_in_batches"] for name in ("gentle", "balanced", "fast", "finish")]
    assert [0.02, 0.06, 0.24, 1.0] == pytest.approx(shares)
    assert any("no hour of the week was seen yet" in note for note in told["notes"])
    assert any(
        "the slowdown from batches without rests, which is 50" in note for note in told["notes"]
    )


def test_without_a_measured_share_the_learned_slope_counts(env: dict[str, str]) -> None:
    """A pace at a bound tells nothing of clients; then it is what the law has learned."""
    bound = {"likely": 0.01, "low": 0.01, "high": 0.01}
    told = json.loads(
        run(told_by(server(), with_clients=bound), "forecast", "-o", "json", env=env).output
    )
    shares = {row["name"]: row["share_in_batches"] for row in told["configurations"]}
    assert (0.01, 0.075) == pytest.approx((shares["present"], shares["balanced"]))


def learned_from(*hours: tuple[int, float]) -> FakeServer:
    """These shares of hours with clients; now there are none."""
    fake = told_by(server(), clients_ratio=0.0)
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
    return fake


def test_learned_load(env: dict[str, str]) -> None:
    """The week that the server saw is the load of all rows; hours that it did not see are told."""
    always = learned_from(*((hour, 1.0) for hour in range(168)))
    told = json.loads(run(always, "forecast", "--load", "learned", "-o", "json", env=env).output)
    assert "learned" == told["load"]
    assert any("learned from 168 of 168 hours" in note for note in told["notes"])
    # Nobody is there now, which is taken to last for an hour, in which all is done.
    assert 250_000 / 600 * 1000 == pytest.approx(told["updates"][0]["ends_ms"] - NOW_MS)
    few = run(learned_from((10, 0.5), (20, 0.5)), "forecast", env=env).output
    assert "learned from 2 of 168 hours of the week" in few
    assert "the others are assumed to be like that hour of other days" in few


def test_an_older_module_does_not_tell_the_week(env: dict[str, str]) -> None:
    """Without `v1/load` the load is flat, which is said, unless the learned one was asked for."""
    fake = server()
    del fake.answers["GET load"]
    result = run(fake, "forecast", env=env)
    assert 0 == result.exit_code
    assert result.output.startswith("event_search: 255965 stream positions left; done")
    why = "the server has no GET v1/load"
    (note,) = (line for line in result.output.splitlines() if why in line)
    assert note.startswith("load: clients are assumed to be as now, because ")
    assert 0 == run(fake, "forecast", *IDLE, env=env).exit_code
    assert 1 == [key for key, _ in fake.sent].count("GET load")
    result = run(fake, "forecast", "--load", "learned", env=env)
    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(f"Error: --load learned: {why}")
    del fake.answers["GET status"]
    assert "the module does not answer there" in run(fake, "forecast", env=env).stderr


def test_limits_of_another_version(env: dict[str, str]) -> None:
    """Limits that are not understood are an error, not a guess."""
    result = run(server(limits={"profile": "careful"}), "forecast", env=env)
    assert 1 == result.exit_code
    assert "not understood" in result.output


def test_limits_of_an_older_version(env: dict[str, str]) -> None:
    """A module that states its limits in texts only is too old to be asked, which is said."""
    fake = server()
    for told in fake.answers["GET explain"]:
        told.pop("limit_values", None)
    result = run(fake, "forecast", env=env)
    assert 1 == result.exit_code
    assert "its module is older than this command" in " ".join(result.output.split())


def test_nothing_pending(env: dict[str, str]) -> None:
    """With an empty queue there is nothing to tell."""
    fake = server()
    fake.answers["GET status"] = status(database(state="idle", pending=[], current=None))
    result = run(fake, "forecast", env=env)
    said = "nothing is pending, so there is nothing to forecast\n"
    assert (0, said) == (result.exit_code, result.output)


def test_forecasts_are_kept_and_compared(env: dict[str, str]) -> None:
    """Each is kept in a file of one's own, and compared once its update has ended."""
    assert 0 == run(server(), "forecast", *IDLE, env=env).exit_code
    file = forecast_inputs.kept_file(env)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(file.parent.stat().st_mode)
    (kept,) = forecast_inputs.read_kept(file)
    entry = {
        "update": "event_search",
        "database": "master",
        "outcome": "done",
        "started_ms": NOW_MS - 11_520_000,
        "ended_ms": round(NOW_MS + (kept.ends_ms - NOW_MS) * 1.1),
    }
    result = run(server(entry), "forecast", *IDLE, env=env)
    assert "past forecasts: 1 compared, median error 10.0%, worst 10.0%" in result.output
    assert 2 == len(forecast_inputs.read_kept(file))


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", '[{"server": 1}]', "[" * 9999])
def test_a_damaged_memory(env: dict[str, str], text: str) -> None:
    """What cannot be read is as if there were nothing, and is written anew."""
    file = forecast_inputs.kept_file(env)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert 0 == run(server(), "forecast", *IDLE, env=env).exit_code
    assert 1 == len(forecast_inputs.read_kept(file))


def test_a_memory_that_cannot_be_written(tmp_path: Path) -> None:
    """A forecast that cannot be kept is told all the same."""
    (tmp_path / "state").touch()
    result = run(server(), "forecast", *IDLE, env={"XDG_STATE_HOME": str(tmp_path / "state")})
    assert 0 == result.exit_code
    assert "this forecast is not kept" in result.stderr
