"""`signals:` as written: the administrator's checks, each a path, a URL or a query."""

from typing import Any

import pytest

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals import Unit
from tests.unit.core.signals.accepted_values import ACCEPTED, OWN, signal_problems_of, signals_of

_QUERY_ACCEPTED = "one SQL query of 1 to 10000 characters"
_PATH_ACCEPTED = "an absolute path, such as /var/lib/postgresql"


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        (
            SignalSettings(thresholds={"disk_free": 1e10}, disk_path="/var/lib/postgresql"),
            {"disk_free": {"threshold": "10GB", "path": "/var/lib/postgresql"}},
        ),
        (
            SignalSettings(thresholds={"disk_free": float(1 << 30)}, disk_path="/db"),
            {"disk_free": {"path": "/db"}},
        ),
        (
            SignalSettings(thresholds={"disk_free": 1e10}),
            {"disk_free": {"threshold": "10GB"}},
        ),
        (
            SignalSettings(thresholds={"pause_file": 1.0}, pause_file="/run/a pause"),
            {"pause_file": "/run/a pause"},
        ),
        (
            SignalSettings(thresholds={"http": 1.0}, http_url="https://[::1]:8080/go?a=b"),
            {"http": "https://[::1]:8080/go?a=b"},
        ),
        (
            SignalSettings(thresholds={"sql": 0.5}, sql_query="SELECT 1 "),
            {"sql": {"query": "SELECT 1 ", "threshold": 0.5}},
        ),
        (
            SignalSettings(thresholds={"sql": 100.0}, sql_query="x" * 10_000),
            {"sql": {"query": "x" * 10_000, "threshold": 100}},
        ),
    ],
    ids=str,
)
def test_check_of_the_operators_is_on_where_it_is_given(
    expected: SignalSettings, raw: dict[str, Any]
) -> None:
    """A path, a URL or a query turns its signal on."""
    assert expected == signals_of(raw)


_NO_PATHS = ("", "relative", "~/x", "./x", "/\0", "/\ud800", "/" * 4097, 5, True, None, ["/x"])


@pytest.mark.parametrize(
    ("path", "accepted", "raw"),
    [
        *(("pause_file", OWN["pause_file"], {"pause_file": value}) for value in _NO_PATHS),
        *(
            ("disk_free.path", _PATH_ACCEPTED, {"disk_free": {"path": value}})
            for value in (*_NO_PATHS, "off", False)
        ),
        *(
            ("http", OWN["http"], {"http": value})
            for value in (
                "",
                "example.org",
                "ftp://example.org/",
                "file:///etc/passwd",
                "http://",
                "http:///path",
                "http://[::1",
                "http://h:0/",
                "http://h:65536/",
                "http://h:x/",
                "http://me:secret@h/",
                "http://h/a b",
                "http://h/\n",
                "http://h/ü",
                "http://h/" + "x" * 2000,
                5,
                True,
                None,
                {"url": "http://h"},
            )
        ),
        *(
            ("sql", OWN["sql"], {"sql": value})
            for value in ({}, {"query": "SELECT 1"}, {"threshold": 1}, "SELECT 1", 5, True)
        ),
        *(
            ("sql.query", _QUERY_ACCEPTED, {"sql": {"query": value, "threshold": 1}})
            for value in ("", " \n", "x" * 10_001, "\0", "\ud800", 5, None, False, ["SELECT 1"])
        ),
        *(
            (
                "sql.threshold",
                ACCEPTED[Unit.COUNT],
                {"sql": {"query": "SELECT 1", "threshold": value}},
            )
            for value in (0, -1, "1", True, False, "off", None)
        ),
        *(
            ("disk_free.threshold", ACCEPTED[Unit.SIZE], {"disk_free": {"threshold": value}})
            for value in (0, "1G", None, "off", False)
        ),
        ("disk_free", "a mapping with threshold, path, or both", {"disk_free": {}}),
    ],
)
def test_wrong_check_of_the_operators_is_told_at_its_place(
    path: str, accepted: str, raw: dict[str, Any]
) -> None:
    """Each part of a check is told by itself, with what it accepts."""
    (problem,) = signal_problems_of(raw)
    assert problem.startswith(f"signals.{path}: found ")
    assert problem.endswith(f"; accepted is {accepted}")
    assert len(problem) < 500
