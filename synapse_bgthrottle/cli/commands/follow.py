"""`bgthrottle watch`, `wait` and `check`: is it done, and what goes on until then."""

import functools
import math
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain

import attrs
import click

from synapse_bgthrottle.cli import output, verdicts
from synapse_bgthrottle.cli.changes import Changes
from synapse_bgthrottle.cli.errors import NOT_FINISHED, NotFinishedCommandError
from synapse_bgthrottle.cli.polling import Poller
from synapse_bgthrottle.cli.render.status import Status, status_lines
from synapse_bgthrottle.cli.render.text import Line, duration
from synapse_bgthrottle.cli.session import Session, online, span_option
from synapse_bgthrottle.schema import ThrottleStatus, UpdatesStatus

_BETWEEN_LOOKS_S = 1.0
_SAY_EVERY_S = 60.0


@click.command("watch")
@span_option("--interval", "interval_ms", default="2s", help="How often it asks.")
@span_option("--every", "every_ms", default="60s", help="How often it prints a line in any case.")
@click.option("--until-done", is_flag=True, help="End with status 0 as soon as nothing is pending.")
@online
def watch_command(session: Session, interval_ms: int, every_ms: int, until_done: bool) -> None:
    """Follow the updates until Ctrl-C, or until they are done.

    On a terminal it draws what `bgthrottle status` shows, anew every --interval. Elsewhere, and
    with NO_COLOR or TERM=dumb, it prints a line for each change, and one every --every without a
    change. With -o json or yaml it prints the whole status each time. It goes on when the server
    restarts. A server that has not answered yet may be starting: it is asked for 5 minutes.

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


@click.command("wait")
@span_option("--timeout", "longest_ms", help="The longest wait; default: no limit.")
@span_option("--interval", "interval_ms", default="10s", help="How often it asks.")
@functools.partial(online, with_timeout=False)
def wait_command(session: Session, longest_ms: int | None, interval_ms: int) -> None:
    """Wait until nothing is pending.

    The exit status is 0 then. It is 5 after --timeout, or if it cannot end by itself: updates are
    paused, switched off or aborted, need approval, or are not known. Progress goes to stderr. It
    goes on when the server restarts. A server that has not answered yet may be starting: it is
    asked for 5 minutes. The longest wait for one answer is set before the command: bgthrottle
    --timeout 5s wait.

    \b
    Example:
      bgthrottle wait --timeout 6h && bgthrottle check
    """
    with session.client() as client:
        status = _wait(session, Poller(client, session.around), longest_ms, interval_ms)
    is_official = isinstance(status, UpdatesStatus)
    done = "nothing runs any more" if is_official else "nothing is pending"
    session.show(status, [Line(done, "good")])


def _wait(session: Session, poller: Poller, longest_ms: int | None, interval_ms: int) -> Status:
    around, changes = session.around, Changes(_SAY_EVERY_S)
    for looked in poller.looks(interval_ms, math.inf if longest_ms is None else longest_ms / 1000):
        for line in changes.lines(looked, around.monotonic_s(), around.wall_ms()):
            output.say(line)
        if isinstance(looked, Status):
            if poller.has_ended(looked):
                return looked
            if reasons := list(verdicts.stopped(looked)):
                raise NotFinishedCommandError("; ".join(reasons))
    last = "; ".join(changes.last)
    raise NotFinishedCommandError(f"not finished after {duration(longest_ms)}: {last}")


@click.command("check")
@online
def check_command(session: Session) -> None:
    """Say whether it is safe to upgrade now.

    The exit status is 0 if it is. It is 5 if updates are pending, aborted or paused, if this
    version of Synapse does not know one, or if the queue cannot be read. Without the module only
    the update that runs now is seen.

    \b
    Example:
      bgthrottle check && apt-get install matrix-synapse-py3
    """
    with session.client() as client:
        status = _look(session, Poller(client, session.around))
    reasons = list(verdicts.against_upgrade(status))
    unseen = "" if isinstance(status, ThrottleStatus) else verdicts.UNSEEN
    if reasons:
        lines = [Line("not safe to upgrade:", "problem"), *(Line(f"  {why}") for why in reasons)]
    elif unseen:
        lines = [Line("nothing runs now: safe to upgrade, as far as can be seen", "held")]
    else:
        lines = [Line("safe to upgrade: nothing is pending", "good")]
    if unseen:
        lines.append(Line(f"not seen: {unseen}", "faint"))
    session.show({"safe": not reasons, "reasons": reasons, "not_seen": unseen}, lines)
    if reasons:
        raise click.exceptions.Exit(NOT_FINISHED)


def _look(session: Session, poller: Poller) -> Status:
    """Look once; again while Synapse's own status has no update: it may be between two."""
    status = poller.look()
    while not poller.has_ended(status) and verdicts.is_done(status):
        session.around.sleep(_BETWEEN_LOOKS_S)
        status = poller.look()
    return status
