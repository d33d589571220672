"""Reads `signals:` into `SignalSettings`: thresholds, and the administrator's checks."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from synapse_bgthrottle.core.config.keys import bare_bytes, bare_ms, is_off, within
from synapse_bgthrottle.core.config.problems import Path, Problem, refused
from synapse_bgthrottle.core.config.signal_settings import SignalSettings, shown
from synapse_bgthrottle.core.signals import SIGNALS, Unit
from synapse_bgthrottle.core.units import (
    parse_duration_ms,
    parse_rate_bytes_per_s,
    parse_size_bytes,
)

# The signals that may have a mapping, and its keys.
NESTED_KEYS = {"disk_free": ("threshold", "path"), "sql": ("query", "threshold")}

_LONGEST_QUERY = 10_000
_LONGEST_PATH = 4096  # PATH_MAX
_LONGEST_URL = 2000
_LARGEST_NUMBER = 1e300
_MOST_BYTES = 2**63 - 1
_LONGEST_MS = 86_400_000

_PATH_ACCEPTED = "an absolute path, such as /var/lib/postgresql"
_FILE_ACCEPTED = "an absolute path, such as /run/synapse/pause, or off"
_URL_ACCEPTED = (
    "an http or https URL with a host, and without a user, such as http://127.0.0.1:8000/go, or off"
)
_QUERY_ACCEPTED = f"one SQL query of 1 to {_LONGEST_QUERY} characters"
_SQL_ACCEPTED = "a mapping with both query and threshold, or off"
_DISK_ACCEPTED = "a mapping with threshold, path, or both"


def parse_signals(raw: Mapping[str, Any]) -> tuple[SignalSettings, list[Problem], list[Problem]]:
    """The settings, all problems except unknown keys, and the values that are probably mistakes."""
    reader = _Reader()
    return reader.read(raw), reader.problems, reader.doubts


def _above(value: Any, low: float) -> float:
    if within(value, low, _LARGEST_NUMBER) == low:
        raise ValueError("not above")
    return float(value)


def _on(value: Any) -> float:
    if value is not True and value != "on":  # YAML 1.1 reads an unquoted `on` as True
        raise ValueError("not on")
    return 1.0


# By unit: the accepted thresholds beside `off`, and their parser.
_THRESHOLDS: dict[Unit, tuple[str, Callable[[Any], float]]] = {
    Unit.DURATION: (
        "a duration from 1ms to 1d, such as 50ms, 10s, 5m",
        lambda value: float(within(parse_duration_ms(value), 1, _LONGEST_MS)),
    ),
    Unit.COUNT: ("a number above 0, such as 4", lambda value: _above(value, 0)),
    Unit.SIZE: (
        "a size from 1 byte, such as 10GiB, 500MB, or a whole number of bytes",
        lambda value: float(within(parse_size_bytes(value), 1, _MOST_BYTES)),
    ),
    Unit.RATE: (
        "a size per second, such as 50MiB/s",
        lambda value: float(within(parse_rate_bytes_per_s(value), 1, _MOST_BYTES)),
    ),
    Unit.FACTOR: ("a number above 1, such as 10", lambda value: _above(value, 1)),
    Unit.YES_NO: ("on", _on),
}


# By unit: warnings about thresholds that are probably mistakes.
_DOUBTS = {Unit.DURATION: bare_ms, Unit.SIZE: bare_bytes}


def _line(value: Any, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
        raise ValueError("not a text")
    value.encode()  # raises ValueError for surrogates
    return value


def _path(value: Any) -> str:
    if not _line(value, _LONGEST_PATH).startswith("/"):
        raise ValueError("not absolute")
    return str(value)


def _url(value: Any) -> str:
    url = _line(value, _LONGEST_URL)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not a URL")
    # urlsplit silently drops some of these characters, and a password would get into the log.
    if "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("not a URL")
    return url


def _query(value: Any) -> str:
    if not _line(value, _LONGEST_QUERY).strip():
        raise ValueError("empty")
    return str(value)


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []
        self._thresholds: dict[str, float | None] = {}

    def read(self, raw: Mapping[str, Any]) -> SignalSettings:
        own: dict[str, str | None] = {}
        for name in (name for name in SIGNALS if name in raw):
            value = raw[name]
            if is_off(value):
                self._thresholds[name] = None
            elif name == "pause_file":
                own["pause_file"] = self._parsed((name,), value, _FILE_ACCEPTED, _path)
                self._thresholds[name] = 1.0
            elif name == "http":
                own["http_url"] = self._http(value)
            elif name == "sql":
                own["sql_query"] = self._sql(value)
            elif name == "disk_free" and isinstance(value, dict):
                own["disk_path"] = self._disk_free(value)
            else:
                self._threshold(name, (name,), value, ", or off")
        return SignalSettings(thresholds=self._thresholds, **own)

    def _refuse(self, path: Path, value: Any, accepted: str) -> None:
        self.problems.append(refused(("signals", *path), value, accepted))

    def _parsed(self, path: Path, value: Any, accepted: str, parse: Callable[[Any], Any]) -> Any:
        try:
            return parse(value)
        except ValueError:
            self._refuse(path, value, accepted)
            return None

    def _threshold(self, name: str, path: Path, value: Any, more: str = "") -> None:
        accepted, parse = _THRESHOLDS[SIGNALS[name].unit]
        threshold = self._parsed(path, value, accepted + more, parse)
        if threshold is not None:
            self._thresholds[name] = threshold
            doubt = _DOUBTS.get(SIGNALS[name].unit, lambda _: "")(value)
            if doubt:
                self.doubts.append(Problem(("signals", *path), doubt))

    def _http(self, value: Any) -> str | None:
        try:
            url = _url(value)
        except ValueError:  # show the value, but no password in it
            found = shown(value) if isinstance(value, str) else value
            self._refuse(("http",), found, _URL_ACCEPTED)
            return None
        self._thresholds["http"] = 1.0
        return url

    def _sql(self, value: Any) -> str | None:
        if not isinstance(value, dict) or not {"query", "threshold"} <= set(value):
            self._refuse(("sql",), value, _SQL_ACCEPTED)
            return None
        query: str | None = self._parsed(("sql", "query"), value["query"], _QUERY_ACCEPTED, _query)
        self._threshold("sql", ("sql", "threshold"), value["threshold"])
        return query

    def _disk_free(self, value: dict[str, Any]) -> str | None:
        if not value:
            self._refuse(("disk_free",), value, _DISK_ACCEPTED)
        if "threshold" in value:
            self._threshold("disk_free", ("disk_free", "threshold"), value["threshold"])
        path: str | None = None
        if "path" in value:  # a path switches the signal on
            self._thresholds.setdefault("disk_free", SIGNALS["disk_free"].threshold)
            path = self._parsed(("disk_free", "path"), value["path"], _PATH_ACCEPTED, _path)
        return path
