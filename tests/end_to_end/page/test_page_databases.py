"""The page of servers on PostgreSQL in a real Chromium, with one database and with two."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.faults.reindex_worlds import synapse_database
from testbed.servers.browser import Browser
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer
from tests.end_to_end.conftest import QUEUE
from tests.end_to_end.page.page_world import World, needs_browser

pytestmark = needs_browser

_PAINTED = """
return [...document.querySelectorAll(`${arguments[0]} .uplot canvas`)].map((c) =>
  c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x));
"""
_IS_LEVEL = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture
def split(postgres: PostgresServer, browser: Browser, tmp_path: Path) -> Iterator[World]:
    """A server whose state groups have a database of their own; all updates are pending."""
    names = {"master": "page_main", "second": "page_state"}
    stores = {"master": ["main"], "second": ["state"]}
    databases = {}
    for store, name in names.items():
        postgres.create_database(name)
        databases[store] = {
            **synapse_database(postgres, name)["database"],
            "data_stores": stores[store],
        }
    extra = {"database": None, "databases": databases}
    with SynapseServer(tmp_path, {"sleep": "1h"}, extra) as server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        yield World(server, admin, browser)


def test_split_databases(split: World, postgres: PostgresServer) -> None:
    """Each of two databases has its queue, signals and charts; one is paused by itself."""
    browser = split.browser
    split.enter()
    master, second = (_section(at) for at in (0, 1))
    for section, name, database_name in (
        (master, "master", "page_main"),
        (second, "second", "page_state"),
    ):
        split.sees(rf"^{name}\s*PostgreSQL\s+waiting", f"{section} .title")
        split.sees(r"foreground_backends\s+slows down\s+\d", f"{section} .signals")
        with postgres.session(database_name) as cursor:
            cursor.execute(QUEUE)
            pending = {update for (update,) in cursor.fetchall()}
        waiting = len(pending) - 1
        split.sees(rf"{waiting} updates" if waiting else "Nothing waits", f"{section} .part")
        if waiting > 8:
            browser.click("Show all", section)
        shown = browser.run(
            f"return [...document.querySelectorAll('{section} .current .name, {section} .queue"
            " .name')].map((one) => one.textContent)"
        )
        assert pending == set(shown)
        assert [True, True] == browser.run(_PAINTED, section)

    update = browser.text(f"{second} .current h3")
    browser.click(f"Pause {update}", f"{second} .current")
    split.fill(reason="the disk of the state groups")
    browser.click("Review", "dialog")
    assert f"Pause {update} in second for 24h." in browser.text("dialog")
    browser.click("Yes, pause", "dialog")
    split.sees("held", f"{second} .title")
    split.sees("Held: paused by @admin", f"{second} .current")
    split.sees("Paused in second", ".problems")
    split.sees("in second", ".levers")
    assert "waiting" in browser.text(f"{master} .title")
    assert "Held" not in browser.text(f"{master} .current")
    assert ["second"] == [lever["database"] for lever in split.levers()]
    browser.resize(320, 740)
    assert browser.run(_IS_LEVEL)
    browser.resize(1200, 900)

    browser.click("Resume", f"{second} .current")
    split.confirm()
    split.sees("waiting", f"{second} .title")
    assert [] == split.levers()
    split.check_clean()
    assert " ERROR " not in split.synapse.log()


def _section(at: int) -> str:
    return f"section[aria-labelledby=database-{at}]"


def test_synapses_own_switch(make_world: Callable[..., World]) -> None:
    """Off is told at the top, whoever did it, and mended there; who turns it off is warned."""
    world = make_world({"sleep": "1h"}, "populate_stats_process_rooms")
    browser = world.browser
    path = "/_synapse/admin/v1/background_updates/enabled"

    def is_on() -> bool:
        return bool(world.admin.call("GET", path)["enabled"])

    world.enter()
    world.sees("switch is on", ".levers")
    world.admin.call("POST", path, {"enabled": False})
    world.sees("updates are pending, and switched off", ".headline")
    world.sees("disabled", ".title .pill")
    world.sees("^Problems\\s+Disabled", ".problems")
    news = "return document.querySelector('#news').textContent"
    assert "Problem: background updates are switched off" in browser.run(news)
    browser.click("Turn on background updates", ".problems")
    assert "Yes, turn on" == browser.run("return document.activeElement.textContent")
    assert not is_on()
    browser.type("\ue007")  # Enter
    world.sees("Background updates are on", "#answer")
    assert is_on()
    world.sees("None\\.", ".problems")
    assert "board-title" == browser.run("return document.activeElement.id")
    world.sees("waiting", ".title .pill")

    browser.click("Turn off background updates", ".levers")
    assert re.search("no end.*restart.*pause", browser.text("dialog"), re.S)
    browser.click("Pause instead", "dialog")
    assert "*" == browser.run("return document.querySelector('#field-update').value")
    browser.click("Cancel", "dialog")
    assert is_on()
    browser.click("Turn off background updates", ".levers")
    browser.click("Yes, turn off", "dialog")
    world.sees("Background updates are off", "#answer")
    assert not is_on()
    world.sees("switch is off", ".levers")
    world.sees("Disabled", ".problems")
    world.check_clean()
