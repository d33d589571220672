"""`bgthrottle watch`."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain

import attrs
import click

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.changes import Changes
from synapse_bgthrottle.cli.polling import Poller
from synapse_bgthrottle.cli.render.status import Status, status_lines
from synapse_bgthrottle.cli.render.text import Line, duration
from synapse_bgthrottle.cli.session import Session, online, span_option


@click.command("watch")
@span_option("--interval", "interval_ms", default="2s", show_default=True)
@span_option("--every", "every_ms", default="60s", show_default=True)
@click.option("--until-done", is_flag=True, help="End with status 0 as soon as nothing is pending.")
@online
def watch_command(session: Session, interval_ms: int, every_ms: int, until_done: bool) -> None:
    """Follow the updates until Ctrl-C, or until they are done.

    On a terminal it draws what `bgthrottle status` shows, anew every --interval. Elsewhere, and
    with NO_COLOR or TERM=dumb, it prints a line for each change, and one every --every without a
    change. With -o json or yaml it prints the whole status each time. It goes on over restarts of
    the server, and waits 5 minutes for a server that is just starting.

    \b
    Examples:
      bgthrottle watch --until-done
      bgthrottle watch --every 10m >> updates.log
    """
    draws = session.is_human and session.around.stdout_is_terminal() and output.is_coloured()
    with session.client() as client:
        poller = Poller(client, session.around)
        looks = poller.looks(interval_ms)
        first = next(looks)  # an error that stays is shown before anything is drawn
        with output.Screen() if draws else nullcontext() as screen:
            watch = _Watch(session, screen, Changes(every_ms / 1000))
            for looked in chain([first], looks):
                watch.show(looked)
                if until_done and isinstance(looked, Status) and poller.has_ended(looked):
                    return


@attrs.define
class _Watch:
    """Shows each look as the output needs it; on a screen the last status stays in sight."""

    _session: Session
    _screen: output.Screen | None
    _changes: Changes
    _seen: Status | None = None
    _lost_s: float | None = None

    def show(self, looked: object) -> None:
        now_s, wall_ms = self._session.around.monotonic_s(), self._session.around.wall_ms()
        if self._screen is not None:
            self._screen.draw(self._drawn(looked, now_s, wall_ms))
        elif isinstance(looked, Status) and not self._session.is_human:
            self._session.stream(looked)
        else:
            for line in self._changes.lines(looked, now_s, wall_ms):
                output.show([Line(line)], err=not self._session.is_human)

    def _drawn(self, looked: object, now_s: float, wall_ms: float) -> Iterator[Line]:
        if isinstance(looked, Status):
            self._seen, self._lost_s = looked, None
        else:
            self._lost_s = now_s if self._lost_s is None else self._lost_s
            ago = duration((now_s - self._lost_s) * 1000)
            old = "" if self._seen is None else ", what follows is old"
            yield Line(f"NO STATUS for {ago}{old}: {looked}", "problem")
        if self._seen is not None:
            yield from status_lines(self._seen, wall_ms)
