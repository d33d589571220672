"""Records a real run of the demo, as text and as an animated picture.

`make demo-recording` writes docs/demo.md and docs/images/demo.svg. rich draws the picture. This
module makes each line appear at its time.
"""

import io
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.text import Text

_ROOT = Path(__file__).parent.parent
_COLUMNS = 100
_TIMES_FASTER = 4
# Its files would be loaded from another server.
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_LINE = re.compile(r'<text (class="[^"]*-r\d+"[^>]*clip-path="url\(#[\w-]+-line-(\d+)\)")')
_HEAD = f"""\
# The demo

A run of `make demo`, recorded by `make demo-recording`: Synapse {version("matrix-synapse")} on
SQLite. Your figures will differ. [The picture](images/demo.svg) shows the same run, {_TIMES_FASTER}
times as fast.

"""


def main() -> int:
    begin_s = time.monotonic()
    lines: list[tuple[float, str]] = []
    command = [sys.executable, "-u", "-m", "demo"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            lines.append((time.monotonic() - begin_s, line.rstrip()))
            print(lines[-1][1], flush=True)
    if demo.returncode:
        return demo.returncode
    text = "\n".join(line for _, line in lines)
    (_ROOT / "docs" / "demo.md").write_text(f"{_HEAD}```text\n$ make demo\n{text}\n```\n")
    (_ROOT / "docs" / "images" / "demo.svg").write_text(picture([(0.0, "$ make demo"), *lines]))
    return 0


def picture(lines: list[tuple[float, str]]) -> str:
    """An SVG in which each line appears at its time, in seconds since the start."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    moments_s: list[float] = []
    for at_s, line in lines:
        wrapped = Text(line, style=_style(line)).wrap(console, _COLUMNS)
        moments_s.extend([at_s] * max(len(wrapped), 1))
        console.print(wrapped or "", highlight=False)
    svg = _FONT.sub("", console.export_svg(title="make demo"))
    shows = "@keyframes shows { from { opacity: 0 } to { opacity: 1 } }"
    svg = svg.replace("<style>", f"<style>\n    {shows}", 1)

    def at_its_moment(match: re.Match[str]) -> str:
        delay_s = moments_s[min(int(match[2]), len(moments_s) - 1)] / _TIMES_FASTER
        return f'<text style="animation: shows 0.1s {delay_s:.1f}s both" {match[1]}'

    return _LINE.sub(at_its_moment, svg)


def _style(line: str) -> str:
    if line.startswith("$"):
        return "bold green"
    if line.endswith(":") or line.startswith("Clients:"):
        return "bold"
    return ""


if __name__ == "__main__":
    sys.exit(main())
