"""The settings in the configuration's `signals:`."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import attrs


@attrs.frozen(kw_only=True)
class SignalSettings:
    """Thresholds and the administrator's checks. The signals' defaults apply to what is not set.

    Attributes:
        thresholds: configured thresholds by signal name, in the signal's unit; None: off.
        disk_path: a path on the disk of the database; None: detected, if it is on this machine.
        pause_file: the file whose presence holds all updates; None: none.
        http_url: URL to request; None: none.
        sql_query: query to the main database; None: none.
    """

    thresholds: Mapping[str, float | None] = attrs.field(factory=dict)
    disk_path: str | None = None
    pause_file: str | None = None
    http_url: str | None = attrs.field(default=None, repr=lambda url: repr(url and shown(url)))
    sql_query: str | None = None


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


def shown(url: str) -> str:
    """The URL without what may be secret: the user, and everything after the host."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url.rpartition("@")[2]
    host, slash, path = rest.partition("/")
    host, question, _ = host.partition("?")
    user, at, host = host.rpartition("@")
    after = "/..." if path or question else slash
    return f"{scheme}://{'...@' if at and user else ''}{host}{after}"
