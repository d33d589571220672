"""The command `bgthrottle forecast` of a queue: updates in front, and holds."""

import json
from typing import Any

import pytest

from tests.unit.cli.fakes import (
    NOW_MS,
    PAUSE,
    PROGRESS,
    FakeServer,
    database,
    pending,
    run,
    status,
)
from tests.unit.cli.forecasts import IDLE, explained, server

TWO_TO_FOUR = {"start_minutes": 120, "end_minutes": 240}


def test_windows_and_pauses_of_a_server(env: dict[str, str]) -> None:
    """Its windows, and a pause that is in force, are in it."""
    limits = {"windows": [TWO_TO_FOUR]}
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
    missing = "how much is left is not known: use --items"
    assert f"event_search, in front of it: {missing}" == lines[1]


@pytest.mark.parametrize(
    ("name", "hint"), [("event_serch", "; did you mean event_search?"), ("x", "")]
)
def test_an_update_that_is_not_pending(env: dict[str, str], name: str, hint: str) -> None:
    """A name that no pending update has is an error."""
    result = run(server(), "forecast", *IDLE, "--update", name, env=env)
    assert (1, "") == (result.exit_code, result.stdout)
    assert f"Error: {name} is not pending now{hint}\n" == result.stderr


@pytest.mark.parametrize("used_ms", [None, NOW_MS - 1000], ids=["unused", "in use"])
@pytest.mark.parametrize("limits", [{"windows": [TWO_TO_FOUR]}, {"needs_approval": True}])
def test_releases_of_a_server(
    env: dict[str, str], limits: dict[str, Any], used_ms: int | None
) -> None:
    """What somebody released goes now, whatever holds others."""
    release = {**PAUSE, "kind": "release", "update": "event_search", "used_ms": used_ms}
    fake = server(limits=limits, levers=[{**release, "database": "master"}])
    update, *_ = json.loads(run(fake, "forecast", *IDLE, "-o", "json", env=env).output)["updates"]
    assert ("", NOW_MS) == (update["why"], update["starts_ms"])
    fake = server(limits=limits, levers=[{**release, "database": "state"}])
    update, *_ = json.loads(run(fake, "forecast", *IDLE, "-o", "json", env=env).output)["updates"]
    assert NOW_MS != update["starts_ms"]


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
        "40 updates: how long it takes is not known: use --one-shot DURATION:"
        " index_0, index_1, index_2 and 37 more"
    )
    assert second == "slow: how much is left is not known: use --items"
    assert third == (
        "index_0 is held now, and what is behind it: windows are closed; next open: Mon 01:00 UTC"
    )
