"""Addresses of checks, as far as they may be shown: secrets in them stay secret. Pure."""

import re
from urllib.parse import parse_qsl, urlsplit

_SECRET_NAME = re.compile(
    "auth|code|credential|jwt|key|pass|pwd|secret|session|sig|token", re.IGNORECASE
)
# Letters and digits in a row that nobody makes up: a UUID, a token.
_OPAQUE = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_.~+=-]{20,}")


def secret_in(url: str) -> str | None:
    """What in the address looks like a secret, in words that do not tell it; None: nothing."""
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
    """The address without what may be secret: its user, and all after its host."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url.rpartition("@")[2]
    host, slash, path = rest.partition("/")
    host, question, _ = host.partition("?")
    user, at, host = host.rpartition("@")
    after = "/..." if path or question else slash
    return f"{scheme}://{'...@' if at and user else ''}{host}{after}"
