"""The files of the page, as they are served: to everybody, for they tell nothing."""

import hashlib
from collections.abc import Mapping
from importlib import resources

import attrs

from synapse_bgthrottle.api.responses import Answer
from synapse_bgthrottle.api.routes import INDEX, PAGE_FILES, SLASHLESS, Route

CONTENT_TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}

# Nothing but what stands beside it, and no place for anything that slipped into the document.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@attrs.frozen
class _File:
    content: bytes
    headers: Mapping[str, str]

    @property
    def etag(self) -> str:
        return self.headers["ETag"]


class PageFiles:
    """Reads all of them at once, which is before the first request."""

    def __init__(self) -> None:
        folder = resources.files("synapse_bgthrottle.api").joinpath("page")
        self._files = {
            name: _file(name, folder.joinpath(name).read_bytes()) for name in (INDEX, *PAGE_FILES)
        }

    def answer(self, route: Route, path: bytes, if_none_match: str | None) -> Answer:
        """The file, or that it is the one which the browser has.

        Args:
            route: one of the page.
            path: as it was sent.
            if_none_match: the header of this name.
        """
        if route is SLASHLESS:
            # Relative: a proxy may show all of this at another path.
            last = path.rpartition(b"/")[2].decode("ascii", "replace")
            headers = {"Location": f"{last}/", "Content-Type": "text/plain; charset=utf-8"}
            return Answer(308, b"", headers)
        file = self._files[str(route.file)]
        if if_none_match is not None and file.etag in map(str.strip, if_none_match.split(",")):
            return Answer(304, b"", file.headers)
        return Answer(200, file.content, file.headers)


def _file(name: str, content: bytes) -> _File:
    return _File(
        content,
        {
            "Content-Type": CONTENT_TYPES[name.rpartition(".")[2]],
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            # Kept, but asked for each time: after an upgrade nobody has half of an old page.
            "Cache-Control": "no-cache",
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        },
    )
