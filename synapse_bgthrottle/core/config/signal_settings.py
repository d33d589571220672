"""`signals:` of the configuration: its settings, its keys, and URLs that hold a secret."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from synapse_bgthrottle.core.config.keys import Key, bare_bytes, bare_ms, within
from synapse_bgthrottle.core.signals import SIGNALS, Unit
from synapse_bgthrottle.core.units import (
    parse_duration_ms,
    parse_rate_bytes_per_s,
    parse_size_bytes,
)

_LONGEST_QUERY = 10_000
_LONGEST_PATH = 4096  # PATH_MAX
_LONGEST_URL = 2000
_LARGEST_NUMBER = 1e300
_MOST_BYTES = 2**63 - 1
_LONGEST_MS = 86_400_000


@attrs.frozen(kw_only=True)
class SignalSettings:
    """Thresholds and the administrator's checks. The signals' defaults apply to what is not set."""

    # By signal name, in the signal's unit; None: off.
    thresholds: Mapping[str, float | None] = attrs.field(factory=dict)
    disk_path: str | None = None  # on the disk of the database; None: detected, if it is local
    pause_file: str | None = None  # the file whose presence holds all updates
    http_url: str | None = attrs.field(default=None, repr=lambda url: repr(url and shown(url)))
    sql_query: str | None = None  # query to the main database


_SECRET_NAME = re.compile(
    "auth|code|credential|jwt|key|pass|pwd|secret|session|sig|token", re.IGNORECASE
)
# A sequence of letters and digits that looks generated: a UUID or a token.
_OPAQUE = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_.~+=-]{20,}")


def secret_in(url: str) -> str | None:
    """What looks like a secret in the URL, described without the secret itself; None: nothing."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return "a user or a password"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if value and _SECRET_NAME.search(name):
            return f"{name}=..."
        if _OPAQUE.fullmatch(value) or _OPAQUE.fullmatch(name):
            return "a long key in its query"
    if any(_OPAQUE.fullmatch(segment) for segment in parts.path.split("/")):
        return "a long key in its path"
    return None


def shown(url: Any) -> Any:
    """The URL without what may be secret: the user, and everything after the host."""
    if not isinstance(url, str):
        return url
    scheme, found, rest = url.partition("://")
    if not found:
        return url.rpartition("@")[2]
    host, slash, path = rest.partition("/")
    host, question, _ = host.partition("?")
    user, at, host = host.rpartition("@")
    after = "/..." if path or question else slash
    return f"{scheme}://{'...@' if at and user else ''}{host}{after}"


def _above(value: Any, low: float) -> float:
    if within(value, low, _LARGEST_NUMBER) == low:
        raise ValueError("not above")
    return float(value)


def _on(value: Any) -> float:
    if value is not True and value != "on":  # YAML 1.1 reads an unquoted `on` as True
        raise ValueError("not on")
    return 1.0


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


# By unit: the accepted thresholds beside `off`, their parser, and a warning about likely mistakes.
_THRESHOLDS: dict[Unit, tuple[str, Callable[[Any], float], Callable[[Any], str]]] = {
    Unit.DURATION: (
        "a duration from 1ms to 1d, such as 50ms, 10s, 5m",
        lambda value: float(within(parse_duration_ms(value), 1, _LONGEST_MS)),
        bare_ms,
    ),
    Unit.COUNT: ("a number above 0, such as 4", lambda value: _above(value, 0), lambda _: ""),
    Unit.SIZE: (
        "a size from 1 byte, such as 10GiB, 500MB, or a whole number of bytes",
        lambda value: float(within(parse_size_bytes(value), 1, _MOST_BYTES)),
        bare_bytes,
    ),
    Unit.RATE: (
        "a size per second, such as 50MiB/s",
        lambda value: float(within(parse_rate_bytes_per_s(value), 1, _MOST_BYTES)),
        lambda _: "",
    ),
    Unit.FACTOR: ("a number above 1, such as 10", lambda value: _above(value, 1), lambda _: ""),
    Unit.YES_NO: ("on", _on, lambda _: ""),
}


def _threshold(name: str, more: str = "") -> Key:
    accepted, parse, doubt = _THRESHOLDS[SIGNALS[name].unit]
    return Key("threshold", accepted + more, parse, doubt)


# Beside `off`. A value without a threshold has the signal's own, or 1.
SIGNAL_KEYS = {name: _threshold(name, ", or off") for name in SIGNALS} | {
    "pause_file": Key("pause_file", "an absolute path, such as /run/synapse/pause, or off", _path),
    "http": Key(
        "http_url",
        "an http or https URL with a host, and without a user, such as http://127.0.0.1:8000/go,"
        " or off",
        _url,
        shown=shown,
    ),
}
# The signals that may have a mapping, and its keys.
NESTED_KEYS = {
    "disk_free": {
        "threshold": _threshold("disk_free"),
        "path": Key("disk_path", "an absolute path, such as /var/lib/postgresql", _path),
    },
    "sql": {
        "query": Key("sql_query", f"one SQL query of 1 to {_LONGEST_QUERY} characters", _query),
        "threshold": _threshold("sql"),
    },
}
