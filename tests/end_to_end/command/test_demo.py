"""`make demo`, run to its end, and the picture of it."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from demo.recording import picture
from testbed.waiting import HANG_S, wait_until

ROOT = Path(__file__).parents[3]


def _command(folder: Path, *arguments: str) -> list[str]:
    demo = [sys.executable, "-u", "-m", "demo", "--folder", str(folder)]
    return [*demo, *arguments]


def test_demo(tmp_path: Path) -> None:
    """It ends by itself: clients come, a pause and its end, the clients go, and what they felt."""
    demo = subprocess.run(
        _command(tmp_path / "d"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * HANG_S,
        check=False,
    )
    assert 0 == demo.returncode, demo.stdout + demo.stderr
    told = [
        "The module's page is",
        "No client is there.",
        "3 clients send messages.",
        "$ bgthrottle status",
        "$ bgthrottle pause --for 10m --reason demo --yes",
        "paused by @alice:bgthrottle.test",
        "$ bgthrottle resume",
        "Clients: ",
        "The clients go.",
        "The server is stopped.",
    ]
    places = [demo.stdout.find(text) for text in told]
    assert -1 not in places, demo.stdout
    assert sorted(places) == places
    assert re.search(r"\d ms a message beside the update: \d+ % slower", demo.stdout)
    assert "\x1b" not in demo.stdout, "plain lines where there is no terminal"


def test_the_demo_stays(tmp_path: Path) -> None:
    """If it is asked to, it stays for whoever wants to look, until Ctrl-C, which gives 130."""
    output = tmp_path / "output"
    with output.open("wb") as file:
        # Fewer events than usual: it stays as well where the update is done before.
        command = _command(tmp_path / "d", "--keep", "--events", "20000")
        demo = subprocess.Popen(command, cwd=ROOT, stdout=file)
    try:
        wait_until(lambda: "Look around until you press Ctrl-C" in output.read_text())
        (url,) = re.findall(r"BGTHROTTLE_URL=(\S+)", output.read_text())
        assert f"{url}/_synapse/bgthrottle/" in output.read_text()
        demo.send_signal(signal.SIGINT)
        assert 130 == demo.wait(HANG_S)
    finally:
        demo.kill()
    assert "Interrupted; the server is stopped." in output.read_text()


def test_its_picture() -> None:
    """Each line appears at its moment, a long one in full, and nothing comes from elsewhere."""
    lines = [(0.0, "$ make demo"), (8.0, "Paused:"), (12.0, "<a> & " + "word " * 40)]
    svg = picture(lines)
    ElementTree.fromstring(svg)  # it is well-formed
    delays_s = [float(delay) for delay in re.findall(r"shows 0\.1s ([\d.]+)s both", svg)]
    assert [0.0, 2.0] == sorted(set(delays_s))[:2]
    assert 3.0 == max(delays_s)
    assert "http" not in svg.replace("http://www.w3.org", "").replace("https://www.textualize", "")
