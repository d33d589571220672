"""The page is accessible: on phones, by keyboard, with a screen reader, light and dark."""

import itertools
from collections.abc import Callable

import pytest

from tests.end_to_end.page.page_world import SLOW, World, needs_browser

pytestmark = needs_browser


def test_phone(make_world: Callable[..., World]) -> None:
    """On a phone nothing sticks out to the side, and the title breaks between its words only."""
    world = make_world({**SLOW, "windows": [{"days": "mon-sun"}]}, "populate_stats_process_rooms")
    browser = world.browser
    world.api("POST", "pause", update="populate_stats_process_rooms", reason="long " * 80)
    for width in (320, 351, 360):  # 351: beside a scrollbar
        browser.resize(width, 740)
        world.open()
        world.check_no_overflow()
        world.sign_in()
        world.sees("event_search", ".current")
        assert 1 == browser.run(_LINES_OF_BACKGROUND)
        world.sees("paused", ".uses")
        world.check_no_overflow()
        browser.click("Override event_search", ".current")
        world.check_no_overflow()
        browser.click("Cancel", "dialog")
        browser.click("Sign out")
    browser.resize(1200, 900)
    world.check_clean()


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
    before = len(browser.requests())  # it is drawn anew, and the focus stays
    browser.wait(lambda: len(browser.requests()) > before + 1)
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


_LINES_OF_BACKGROUND = """
const range = document.createRange(), text = document.querySelector('h1').firstChild;
range.setStart(text, 0);
range.setEnd(text, 'Background'.length);
return range.getClientRects().length;
"""

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
