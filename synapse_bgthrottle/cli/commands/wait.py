"""`bgthrottle wait`."""

import functools
import math
from typing import TYPE_CHECKING

import click

from synapse_bgthrottle.cli import output, verdicts
from synapse_bgthrottle.cli.changes import Changes
from synapse_bgthrottle.cli.errors import NotFinishedCommandError
from synapse_bgthrottle.cli.polling import Ending, Poller
from synapse_bgthrottle.cli.render.status import Status
from synapse_bgthrottle.cli.render.text import Line, duration, escape
from synapse_bgthrottle.cli.session import Session, online, span_option
from synapse_bgthrottle.schema import UpdatesStatus

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

_TELL_EVERY_S = 60.0


@click.command("wait")
@span_option(
    "--timeout",
    "longest_ms",
    help="The longest wait; default: no limit.",
)
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
        status = _wait(session, client, longest_ms, max(interval_ms, 100))
    is_official = isinstance(status, UpdatesStatus)
    done = "nothing runs any more" if is_official else "nothing is pending"
    session.show(status, [Line(done, "good")])


def _wait(session: Session, client: "Client", longest_ms: int | None, interval_ms: int) -> Status:
    around, poller = session.around, Poller(client)
    start_s = around.monotonic_s()
    longest_s = math.inf if longest_ms is None else longest_ms / 1000
    changes = Changes(_TELL_EVERY_S)
    looked: object = poller.look_again(longest_s)
    ending = Ending()
    while True:
        for line in changes.tell(looked, around.monotonic_s(), around.wall_ms()):
            output.say(line)
        if isinstance(looked, Status):
            if ending.has_come(looked):
                return looked
            if reasons := list(verdicts.stopped(looked)):
                raise NotFinishedCommandError(escape("; ".join(reasons)))
        waited_s = around.monotonic_s() - start_s
        poller.give_up(looked, waited_s, longest_s)
        left_s = longest_s - waited_s
        if left_s <= 0:
            last = "; ".join(changes.last)
            waited = duration(longest_ms)
            raise NotFinishedCommandError(escape(f"not finished after {waited}: {last}"))
        around.sleep(min(interval_ms / 1000, left_s))
        looked = poller.look_again(longest_s - (around.monotonic_s() - start_s))
