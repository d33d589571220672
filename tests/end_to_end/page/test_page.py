"""The page of a real server in a real Chromium: its use, and its failures."""

import re
from collections.abc import Callable

import pytest

from testbed.faults import sqlite_data
from testbed.waiting import wait_until
from tests.end_to_end.page.page_world import ROOT, SLOW, World, needs_browser

pytestmark = needs_browser

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\"'><script>window.__hacked = 1</script>",
    "</bdi></li><svg/onload=window.__hacked=2>",
    "\u202edetrever",
    "`${window.__hacked=3}`",
    "javascript:window.__hacked=4",
    "x" * 190,
    "שלום_update",
)


def test_watch_pause_and_resume(make_world: Callable[..., World]) -> None:
    """One signs in, watches an update, pauses it for a reason, sees it held, and resumes it."""
    world = make_world(SLOW, "populate_stats_process_rooms")
    browser = world.browser
    world.open()
    assert "" == browser.text("#board")
    world.enter()
    world.sees("[23] updates are pending", ".headline")
    assert "event_search" == browser.text(".current h3")
    assert "populate_stats_process_rooms" in browser.text(".queue")
    assert "None." in browser.text(".problems")
    assert re.search(r"Times are this browser's \(\w+", browser.text("footer"))

    def done() -> float:
        return float(browser.run("return document.querySelector('.current progress').value"))

    begin = browser.wait(done)
    browser.wait(lambda: done() > begin)
    world.sees("Time left\\s+\\d+(\\.\\d)?(m|s)", ".facts")
    assert 2 == browser.run("return document.querySelectorAll('.uplot canvas').length")
    painted = browser.run(
        "const c = document.querySelector('.uplot canvas');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x)"
    )
    assert painted
    world.sees("event_loop_lag", ".signals")
    world.sees("Always open", ".database")

    browser.click("Pause event_search", ".current")
    world.fill(reason="too slow at <b>noon</b>", **{"for": "2h"})
    browser.click("Review", "dialog")
    assert "Pause event_search in master for 2h." in browser.text("dialog")
    assert [] == world.levers()
    browser.click("Yes, pause", "dialog")
    world.sees("Pause: in force now", "#answer")
    world.sees("Held: paused by @admin:bgthrottle.test until .*too slow at <b>noon</b>", ".current")
    world.sees("held", ".title .pill")
    world.sees("Paused\\s+.*too slow at <b>noon</b>", ".problems")
    world.sees("@admin:bgthrottle.test", ".levers")
    world.sees(r"paused\s+event_search", ".uses")
    (lever,) = world.levers()
    assert ("pause", "event_search", "master") == tuple(
        lever[key] for key in ("kind", "update", "database")
    )
    assert "too slow at <b>noon</b>" == lever["reason"]
    assert 7_200_000 == pytest.approx(lever["ends_ms"] - lever["created_ms"], abs=10)

    browser.click("Resume Pause of event_search", ".levers")
    world.confirm()
    assert [] == world.levers()
    world.sees("None\\.", ".problems")
    world.sees("Throttled|In a batch", ".current")
    world.sees(r"resumed\s+event_search", ".uses")
    world.check_clean()
    assert " ERROR " not in world.synapse.log()


def test_override_release_reset(make_world: Callable[..., World]) -> None:
    """Other limits with a reason and an end; what is refused says why; a release; their ends."""
    rule = {"update": "event_search", "approval": "required"}
    world = make_world({**SLOW, "rules": [rule]})
    browser = world.browser
    world.enter()
    world.sees("Held: approval is required by rule 0", ".current")
    world.sees("Held for long", ".problems")

    browser.click("Override event_search", ".current")
    browser.click("Review", "dialog")
    assert "Give at least one setting a value." in browser.text("dialog")
    assert ["choose one", "gentle", "balanced", "fast", "finish"] == browser.run(
        "return [...document.querySelector('#field-value0').options].map((one) => one.text)"
    )
    world.choose(key0="duty_cycle")
    world.fill(value0="furious", reason="quiet week")
    browser.click("Review", "dialog")
    browser.click("Yes, override", "dialog")
    world.sees("settings.duty_cycle: found 'furious'", "dialog")
    assert "quiet week" == browser.run("return document.querySelector('#field-reason').value")
    world.choose(key0="profile")
    world.choose(value0="gentle")
    browser.click("One more setting", "dialog")
    assert "duty_cycle" == browser.run("return document.querySelector('#field-key1').value")
    world.fill(value1="adaptive")
    world.confirm()
    world.sees(
        "Override\\s+event_search\\s+in master\\s+profile=gentle\\s+duty_cycle=adaptive", ".levers"
    )
    world.sees("duty cycle adaptive, gentle", ".limits")

    assert browser.text(".current button").startswith("Run now")
    browser.click("Run now event_search", ".current")
    world.fill(reason="checked")
    world.confirm()
    world.sees("Release\\s+event_search\\s+in master", ".levers")
    world.sees("Throttled|In a batch", ".current")
    assert {"override", "release"} == {lever["kind"] for lever in world.levers()}

    browser.click("End Override of event_search", ".levers")
    world.confirm()
    world.sees("No pause, override or release", ".levers")
    assert [] == world.levers()
    world.sees("Held: approval", ".current")
    world.sees(
        r"(?s)reset\s+event_search.*released\s+event_search.*overrode\s+event_search", ".uses"
    )
    world.check_clean("status of 400")


