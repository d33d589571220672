"""A headless Chromium, driven with selenium. Both may be missing.

Debian has the packages `chromium` and `chromium-driver`, PyPI has `selenium` (the extra `browser`).
This module downloads nothing.
"""

import base64
import importlib.util
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from typing_extensions import Self

from testbed import waiting

T = TypeVar("T")

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# As root it has no sandbox. It must not connect to anything but the server under test.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "about:blank",  # its own first page has 300 files
)


def missing() -> str | None:
    """What is missing to run a browser; None: nothing."""
    if importlib.util.find_spec("selenium") is None:
        return "the package selenium (extra `browser`) is not installed"
    if _browser() is None:
        return f"none of {', '.join(_BROWSERS)} is on the PATH"
    if shutil.which("chromedriver") is None:
        return "chromedriver is not on the PATH"
    return None


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


class Browser:
    """One window. It keeps its pages' requests and errors.

    Args:
        folder: for its profile.
        size: of the window, in CSS pixels.
        is_dark: the user's preferred colours.
        scale: screen pixels for each CSS pixel.

    Raises:
        RuntimeError: something is missing.
    """

    def __init__(
        self,
        folder: Path,
        size: tuple[int, int] = (1200, 900),
        is_dark: bool = False,
        scale: float = 1.0,
    ) -> None:
        lacks = missing()
        if lacks is not None:
            raise RuntimeError(lacks)
        from selenium.webdriver import Chrome, ChromeOptions  # noqa: PLC0415
        from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

        options = ChromeOptions()
        options.binary_location = str(_browser())
        for flag in (*_FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(shutil.which("chromedriver"))
        self.driver: Any = Chrome(options=options, service=service)
        self._requests: list[Mapping[str, Any]] = []
        self.resize(*size, scale)
        self.prefer(is_dark)
        # Record violations before any script of the page runs.
        self.driver.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument",
            {
                "source": "window.__violations = []; document.addEventListener("
                "'securitypolicyviolation', (e) => window.__violations.push("
                "`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));"
            },
        )

    def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        """Behave like a screen of this size, such as a phone's."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, is_dark: bool) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, url: str) -> None:
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of a function with this body, run in the page."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str = "body") -> str:
        """The visible text of an element; empty: it does not exist."""
        script = (
            "const one = document.querySelector(arguments[0]);"
            " return one?.checkVisibility() ? one.innerText.trim() : ''"
        )
        return str(self.run(script, selector))

    def click(self, text: str, within: str = "body") -> None:
        """Click the first button whose text, as a screen reader reads it, begins like this.

        Raises:
            LookupError: there is none.
        """
        script = (
            "return [...document.querySelectorAll(`${arguments[1]} button`)].find((one) =>"
            " one.checkVisibility() && one.textContent.startsWith(arguments[0]))"
        )
        button = self.run(script, text, within)
        if button is None:
            raise LookupError(f"no button {text!r} in {self.text(within)}")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def type(self, text: str, *, into: str = "", clear: bool = False) -> None:
        """Type this text into an element, by default into the one with the focus."""
        from selenium.webdriver.common.by import By  # noqa: PLC0415

        if into:
            element = self.driver.find_element(By.CSS_SELECTOR, into)
        else:
            element = self.driver.switch_to.active_element
        if clear:
            element.clear()
        element.send_keys(text)

    def console(self) -> list[str]:
        """Console messages of all levels since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def violations(self) -> list[str]:
        """Violations of the content security policy in the open page."""
        return list(self.run("return window.__violations"))

    def requests(self) -> list[Mapping[str, Any]]:
        """All requests so far: `url`, `method`, `headers`, and monotonic sending time `at_s`."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                at_s = message["params"]["timestamp"]
                self._requests.append({**message["params"]["request"], "at_s": at_s})
        return list(self._requests)

    def wait(self, condition: Callable[[], T]) -> T:
        """Wait until the condition holds, and return its value.

        Raises:
            HangError: it never does; the message has the page's text.
        """
        found: list[T] = []

        def look() -> bool:
            found[:] = [condition()]
            return bool(found[0])

        if not waiting.within(waiting.HANG_S, look):
            raise waiting.hang(f"the page shows\n{self.text()}")
        return found[0]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Save the visible part, or the whole page."""
        options = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            box = self.run(
                "const e = document.documentElement; return [e.clientWidth, e.scrollHeight]"
            )
            options["clip"] = {"x": 0, "y": 0, "width": box[0], "height": box[1], "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self.driver.quit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def origins(requests: Sequence[Mapping[str, Any]]) -> set[str]:
    """The origins to which requests went. Data URLs have none."""
    targets = (urlsplit(request["url"]) for request in requests)
    return {f"{url.scheme}://{url.netloc}" for url in targets if url.scheme != "data"}
