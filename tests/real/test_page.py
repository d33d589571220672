"""The page in a real Chromium, against a real server."""

import itertools
import re
import time
from collections.abc import Callable

import pytest

from harness import data
from harness.browser import Browser
from harness.matrix import MatrixClient
from tests.real.conftest import wait_until
from tests.real.page_world import ROOT, World, needs_browser

pytestmark = needs_browser

SLOW = {"max_items_per_second": 400, "target_duration": "30ms"}
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
    assert "after event_search" in browser.text(".queue")
    assert "populate_stats_process_rooms" in browser.text(".queue")
    assert "None." in browser.text(".problems")
    assert re.search(r"Times are this browser's \(\w+", browser.text("footer"))

    def done() -> float:
        return float(browser.run("return document.querySelector('.current progress').value"))

    begin = browser.wait(done)
    browser.wait(lambda: done() > begin)
    world.sees("Time left\\s+(\\d+ min|\\d+(\\.\\d)? s)", ".facts", 90)
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
    world.sees("Pause: in force now", "#told")
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
    world.sees("Rests|At work", ".current")
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
    world.fill(value0="furious", reason="quiet week")
    browser.click("Review", "dialog")
    browser.click("Yes, override", "dialog")
    world.sees("settings.profile: found 'furious'", "dialog")
    assert "quiet week" == browser.run("return document.querySelector('#field-reason').value")
    world.fill(value0="gentle")
    browser.click("One more setting", "dialog")
    assert "duty_cycle" == browser.run("return document.querySelector('#field-key1').value")
    world.fill(value1="adaptive")
    world.confirm()
    world.sees(
        "Override\\s+event_search\\s+in master\\s+profile=gentle\\s+duty_cycle=adaptive", ".levers"
    )
    world.sees("duty cycle adaptive, gentle", ".limits")

    browser.click("Release event_search", ".current")
    world.fill(reason="checked")
    world.confirm()
    world.sees("Release\\s+event_search\\s+in master", ".levers")
    world.sees("Rests|At work", ".current")
    assert {"override", "release"} == {lever["kind"] for lever in world.levers()}

    browser.click("End Override of event_search", ".levers")
    world.confirm()
    world.sees("No pause, override or release", ".levers")
    assert [] == world.levers()
    world.sees("Held: approval", ".current")
    uses = browser.text(".uses")
    assert re.search(
        r"reset\s+event_search.*released\s+event_search.*overrode\s+event_search", uses, re.S
    )
    world.check_clean("status of 400")


