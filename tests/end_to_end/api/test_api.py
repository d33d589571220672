"""The HTTP API of the real module on real servers, on SQLite and on PostgreSQL."""

import json
import urllib.error
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
import pytest

from testbed.faults.restarts import API, kill_after_pauses
from testbed.waiting import wait_until
from tests.end_to_end.conftest import QUEUE, Api

_UPDATE = "populate_stats_process_rooms"

# An old Synapse has so few updates that all would be done before the first request.
_SLOW = {"sleep": "1h"}


def _check_schema(answer: Any, name: str) -> None:
    text = resources.files("synapse_bgthrottle.api").joinpath("openapi.json").read_text()
    schema = {**json.loads(text), "$ref": f"#/components/schemas/{name}"}
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)


def test_status_shows_the_whole_queue(make_api: Callable[..., Api]) -> None:
    """All that waits is shown, in the database's order, each behind the one before it."""
    api = make_api({"sleep": "1h"})
    api.start()
    wait_until(lambda: "resting 1h" in api.state()[1])
    status = api.get("status")
    _check_schema(status, "Status")
    (master,) = status["databases"]
    names = [pending["name"] for pending in master["pending"]]
    assert sorted(name for (name,) in api.query(QUEUE)) == sorted(names)
    assert len(names) > 5  # on some old versions; dozens on new ones
    assert [None, *names[:-1]] == [pending["waits_for"] for pending in master["pending"]]
    assert all(pending["known"] for pending in master["pending"])
    assert names[0] == master["current"]["name"]
    assert master["engine"] in ("sqlite", "postgres")
    assert "event_loop_lag" in {signal["name"] for signal in master["signals"]}
    assert [] == status["problems"]


def test_a_pause_outlives_restarts_and_ends(make_api: Callable[..., Api]) -> None:
    """A pause holds, over a restart too, with its author and reason; resume ends it."""
    api = make_api(_SLOW)
    api.start()
    (pause,) = api.post("pause", reason="upgrade", **{"for": "1h"})["made"]
    wait_until(lambda: api.state()[0] == "held")
    before = api.pending()
    api.synapse.stop()
    api.start()
    wait_until(lambda: "paused by @admin:bgthrottle.test until" in api.state()[1])
    assert "held" == api.state()[0]
    assert before == api.pending()
    assert [pause] == api.get("status")["levers"]
    assert ["paused"] == [problem["kind"] for problem in api.get("status")["problems"]]
    official = api.admin.updates_status()
    assert {"enabled", "current_updates"} == set(official)
    assert {"name", "total_item_count", "total_duration_ms", "average_items_per_ms"} == set(
        official["current_updates"]["master"]
    )
    assert [pause] == api.post("resume")["ended"]
    api.finish()
    wait_until(lambda: api.pending() == 0)
    wait_until(lambda: api.state()[0] == "idle")
    uses = api.get("uses")["uses"]
    assert [("resume", None), ("pause", pause["ends_ms"])] == [
        (use["action"], use["ends_ms"]) for use in uses if use["action"] != "override"
    ]
    log = api.synapse.log()
    assert "still in force: pause of *" in log
    assert " ERROR " not in log


def test_approval_and_release(make_api: Callable[..., Api]) -> None:
    """What needs approval waits until it is released, once, and then goes to its end."""
    rule = {"update": _UPDATE, "approval": "required"}
    api = make_api({"profile": "finish", "rules": [rule]})
    api.start()
    wait_until(lambda: "approval is required by rule 0" in api.state()[1])
    assert _UPDATE == api.database()["current"]["name"]
    (held,) = api.get(f"explain?update={_UPDATE}")["held_by"]
    assert "approval" == held["cause"]
    _check_schema(api.get(f"explain?update={_UPDATE}"), "Explanation")
    (release,) = api.post("release", update=_UPDATE, reason="go")["made"]
    assert "master" == release["database"]
    wait_until(lambda: api.pending() == 0)
    wait_until(lambda: api.get("status")["levers"] == [])


def test_override(make_api: Callable[..., Api]) -> None:
    """An override acts at once, and until it is reset; the newest wins."""
    api = make_api({"sleep": "1h"})
    api.start()
    wait_until(lambda: "resting 1h" in api.state()[1])
    api.post("pause", update="event_search")
    api.post("override", update="*", settings={"sleep": "2h"})
    wait_until(lambda: "resting 2h" in api.state()[1])
    api.post("reset", update="*")
    wait_until(lambda: "resting 1h" in api.state()[1])
    api.post("override", update="*", settings={"profile": "finish"})
    wait_until(lambda: api.pending() == 0)


