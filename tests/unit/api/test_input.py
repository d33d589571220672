"""Input over HTTP as bytes: bodies, queries, paths; and the log line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.api.handlers import log_line
from synapse_bgthrottle.api.request_parsing import LARGEST_BODY_BYTES, parse_body, parse_query
from synapse_bgthrottle.api.responses import RefusedError, encode
from synapse_bgthrottle.api.routes import ROUTES, find
from synapse_bgthrottle.core.levers.request import Action, LeverRequest, is_printable
from synapse_bgthrottle.schema import Lever, LeverAnswer

MOUNTED = (b"_synapse", b"bgthrottle")
BASE = b"/_synapse/bgthrottle/"

SENT = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(SENT)
def test_json_is_read_as_it_was_written(content: Any) -> None:
    """JSON that programs write is read."""
    assert content == parse_body(encode(content))


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789.eE-aNI\\u', max_size=60))
def test_any_body(raw: Any) -> None:
    """Whatever comes is JSON or refused, nothing else."""
    try:
        parse_body(raw.encode() if isinstance(raw, str) else raw)
    except RefusedError as error:
        assert error.answer.status == 400  # noqa: PT017 - either is right


def test_largest_body() -> None:
    """The limit itself is allowed."""
    assert [] == parse_body(b"[]".ljust(LARGEST_BODY_BYTES))
    with pytest.raises(RefusedError) as refused:
        parse_body(b"[]".ljust(LARGEST_BODY_BYTES + 1))
    assert 413 == refused.value.answer.status


@given(st.binary(max_size=100), st.sampled_from(list(ROUTES.values())))
def test_any_query(raw: bytes, route: Any) -> None:
    """Whatever comes is read or refused, nothing else."""
    try:
        values = parse_query(route.parameters, raw)
    except RefusedError as error:
        assert error.answer.status == 400  # noqa: PT017 - either is right
    else:
        assert is_printable("".join(filter(lambda value: isinstance(value, str), values.values())))


@given(st.binary(max_size=40), st.sampled_from([b"GET", b"POST", b"HEAD"]))
def test_any_path(path: bytes, method: bytes) -> None:
    """No path but those of the routes is one."""
    try:
        route = find(BASE + path, MOUNTED, method)
    except RefusedError as error:
        assert error.answer.status in (404, 405)  # noqa: PT017 - either is right
    else:
        assert path.decode() == route.path


@pytest.mark.parametrize("path", ROUTES)
def test_each_path(path: bytes) -> None:
    """A route is found by its path, wherever the resource is."""
    route = ROUTES[path]
    method = route.methods[0].encode()
    assert route == find(BASE + path, MOUNTED, method)
    assert route == find(b"/x/" + path, (b"x",), method)
    with pytest.raises(RefusedError):
        find(b"/" + BASE + path, (b"", *MOUNTED), method)


def test_line_of_a_pause() -> None:
    """The log tells who, what, where, until when and why."""
    request = LeverRequest(Action.PAUSE, "event_*", "master", 1000, "too slow")
    answer = LeverAnswer(made=(Lever(ends_ms=1_767_571_200_000),))
    assert "@a:b paused event_* in master until 2026-01-05 00:00:00 UTC: too slow" == log_line(
        request, "@a:b", answer
    )


def test_line_of_an_override() -> None:
    """Settings are told as they were given."""
    request = LeverRequest(Action.OVERRIDE, "x", written={"duty_cycle": "5%"})
    assert (
        "@a:b overrode the settings of x in all databases to duty_cycle=5%"
        ", which ended 2 earlier ones, no reason given"
        == log_line(request, "@a:b", LeverAnswer(ended=(Lever(), Lever())))
    )


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_line_is_one_line(author: str, reason: str) -> None:
    """Whatever a name or a reason brings, the log shows it as it is."""
    line = log_line(LeverRequest(Action.RESUME, "*", reason=reason), author, LeverAnswer())
    assert is_printable(line)
    line.encode()
