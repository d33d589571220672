"""The page: its files, who may read them, and their headers."""

from importlib import resources
from typing import Any

import pytest

from synapse_bgthrottle.api.responses import HEADERS
from synapse_bgthrottle.api.routes import PAGE
from synapse_bgthrottle.api.static_files import CONTENT_SECURITY_POLICY, CONTENT_TYPES
from testbed.virtual.web_world import World

ROOT = "/_synapse/bgthrottle/"
FOLDER = resources.files("synapse_bgthrottle.api").joinpath("page")
FILES = sorted(path.name for path in FOLDER.iterdir() if path.name != "index.html")
# As operators.md has it, word for word: whoever loosens it does so twice.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
    " data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
JSON_POLICY = HEADERS["Content-Security-Policy"]


@pytest.fixture
def world() -> World:
    return World()


def content(name: str) -> bytes:
    return FOLDER.joinpath(name).read_bytes()


@pytest.mark.parametrize("token", [None, "user", "admin", "nonsense"])
def test_page_is_everybodys(world: World, token: str | None) -> None:
    """It tells nothing, so it needs no token, and nobody is asked about one."""
    answer = world.ask("GET", ROOT, token)
    assert (200, content("index.html")) == (answer.status, answer.body)
    assert [] == world.seen


@pytest.mark.parametrize("name", ["", *(f"page/{name}" for name in FILES)])
def test_files(world: World, name: str) -> None:
    """Each file comes whole, as what it is, under the strict policy, and is asked for each time."""
    answer = world.ask("GET", ROOT + name, None)
    expected = content(name.removeprefix("page/") or "index.html")
    assert (200, expected) == (answer.status, answer.body)
    ending = (name or "index.html").rpartition(".")[2]
    assert CONTENT_TYPES[ending] == answer.headers["Content-Type"]
    assert POLICY == CONTENT_SECURITY_POLICY == answer.headers["Content-Security-Policy"]
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "no-referrer" == answer.headers["Referrer-Policy"]
    assert "no-cache" == answer.headers["Cache-Control"]
    assert str(len(expected)) == answer.headers["Content-Length"]
    assert not [header for header in answer.headers if header.startswith("Access-Control")]


def test_only_these_files_are_served() -> None:
    """There is one path for each file of the folder, and no other."""
    assert {b"", *(f"page/{name}".encode() for name in FILES)} == set(PAGE)


def test_an_unchanged_file_is_not_sent_again(world: World) -> None:
    """The browser asks with what it has, weak or strong, among others or alone."""
    etag = world.ask("GET", ROOT, None).headers["ETag"]
    for given in (etag, f"W/{etag}", f'"other", W/{etag}'):
        answer = world.ask("GET", ROOT, None, b"", f"If-None-Match: {given}")
        assert (304, b"", etag) == (answer.status, answer.body, answer.headers["ETag"])
        assert "Content-Length" not in answer.headers
    for other in ('"other"', "\xff"):
        assert 200 == world.ask("GET", ROOT, None, b"", f"If-None-Match: {other}").status
    etags = [world.ask("GET", f"{ROOT}{path.decode()}", None).headers["ETag"] for path in PAGE]
    assert len(set(etags)) == len(PAGE)


def test_head(world: World) -> None:
    """HEAD is GET without the body."""
    get, head = (world.ask(method, ROOT, None) for method in ("GET", "HEAD"))
    assert (200, b"") == (head.status, head.body)
    assert get.headers["Content-Length"] == head.headers["Content-Length"]


def test_without_the_slash(world: World) -> None:
    """What the page names would stand elsewhere: one is sent to where the slash is."""
    answer = world.ask("GET", ROOT[:-1] + "?access_token=secret", None)
    assert (308, "bgthrottle/", b"") == (answer.status, answer.headers["Location"], answer.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["", "page/page.js"])
def test_only_get(world: World, method: str, path: str) -> None:
    """A file does nothing."""
    answer = world.ask(method, ROOT + path)
    assert (405, "GET, HEAD") == (answer.status, answer.headers["Allow"])


@pytest.mark.parametrize(
    "path",
    [
        "page",
        "page/",
        "index.html",
        "page/index.html",
        "page/Page.js",
        "page//page.js",
        "/page/page.js",
        "page/page.js/",
        "page/./page.js",
        "page/../page/page.js",
        "page/%70age.js",
        "page/..%2f..%2fresource.py",
        "page/../resource.py",
        "page/../openapi.json",
        "page/..\\resource.py",
        "page//etc/passwd",
        "page/page.js%00",
        "page/page.js;x",
        "v1/page/page.js",
        "v1",
        "v1/",
    ],
)
def test_nothing_else(world: World, path: str) -> None:
    """Names are exact: no path that is sent leads into a file system."""
    answer = world.ask("GET", ROOT + path)
    assert (404, "M_UNRECOGNIZED") == (answer.status, answer.json["errcode"])
    assert JSON_POLICY == answer.headers["Content-Security-Policy"]


def test_query_is_left_alone(world: World) -> None:
    """Whatever stands behind the question mark, the page is the same."""
    answer: Any = world.ask("GET", f"{ROOT}?x=<script>", None)
    assert (200, content("index.html")) == (answer.status, answer.body)


def test_worker() -> None:
    """A worker has no page."""
    world = World(is_main=False)
    for path in (ROOT, f"{ROOT}page/page.js", ROOT[:-1]):
        assert 404 == world.ask("GET", path, None).status
