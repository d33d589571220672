"""The files of the page. Everybody may read them, because they contain no data."""

import hashlib
from collections.abc import Mapping

from synapse_bgthrottle.api.responses import Answer
from synapse_bgthrottle.api.routes import FOLDER, PAGE, SLASHLESS, Route

CONTENT_TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}

# Only the page's own files may load, and nothing injected into the document may run.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageFiles:
    """Reads all files when it is made, before the first request."""

    def __init__(self) -> None:
        names = [str(route.file) for route in PAGE.values()]
        self._files = {name: _answer(name, FOLDER.joinpath(name).read_bytes()) for name in names}

    def answer(self, route: Route, path: bytes, if_none_match: str | None) -> Answer:
        """The file of a route, or 304 if the browser has it already. `path` is as sent."""
        if route is SLASHLESS:
            # A relative URL, because a proxy may serve this at another path.
            last = path.rpartition(b"/")[2].decode("ascii", "replace")
            headers = {"Location": f"{last}/", "Content-Type": "text/plain; charset=utf-8"}
            return Answer(308, b"", headers)
        file = self._files[str(route.file)]
        # a proxy that compresses answers makes their tags weak
        known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
        if file.headers["ETag"] in known:
            return Answer(304, b"", file.headers)
        return file


def _answer(name: str, content: bytes) -> Answer:
    return Answer(
        200,
        content,
        {
            "Content-Type": CONTENT_TYPES[name.rpartition(".")[2]],
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            # Browsers cache it, but check each time: so an upgrade never mixes old and new files.
            "Cache-Control": "no-cache",
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        },
    )
