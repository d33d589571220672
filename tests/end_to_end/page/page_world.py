"""The page of a real server in a real Chromium, and its users."""

import re
from typing import Any

import attrs
import pytest

from testbed.servers.browser import Browser, missing, origins
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer

ROOT = "/_synapse/bgthrottle/"
API = "/_synapse/bgthrottle/v1"
SLOW = {"max_items_per_second": 400, "target_duration": "30ms"}

_LACKS = missing()
needs_browser = pytest.mark.skipif(_LACKS is not None, reason=f"SKIPPED: no browser: {_LACKS}")


@attrs.define
class World:
    """A server, its page, and who looks at it."""

    synapse: SynapseServer
    admin: MatrixClient
    browser: Browser
    seen_requests: int = 0

    @property
    def url(self) -> str:
        return self.synapse.url

    def open(self) -> None:
        # The page of an earlier test complains in the console once its server has ended.
        self.browser.open("about:blank")
        self.browser.console()
        self.seen_requests = len(self.browser.requests())
        self.browser.open(self.url + ROOT)

    def sign_in(self, token: str | None = None) -> None:
        self.browser.type(f"{token or self.admin.token}\n", into="#token")

    def enter(self) -> None:
        self.open()
        self.sign_in()
        self.browser.wait(lambda: self.browser.text(".database"))

    def api(self, method: str, path: str, **body: Any) -> Any:
        return self.admin.call(method, f"{API}/{path}", body if method == "POST" else None)

    def levers(self) -> list[Any]:
        return list(self.api("GET", "status")["levers"])

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.browser.type(value, into=f"#field-{name}", clear=True)

    def choose(self, **fields: str) -> None:
        """Words of selections, by the names of their fields."""
        for name, text in fields.items():
            self.browser.run(
                "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
                " e.dispatchEvent(new Event('change'))",
                f"#field-{name}",
                text,
            )

    def confirm(self) -> None:
        self.browser.click("Review", "dialog")
        self.browser.click("Yes", "dialog")
        self.browser.wait(lambda: not self.is_asking())

    def is_asking(self) -> bool:
        return bool(self.browser.run("return document.querySelector('dialog').open"))

    def sees(self, pattern: str, selector: str = "main") -> None:
        self.browser.wait(lambda: re.search(pattern, self.browser.text(selector)))

    def check_no_overflow(self) -> None:
        """Nothing sticks out to the side."""
        wide = self.browser.run(
            """
            const limit = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= limit) return [];
            return [...document.querySelectorAll('body *')]
              .filter((one) => one.getBoundingClientRect().right > limit + 0.5)
              .map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 40)}`);
            """
        )
        assert [] == wide

    def check_clean(self, *allowed: str) -> None:
        """No complaint in the console, no violation, nobody else asked, no token but in the tab."""
        complaints = [
            line for line in self.browser.console() if not any(part in line for part in allowed)
        ]
        assert [] == complaints, complaints
        assert [] == self.browser.violations()
        requests = self.browser.requests()[self.seen_requests :]
        assert requests
        assert {self.url} == origins(requests)
        token = self.admin.token
        assert not [request for request in requests if token in request["url"]]
        held = self.browser.run(
            "return [document.documentElement.outerHTML, JSON.stringify(localStorage),"
            " document.cookie, location.href,"
            " document.querySelector('#token').value].join(' ')"
        )
        assert token not in held