def test_who_may_not(make_world: Callable[..., World]) -> None:
    """A wrong token, none that could be one, and a user's are told apart; nothing is shown."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    user = MatrixClient.register(world.url, "user", admin=False)
    world.open()
    for token, expected in (
        ("nonsense", r"does not know this token \(401\)"),
        ("two words", "This is no access token"),
        (user.token, r"may not use it \(403\): You are not a server admin"),
    ):
        world.sign_in(token)
        world.sees(expected, "#refusal")
        assert "" == browser.text("#board")
        assert "token" == browser.run("return document.activeElement.id")
    before = len(browser.requests())
    time.sleep(3)
    assert before == len(browser.requests())
    world.sign_in()
    world.sees("pending", ".headline")
    assert "" == browser.text("#refusal")
    browser.click("Sign out")
    assert "" == browser.text("#board")
    assert "" == browser.run("return document.querySelector('#databases').innerHTML")
    before = len(browser.requests())
    time.sleep(3)
    assert before == len(browser.requests())
    world.check_clean("status of 401", "status of 403")


def test_a_token_that_ends(make_world: Callable[..., World]) -> None:
    """Who is logged out elsewhere is signed out, and sees no more of it."""
    world = make_world({"sleep": "1h"})
    other = MatrixClient.register(world.url, "other", admin=True)
    world.open()
    world.sign_in(other.token)
    world.sees("pending", ".headline")
    world.browser.click("Pause all")
    other.call("POST", "/_matrix/client/v3/logout", {})
    world.sees("does not know this token", "#refusal")
    assert not world.is_asking()
    assert "" == world.browser.text("#board")
    world.check_clean("status of 401")


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
    world.sees("Live", "#connection", 40)
    assert [] == world.levers()
    world.sees("event_search", ".current")
    world.check_clean("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")


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
    world.sees("It is not known whether it was done", "#told")
    world.check_clean()


def test_hostile_names_and_reasons(make_world: Callable[..., World]) -> None:
    """Whatever an update or a reason is called, it is text, and does not turn others around."""
    world = make_world({"sleep": "1h"}, *HOSTILE)
    browser = world.browser
    first = "<img src=y onerror=window.__hacked=5> \"quoted\" 'too' & ${x}"
    data.queue_update(world.synapse.database_path, first, {}, ordering=-2)
    world.api("POST", "pause", update="*", reason=first)
    world.api("POST", "override", update=first, settings={"time_zone": "UTC"}, reason=HOSTILE[1])
    world.enter()
    world.sees("updates are pending", ".headline")
    browser.click("Show all", ".database")
    shown = browser.run(
        "return [...document.querySelectorAll('.name')].map((one) => one.textContent)"
    )
    expected = [name.replace("\u202e", "\\u{202e}") for name in HOSTILE]
    assert set(expected) <= set(shown)
    world.sees(re.escape(first), ".problems")
    world.sees(re.escape(HOSTILE[1]), ".levers")
    world.sees(re.escape(first), ".uses")
    browser.click("Resume <img src=x", ".queue")
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
    _check_no_overflow(browser)
    browser.resize(1200, 900)
    world.check_clean()


def test_phone(make_world: Callable[..., World]) -> None:
    """On a phone nothing sticks out to the side: page, dialog, and before signing in."""
    world = make_world({**SLOW, "windows": [{"days": "mon-sun"}]}, "populate_stats_process_rooms")
    browser = world.browser
    world.api("POST", "pause", update="populate_stats_process_rooms", reason="long " * 80)
    for width in (320, 360):
        browser.resize(width, 740)
        world.open()
        _check_no_overflow(browser)
        world.sign_in()
        world.sees("event_search", ".current")
        world.sees("paused", ".uses")
        _check_no_overflow(browser)
        browser.click("Override event_search", ".current")
        _check_no_overflow(browser)
        browser.click("Cancel", "dialog")
    browser.resize(1200, 900)
    world.check_clean()


def _check_no_overflow(browser: Browser) -> None:
    wide = browser.run(
        """
        const limit = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= limit) return [];
        return [...document.querySelectorAll('body *')]
          .filter((one) => one.getBoundingClientRect().right > limit + 0.5)
          .map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 40)}`);
        """
    )
    assert [] == wide


def test_keyboard_only(make_world: Callable[..., World]) -> None:
    """All of a pause by keys: every stop is to be seen, and the way back is where it began."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    world.open()
    tab, enter, escape = "\ue004", "\ue007", "\ue00c"

    def focused() -> str:
        script = "const e = document.activeElement; return `${e.id} ${e.textContent}`.trim()"
        return str(browser.run(script))

    def go_to(name: str) -> None:
        for _ in range(60):
            if focused().startswith(name):
                break
            browser.type(tab)
        else:
            raise AssertionError(f"no way to {name} by keys")
        outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert "solid" == outline

    go_to("token")
    browser.type(world.admin.token)
    browser.type(enter)
    world.sees("event_search", ".current")
    assert focused().startswith("board-title")
    go_to("Pause event_search")
    browser.type(enter)
    assert focused().startswith("field-update")
    browser.type(escape)
    browser.wait(lambda: not world.is_asking())
    assert focused().startswith("Pause event_search")
    time.sleep(2.5)  # it is drawn anew, and the focus stays
    assert focused().startswith("Pause event_search")
    browser.type(enter)
    go_to("field-reason")
    browser.type("by keys")
    browser.type(enter)
    assert focused().startswith("Yes, pause")
    browser.type(enter)
    browser.wait(lambda: not world.is_asking())
    (lever,) = world.levers()
    assert ("pause", "by keys") == (lever["kind"], lever["reason"])
    world.check_clean()


def test_for_screen_readers(make_world: Callable[..., World]) -> None:
    """Everything has a name and a role; headings descend; changes are said aloud."""
    world = make_world(SLOW, "populate_stats_process_rooms")
    browser = world.browser
    world.enter()
    world.sees("running", ".history")
    world.api("POST", "pause", update="event_*", reason="told aloud")
    news = "return document.querySelector('#news').textContent"
    browser.wait(lambda: "Problem: event_* is paused by @admin" in browser.run(news))
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert [] == [
        role
        for role, name in named
        if role in ("button", "textbox", "combobox", "table", "progressbar", "ProgressIndicator")
        and not name.strip()
    ]
    roles = {role for role, _ in named}
    assert {"main", "button", "heading", "list", "table", "columnheader", "cell"} <= roles
    assert any("Progress of event_search" == name for _, name in named)
    levels = browser.run(
        "return [...document.querySelectorAll('h1, h2, h3')].filter((e) => e.checkVisibility())"
        ".map((e) => Number(e.tagName[1]))"
    )
    assert 1 == levels[0] == min(levels)
    assert 1 == levels.count(1)
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    live = browser.run("const e = document.querySelector('#news'); return [e.role, e.ariaLive]")
    assert ["status", "polite"] == live
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(set(ids)) == len(ids)
    browser.resize(360, 740)
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {node["role"]["value"] for node in nodes if not node["ignored"]}
    assert {"table", "row", "cell"} <= roles  # cards, and a table all the same
    browser.resize(1200, 900)
    world.check_clean()


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_contrast(make_world: Callable[..., World], is_dark: bool) -> None:
    """Every text that is to be seen has a contrast of 4.5 to what is behind it, as it is drawn."""
    world = make_world(SLOW, "of_another_version", "populate_stats_process_rooms")
    browser = world.browser
    browser.prefer(is_dark)
    world.api("POST", "pause", update="event_*", reason="a reason")
    world.api("POST", "override", update="*", settings={"profile": "fast"})
    world.api("POST", "release", update="populate_*", reason="another")
    world.enter()
    world.sees("Unknown update", ".problems")
    world.sees("Held: paused", ".current")
    low, count = browser.run(_CONTRAST, "main, header, footer")
    assert count > 80
    assert [] == low
    browser.click("Override event_search", ".current")
    low, count = browser.run(_CONTRAST, "dialog")
    assert count > 8
    assert [] == low
    browser.prefer(False)
    world.check_clean()


_CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const luminance = ([r, g, b]) => [r, g, b]
  .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
function behind(element) {
  for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
    if (colour[3] > 0) throw new Error(`half seen through: ${one.className}`);
  }
  return [255, 255, 255];
}
const low = [];
let count = 0;
for (const root of document.querySelectorAll(arguments[0])) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest('.unseen, option, datalist')) continue;
    count += 1;
    const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push(`${contrast.toFixed(2)} ${walker.currentNode.data.slice(0, 40)}`);
  }
}
return [low, count];
"""


def test_what_it_asks_for(make_world: Callable[..., World]) -> None:
    """One status every two seconds, and the rest seldom; the token in its header only."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    world.enter()
    world.sees("running", ".history")
    time.sleep(8)
    before = len(browser.requests())
    time.sleep(10)
    asked = browser.requests()[before:]
    paths = [request["url"].removeprefix(world.url + ROOT) for request in asked]
    assert {"v1/status"} == set(paths)
    assert 4 <= len(paths) <= 6
    assert {f"Bearer {world.admin.token}"} == {
        request["headers"]["Authorization"] for request in asked
    }
    assert not [request for request in asked if "Cookie" in request["headers"]]
    (page,) = [r for r in browser.requests() if r["url"] == world.url + ROOT]
    assert "Authorization" not in page["headers"]
    world.check_clean()


def test_done(make_world: Callable[..., World]) -> None:
    """When nothing is left, that is what is shown, and said."""
    world = make_world({"profile": "finish"})
    database = world.synapse.database_path
    wait_until(lambda: data.pending_updates(database) == 0)
    world.browser.open(world.url + ROOT[:-1])
    assert world.url + ROOT == world.browser.run("return location.href")
    world.enter()
    world.sees("No background updates are pending", ".headline")
    world.sees("nothing pending", ".title")
    world.sees("event_search\\s+.*done", ".history")
    assert "" == world.browser.text(".current")
    world.check_clean()
