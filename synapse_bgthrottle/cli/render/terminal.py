"""Draws lines and bars on a terminal, over those drawn before."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from synapse_bgthrottle.cli.render.text import Line, escape, wrapped

_STYLES = {
    "problem": "bold red",
    "held": "yellow",
    "good": "green",
    "title": "bold",
    "faint": "dim",
    "": "",
}
_WIDEST_BAR = 60
_INDENT = 4


class Screen:
    """The part of a terminal that is drawn anew each time. A context manager."""

    def __init__(self, console: Any = None) -> None:
        """`console` is rich's; None: the terminal."""
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, vertical_overflow="ellipsis", transient=False
        )

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def draw(self, lines: Sequence[Line]) -> None:
        """These lines, and no others."""
        self._live.update(picture(lines, self._console.width), refresh=True)


def picture(lines: Sequence[Line], width: int) -> Any:
    """What rich draws: each line wrapped, bars below theirs."""
    from rich.console import Group  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn: list[Any] = []
    for line in lines:
        text = "\n".join(wrapped(escape(line.text), width))
        drawn.append(Text(text, style=_STYLES[line.style]))
        if line.ratio is not None:
            bar = ProgressBar(
                total=1.0,
                completed=min(max(line.ratio, 0.0), 1.0),
                width=max(min(width - 2 * _INDENT, _WIDEST_BAR), 1),
            )
            drawn.append(Padding(bar, (0, 0, 0, _INDENT)))
    return Group(*drawn)
