"""Takes the pictures of the page for docs/images, on a real server at work."""

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image  # Synapse depends on it

from testbed.faults import sqlite_data
from testbed.servers.browser import Browser, missing
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until

ROOT = Path(__file__).parent.parent
PAGE = "/_synapse/bgthrottle/"

_MESSAGES = 200
_EVENTS = 120_000
_API = "/_synapse/bgthrottle/v1"

_CONFIG: dict[str, Any] = {
    "duty_cycle": "20%",
    "target_duration": "80ms",
    "time_zone": "Europe/Berlin",
    "rules": [
        {
            "update": "event_search",
            "max_items_per_second": 250,
            "windows": [
                {"days": "mon-fri", "start": "19:00", "end": "07:00"},
                {"days": "sat,sun", "start": "00:00", "end": "24:00"},
            ],
        }
    ],
    "signals": {"event_loop_lag": "60ms", "pool_wait": "40ms", "disk_free": "2GiB"},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo.screenshots", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo" / "page", help="is emptied")
    parser.add_argument("--seconds", type=float, default=100, help="of work before the pictures")
    options = parser.parse_args()
    lacks = missing()
    if lacks is not None:
        print(f"No pictures without a browser: {lacks}.")
        return 1
    shutil.rmtree(options.folder, ignore_errors=True)
    options.output.mkdir(parents=True, exist_ok=True)
    server = SynapseServer(options.folder / "server", {"profile": "finish"})
    admin = _past(server)
    with (
        SynapseServer(options.folder / "idle", {}) as idle,
        Browser(options.folder / "idle profile", (1160, 820)) as browser,
    ):
        _take_idle(browser, idle, options.output)
    with SynapseServer(options.folder / "server", _CONFIG) as server:
        _pull_levers(MatrixClient(server.url, admin.token))
        with Browser(options.folder / "profile", (1160, 820)) as browser:
            _take(browser, server.url + PAGE, admin.token, options.seconds, options.output)
    return 0


def _past(server: SynapseServer) -> MatrixClient:
    """Give the server updates that have run, and others that are pending."""
    with server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        room = admin.create_room("a room")
        for number in range(_MESSAGES):
            admin.send(room, f"message {number}")
        while sqlite_data.pending_updates(server.database_path):
            time.sleep(0.2)
        time.sleep(3)  # until the last history entry is written
    path = server.database_path
    sqlite_data.multiply_events(path, _EVENTS)
    sqlite_data.queue_search_reindex(path, ordering=1)
    sqlite_data.queue_state_keys(path, ordering=2)
    for name in (
        "populate_stats_process_rooms",
        "populate_stats_process_users",
        "populate_user_directory_createtables",
        "event_push_actions_stream_highlight_index",
    ):
        sqlite_data.queue_update(path, name, {}, ordering=3)
    return admin


def _pull_levers(admin: MatrixClient) -> None:
    def pull(action: str, **body: Any) -> None:
        admin.call("POST", f"{_API}/{action}", body)

    pull("pause", reason="backup of the night")
    pull("resume", reason="backup is done")
    pull("release", update="event_search", reason="nobody is here today", **{"for": "8h"})
    pull("pause", update="populate_stats_*", reason="statistics: after the move", **{"for": "3d"})
    settings = {"duty_cycle": "35%", "target_duration": "60ms"}
    pull("override", update="event_*", settings=settings, reason="quiet week", **{"for": "5d"})


def _take_idle(browser: Browser, server: SynapseServer, output: Path) -> None:
    """Take pictures of a new server whose own updates are done."""
    admin = MatrixClient.register(server.url, "admin", admin=True)
    wait_until(lambda: not sqlite_data.pending_updates(server.database_path))
    browser.open(server.url + PAGE)
    browser.type(f"{admin.token}\n", into="#token")
    browser.wait(lambda: "Last:" in browser.text(".headline"))
    browser.screenshot(output / "page-idle.png")


def _take(browser: Browser, url: str, token: str, seconds: float, output: Path) -> None:
    browser.open(url)
    browser.type(f"{token}\n", into="#token")
    browser.wait(lambda: browser.text(".current"))
    time.sleep(seconds)
    for name, is_dark in (("light", False), ("dark", True)):
        browser.prefer(is_dark)
        time.sleep(1)
        browser.screenshot(output / f"page-{name}.png", whole=True)
    browser.click("Pause", ".current")
    browser.type("too slow at noon", into="#field-reason")
    time.sleep(0.5)
    browser.screenshot(output / "page-pause.png")
    browser.type("\n", into="#field-reason")
    time.sleep(0.5)
    browser.screenshot(output / "page-confirm.png")
    browser.click("Back", "dialog")
    browser.click("Cancel", "dialog")
    browser.prefer(False)
    browser.resize(360, 1500, 1.5)
    browser.run("scrollTo(0, 0)")
    time.sleep(2.5)
    browser.screenshot(output / "page-phone.png")
    for path in output.glob("page-*.png"):
        # A quarter of the size, without a visible difference.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
