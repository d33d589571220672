"""`bgthrottle wait`."""

import functools
import math

import click

from synapse_bgthrottle.cli import output, verdicts
from synapse_bgthrottle.cli.changes import Changes
from synapse_bgthrottle.cli.errors import NotFinishedCommandError
from synapse_bgthrottle.cli.polling import Poller
from synapse_bgthrottle.cli.render.status import Status
from synapse_bgthrottle.cli.render.text import Line, duration
from synapse_bgthrottle.cli.session import Session, online, span_option
from synapse_bgthrottle.schema import UpdatesStatus

_TELL_EVERY_S = 60.0


@click.command("wait")
@span_option("--timeout", "longest_ms", help="The longest wait; default: no limit.")
@span_option("--interval", "interval_ms", default="10s", show_default=True)
@functools.partial(online, with_timeout=False)
def wait_command(session: Session, longest_ms: int | None, interval_ms: int) -> None:
    """Wait until nothing is pending.

    The exit status is 0 then. It is 5 after --timeout, or if it cannot end by itself: updates are
    paused, switched off or aborted, need approval, or are not known. Progress goes to stderr. It
    waits for a server that does not answer for a while, and 5 minutes for one that is just
    starting. The longest wait for one answer is set before the command: bgthrottle --timeout 5s
    wait.

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
    around, changes = session.around, Changes(_TELL_EVERY_S)
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
