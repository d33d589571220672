"""Who may see the page of a real server, and where the token goes."""

import itertools
from collections.abc import Callable
from typing import Any

from testbed.servers.matrix import MatrixClient
from testbed.waiting import stays_true
from tests.end_to_end.page.page_world import ROOT, World, needs_browser

pytestmark = needs_browser


def test_who_may_not(make_world: Callable[..., World]) -> None:
    """A wrong token, none that could be one, and a user's are told apart; nothing is shown."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    user = MatrixClient.register(world.url, "user", admin=False)
    world.open()
    for token, expected in (
        ("nonsense", r"does not know this token \(401\)"),
        ("two words", "This is not an access token"),
        (user.token, r"may not use it \(403\): You are not a server admin"),
    ):
        world.sign_in(token)
        world.sees(expected, "#refusal")
        assert "" == browser.text("#board")
        assert "token" == browser.run("return document.activeElement.id")
    before = len(browser.requests())
    assert stays_true(lambda: before == len(browser.requests()), 3)
    world.sign_in()
    world.sees("pending", ".headline")
    assert "" == browser.text("#refusal")
    browser.click("Sign out")
    assert "" == browser.text("#board")
    assert "" == browser.run("return document.querySelector('#databases').innerHTML")
    before = len(browser.requests())
    assert stays_true(lambda: before == len(browser.requests()), 3)
    world.check_clean("status of 401", "status of 403")


def test_a_reload(make_world: Callable[..., World]) -> None:
    """Who reloads the tab stays signed in; who signed out does not, nor whose token has ended."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    other = MatrixClient.register(world.url, "other", admin=True)
    world.open()
    world.sign_in(other.token)
    world.sees("pending", ".headline")
    world.open()
    world.sees("pending", ".headline")
    browser.click("Sign out")
    assert 0 == browser.run("return sessionStorage.length")
    world.open()
    assert "" == browser.text("#board")
    world.sign_in(other.token)
    world.sees("pending", ".headline")
    browser.open("about:blank")  # or the open page would ask once more, and be refused already
    other.call("POST", "/_matrix/client/v3/logout", {})
    world.open()
    world.sees("does not know this token", "#refusal")
    assert 0 == browser.run("return sessionStorage.length")
    world.check_clean("status of 401")


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


def test_what_it_asks_for(make_world: Callable[..., World]) -> None:
    """A status every two seconds, and the rest seldom; the token in its header only."""
    world = make_world({"sleep": "1h"})
    browser = world.browser
    status_url = f"{world.url}{ROOT}v1/status"

    def asked_since(begin: int) -> list[Any]:
        return list(browser.requests()[begin:])

    def statuses_s(begin: int) -> list[float]:
        return [one["at_s"] for one in asked_since(begin) if one["url"] == status_url]

    world.enter()
    world.sees("running", ".history")
    before = len(browser.requests())
    browser.wait(lambda: len(statuses_s(before)) > 3)  # all else has been asked for once
    before = len(browser.requests())
    browser.wait(lambda: len(statuses_s(before)) > 4)
    asked = asked_since(before)
    times_s = statuses_s(before)
    assert all(later - earlier > 1.9 for earlier, later in itertools.pairwise(times_s))
    assert len(asked) - len(times_s) < len(times_s)
    assert {f"Bearer {world.admin.token}"} == {
        request["headers"]["Authorization"] for request in asked
    }
    assert not [request for request in asked if "Cookie" in request["headers"]]
    (page,) = [r for r in browser.requests() if r["url"] == world.url + ROOT]
    assert "Authorization" not in page["headers"]
    world.check_clean()
