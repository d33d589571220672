"""Other administration tools still work on a server with the module."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import yaml

from testbed.waiting import HANG_S, wait_until
from tests.end_to_end.conftest import QUEUE, Api

_OFFICIAL = "/_synapse/admin/v1/background_updates"
_JOB = "populate_stats_process_rooms"


@attrs.frozen
class SdkUpdate:
    """A current update as matrix-admin-sdk models it: these keys, and a further one is an error."""

    db_name: str
    name: str
    total_item_count: int
    total_duration_ms: float
    average_items_per_ms: float | None


@attrs.frozen
class SdkClient:
    """The three calls of matrix-admin-sdk, and what it makes of the answers."""

    http: httpx.Client

    def status(self) -> tuple[bool, list[SdkUpdate]]:
        answer = self.http.get(f"{_OFFICIAL}/status").raise_for_status().json()
        updates = answer.pop("current_updates")
        enabled: bool = answer.pop("enabled")
        assert {} == answer
        return enabled, [SdkUpdate(db_name=name, **update) for name, update in updates.items()]

    def enabled(self, enabled: bool) -> bool:
        answer = self.http.post(f"{_OFFICIAL}/enabled", json={"enabled": enabled})
        (result,) = answer.raise_for_status().json().items()
        assert "enabled" == result[0]
        return bool(result[1])

    def run(self, job_name: str) -> None:
        answer = self.http.post(f"{_OFFICIAL}/start_job", json={"job_name": job_name})
        assert {} == answer.raise_for_status().json()


@attrs.frozen
class Synadm:
    """`synadm raw`, with its settings in a file."""

    settings: Path

    @classmethod
    def of(cls, api: Api, settings: Path) -> "Synadm":
        content = {
            "user": "admin",
            "token": api.admin.token,
            "protocol": "http",
            "base_url": api.synapse.url,
            "admin_path": "/_synapse/admin",
            "matrix_path": "/_matrix",
            "timeout": int(HANG_S),
            "format": "json",
            "server_discovery": "well-known",
            "homeserver": "bgthrottle.test",
            "ssl_verify": True,
        }
        settings.touch(mode=0o600)
        settings.write_text(yaml.safe_dump(content))
        return cls(settings)

    def raw(self, path: str, data: Any = None) -> Any:
        """Its output; GET without data, POST with them."""
        command = [sys.executable, "-c", "from synadm.cli import root; root()"]
        command += ["--batch", "-o", "json", "-c", str(self.settings)]
        command += ["raw", f"v1/background_updates/{path}"]
        if data is not None:
            command += ["-m", "post", "-d", json.dumps(data)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert 0 == ended.returncode, ended.stderr
        return json.loads(ended.stdout)


def test_other_tools(make_api: Callable[..., Api], tmp_path: Path) -> None:
    """Before, during and after a pause they see Synapse's own answers, and pull its own levers."""
    api = make_api({"sleep": "1h"})
    api.start()
    synadm = Synadm.of(api, tmp_path / "synadm.yaml")
    headers = {"Authorization": f"Bearer {api.admin.token}"}
    with httpx.Client(base_url=api.synapse.url, headers=headers, timeout=HANG_S) as http:
        sdk = SdkClient(http)
        wait_until(lambda: "resting 1h" in api.state()[1])
        _same_as_synapse(api, synadm, sdk)

        api.post("pause", reason="upgrade")
        wait_until(lambda: api.state()[0] == "held")
        _same_as_synapse(api, synadm, sdk)
        sdk.run("event_resign")
        assert ("event_resign",) in api.query(QUEUE)
        with pytest.raises(httpx.HTTPStatusError) as refused:
            sdk.run("event_resign")
        assert "already in queue" in refused.value.response.json()["error"]
        assert "M_UNKNOWN" == synadm.raw("start_job", {"job_name": "no_such_job"})["errcode"]
        assert sdk.enabled(False) is False
        assert {"enabled": False} == synadm.raw("enabled")
        wait_until(lambda: api.state()[0] == "disabled")
        assert not api.get("status")["enabled"]
        assert {"enabled": True} == synadm.raw("enabled", {"enabled": True})
        wait_until(lambda: api.state()[0] == "held")
        _same_as_synapse(api, synadm, sdk)

        api.post("resume")
        api.post("override", update="*", settings={"profile": "finish"})
        wait_until(lambda: api.pending() == 0)
        wait_until(lambda: sdk.status() == (True, []))
        assert {"enabled": True, "current_updates": {}} == synadm.raw("status")
        assert {} == synadm.raw("start_job", {"job_name": _JOB})
        wait_until(lambda: api.pending() == 0)
        wait_until(lambda: _JOB in {entry["update"] for entry in api.get("history")["history"]})


def _same_as_synapse(api: Api, synadm: Synadm, sdk: SdkClient) -> None:
    """All three ways bring the same: Synapse's keys, and what Synapse's own log says."""
    told = api.admin.updates_status()
    assert told == synadm.raw("status")
    enabled, (update,) = sdk.status()
    assert enabled
    assert told["current_updates"] == {
        update.db_name: attrs.asdict(update, filter=lambda key, _: key.name != "db_name")
    }
    assert ("master", api.database()["current"]["name"]) == (update.db_name, update.name)
    totals = re.findall(rf"'{update.name}'\. .*total_updated=(\d+)", api.synapse.log())
    assert update.total_item_count == int(totals[-1] if totals else 0)