def test_history_outlives_restarts(make_api: Callable[..., Api]) -> None:
    """Every update that ran is in the history, done, with its batches; after a restart too."""
    api = make_api(_SLOW)
    api.start()
    names = {name for (name,) in api.query(QUEUE)}
    assert names
    api.finish()
    wait_until(lambda: api.pending() == 0)
    wait_until(lambda: api.state()[0] == "idle")
    wait_until(lambda: "running" not in {e["outcome"] for e in api.get("history")["history"]})
    history = api.get("history?limit=1000")["history"]
    for entry in history:
        _check_schema(entry, "HistoryEntry")
    assert names <= {entry["update"] for entry in history}
    assert {"done"} == {entry["outcome"] for entry in history}
    assert all(entry["batches"] for entry in history)
    wait_until(lambda: len(api.query("SELECT * FROM bgthrottle_history")) == len(history))
    api.synapse.stop()
    api.start()
    assert history == api.get("history?limit=1000")["history"]


def test_what_blocks_the_queue_is_told(make_api: Callable[..., Api]) -> None:
    """A name that the server does not know: Synapse gives up, which its own status hides."""
    api = make_api({"profile": "finish"})
    api.start()
    wait_until(lambda: api.pending() == 0)
    api.synapse.stop()
    api.execute(
        "INSERT INTO background_updates (update_name, progress_json, ordering)"
        " VALUES ('of_another_version', '{}', -1)"
    )
    api.execute(
        f"INSERT INTO background_updates (update_name, progress_json) VALUES ('{_UPDATE}', '{{}}')"
    )
    api.start()
    wait_until(lambda: api.state()[0] == "aborted")
    status = api.get("status")
    _check_schema(status, "Status")
    assert ["aborted", "unknown_update"] == [problem["kind"] for problem in status["problems"]]
    assert "this server does not know of_another_version" in status["problems"][1]["message"]
    assert [False, True] == [update["known"] for update in status["databases"][0]["pending"]]
    wait_until(lambda: "does not know of_another_version in the queue of" in api.synapse.log())
    api.execute("DELETE FROM background_updates WHERE update_name = 'of_another_version'")
    api.synapse.stop()
    api.start()
    wait_until(lambda: api.pending() == 0)


def test_pauses_survive_kills(make_api: Callable[..., Api]) -> None:
    """What was acknowledged is there after kill -9. More often: `python -m
    benchmarks.cost.kills`."""
    api = make_api({"profile": "finish"})
    api.start()
    token = api.admin.token
    wait_until(lambda: api.pending() == 0)
    api.synapse.stop()

    def queue() -> None:
        api.execute(
            "INSERT INTO background_updates (update_name, progress_json)"
            f" VALUES ('{_UPDATE}', '{{}}')"
        )

    def progress() -> str:
        return "".join(map(str, api.query("SELECT * FROM background_updates")))

    seen = kill_after_pauses(api.synapse, token, queue, progress, 2)
    assert ((), (), 0) == (seen.lost, seen.back, seen.ran)
    assert seen.ran_after


# The second is how Synapse said it before it said it in JSON.
_NOWHERE = "M_UNRECOGNIZED|No Such Resource"


@pytest.mark.parametrize("make_api", ["sqlite"], indirect=True)
def test_the_path_is_the_administrators_choice(make_api: Callable[..., Api]) -> None:
    """The API is where the configuration says, or nowhere, and then pauses hold all the same."""
    api = make_api({"sleep": "1h", "api_path": "/_synapse/elsewhere"})
    api.start()
    elsewhere = "/_synapse/elsewhere/v1"
    api.admin.call("POST", f"{elsewhere}/pause", {"reason": "before it went"})
    with pytest.raises(urllib.error.HTTPError, match=_NOWHERE):
        api.get("status")
    api.synapse.stop()
    api.synapse.configure_module({"sleep": "1h", "api_path": "off"})
    api.start()
    for path in (API, elsewhere):
        with pytest.raises(urllib.error.HTTPError, match=_NOWHERE):
            api.admin.call("GET", f"{path}/status")
    wait_until(lambda: "before it went" in api.synapse.log().rpartition("Holding")[2])