def test_server_gone_and_back(make_world: Callable[..., World]) -> None:
    """It is said since when nothing answers; what was known stays; and it goes on by itself."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    world.enter()
    world.sees("Live", "#connection")
    world.synapse.stop()
    world.sees(r"No answer since \d\d:\d\d:\d\d", "#connection")
    world.sees(r"Out of date\s+The server does not answer", ".problems")
    assert "event_search" == browser.text(".current h3")
    assert "The server does not answer." == browser.run(
        "return document.querySelector('#news').textContent"
    )
    browser.click("Pause all")
    world.fill(reason="in vain")
    browser.click("Review", "dialog")
    browser.click("Yes", "dialog")
    world.sees("It is not known whether it was done.*The server does not answer", "dialog")
    browser.click("Cancel", "dialog")
    world.synapse.start()
    world.sees("Live", "#connection")
    assert [] == world.levers()
    world.sees("event_search", ".current")
    world.check_clean("ERR_CONNECTION_", "ERR_EMPTY_RESPONSE", "ERR_SOCKET_NOT_CONNECTED")


def test_a_frozen_server(make_world: Callable[..., World]) -> None:
    """A server that takes the question and does not answer is told before it is given up."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    world.enter()
    world.sees("Live", "#connection")
    frozen = (
        "const real = fetch; window.thaw = () => { window.fetch = real; window.thawed(); };"
        " const thawed = new Promise((done) => { window.thawed = done });"
        " window.fetch = async (...asked) => { window.asked = true; await thawed;"
        " return real(...asked) }"
    )
    browser.run(frozen)
    browser.wait(lambda: browser.run("return window.asked"))
    world.sees(r"No answer since \d\d:\d\d:\d\d", "#connection")
    assert "event_search" == browser.text(".current h3")
    browser.run("window.thaw()")
    world.sees("Live", "#connection")
    world.sees("None\\.", ".problems")
    world.check_clean()


def test_an_answer_that_is_lost(make_world: Callable[..., World]) -> None:
    """What was done without an answer is not said to be undone, and is shown at once."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    world.enter()
    browser.run(
        "const real = fetch; window.fetch = async (url, options) => {"
        " const answer = await real(url, options); if (options.method === 'GET') return answer;"
        " return new Promise((_, lost) => { window.lose = () => lost(new TypeError('lost')) }) }"
    )
    browser.click("Pause all")
    world.fill(reason="done all the same")
    browser.click("Review", "dialog")
    browser.click("Yes", "dialog")
    lose = "if (!window.lose) return false; lose(); delete window.lose; return true"
    browser.wait(lambda: browser.run(lose))
    world.sees("It is not known whether it was done, so look at what is in force", "dialog")
    world.sees("done all the same", ".levers")
    world.sees("done all the same", ".uses")
    written = browser.run("return document.querySelector('#field-reason').value")
    assert "done all the same" == written
    browser.click("Review", "dialog")
    browser.click("Yes", "dialog")
    browser.run("document.querySelector('dialog').close()")
    browser.wait(lambda: browser.run(lose))
    world.sees("It is not known whether it was done", "#answer")
    world.check_clean()


def test_hostile_names_and_reasons(make_world: Callable[..., World]) -> None:
    """Whatever an update or a reason is called, it is text, and does not turn others around."""
    world = make_world({"sleep": "1h"}, *HOSTILE)
    browser = world.browser
    first = "<img src=y onerror=window.__hacked=5> \"quoted\" 'too' & ${x}"
    sqlite_data.queue_update(world.synapse.database_path, first, {}, ordering=-2)
    world.api("POST", "pause", update="*", reason=first)
    world.api("POST", "override", update=first, settings={"time_zone": "UTC"}, reason=HOSTILE[1])
    world.enter()
    world.sees("updates are pending", ".headline")
    browser.click("Show all", ".database")
    shown = browser.run(
        "return [...document.querySelectorAll('.name')].map((one) => one.textContent)"
    )
    # The server escapes what turns others around.
    expected = [name.replace("\u202e", "\\u202e") for name in HOSTILE]
    assert set(expected) <= set(shown)
    world.sees(re.escape(first), ".problems")
    world.sees(re.escape(HOSTILE[1]), ".levers")
    world.sees(re.escape(first), ".uses")
    browser.click("Resume <img src=x", ".queue")
    assert "*" == browser.run("return document.querySelector('#field-update').value")
    browser.click("Cancel", "dialog")
    browser.click("More <img src=x", ".queue")
    assert HOSTILE[0] == browser.run("return document.querySelector('#field-update').value")
    browser.click("Review", "dialog")
    assert HOSTILE[0] in browser.text("dialog")
    browser.click("Back", "dialog")
    browser.click("Cancel", "dialog")
    found = browser.run(
        "return [document.querySelectorAll('main img, main script, main b, [style]:not(.uplot *, "
        ".uplot, .u-wrap)').length, window.__hacked ?? null]"
    )
    assert [0, None] == found
    browser.resize(360, 740)
    world.check_no_overflow()
    browser.resize(1200, 900)
    world.check_clean()


def test_done(make_world: Callable[..., World]) -> None:
    """When nothing is left, that is what is shown, and said."""
    world = make_world({"profile": "finish"})
    database = world.synapse.database_path
    wait_until(lambda: sqlite_data.pending_updates(database) == 0)
    world.browser.open(world.url + ROOT[:-1])
    assert world.url + ROOT == world.browser.run("return location.href")
    world.enter()
    world.sees(r"Nothing is pending: safe to upgrade\.\s+Last: \w+, done", ".headline")
    world.sees("idle", ".title")
    world.sees("Signals are read only while updates run", ".database")
    assert "stale" not in world.browser.text("main")
    world.sees("event_search\\s+.*done", ".history")
    assert "" == world.browser.text(".current")
    world.check_clean()
