"""`bgthrottle watch`."""

from contextlib import nullcontext

import click

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.changes import Changes
from synapse_bgthrottle.cli.polling import Ending, Poller
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
        poller = Poller(client)
        first = poller.look_again()  # an error that stays is told before anything is drawn
        with output.Screen() if draws else nullcontext() as screen:
            _Watch(session, screen, every_ms).follow(poller, first, interval_ms, until_done)


class _Watch:
    def __init__(self, session: Session, screen: output.Screen | None, every_ms: int) -> None:
        self._session = session
        self._screen = screen
        self._changes = Changes(every_ms / 1000)
        self._seen: Status | None = None
        self._lost_s: float | None = None

    def follow(self, poller: Poller, first: object, interval_ms: int, until_done: bool) -> None:
        looked, start_s = first, self._session.around.monotonic_s()
        ending = Ending()
        while True:
            self._tell(looked)
            poller.give_up(looked, self._session.around.monotonic_s() - start_s)
            if until_done and isinstance(looked, Status) and ending.has_come(looked):
                return
            self._session.around.sleep(max(interval_ms, 100) / 1000)
            looked = poller.look_again()

    def _tell(self, looked: object) -> None:
        around = self._session.around
        now_s, wall_ms = around.monotonic_s(), around.wall_ms()
        if isinstance(looked, Status):
            self._seen, self._lost_s = looked, None
        elif self._lost_s is None:
            self._lost_s = now_s
        if self._screen is not None:
            self._screen.draw([*self._lost(looked, now_s), *self._lines(wall_ms)])
        elif self._session.is_human:
            for line in self._changes.tell(looked, now_s, wall_ms):
                output.show([Line(line)])
        elif isinstance(looked, Status):
            self._session.stream(looked)
        else:
            for line in self._changes.tell(looked, now_s, wall_ms):
                output.say(line)

    def _lost(self, looked: object, now_s: float) -> list[Line]:
        if self._lost_s is None:
            return []
        ago = duration((now_s - self._lost_s) * 1000)
        old = "" if self._seen is None else ", what follows is old"
        return [Line(f"NO STATUS for {ago}{old}: {looked}", "problem")]

    def _lines(self, wall_ms: float) -> list[Line]:
        return [] if self._seen is None else list(status_lines(self._seen, wall_ms))
