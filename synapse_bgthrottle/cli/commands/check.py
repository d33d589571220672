"""`bgthrottle check`."""

import click

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.cli.errors import NOT_FINISHED
from synapse_bgthrottle.cli.polling import Poller
from synapse_bgthrottle.cli.render.status import Status
from synapse_bgthrottle.cli.render.text import Line
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.schema import ThrottleStatus

_BETWEEN_LOOKS_S = 1.0


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
    session.show({"safe": not reasons, "reasons": reasons, "not_told": unseen}, lines)
    if reasons:
        raise click.exceptions.Exit(NOT_FINISHED)


def _look(session: Session, poller: Poller) -> Status:
    """Look once; again while Synapse's own status has no update: it may be between two."""
    status = poller.look()
    while not poller.has_ended(status) and verdicts.is_done(status):
        session.around.sleep(_BETWEEN_LOOKS_S)
        status = poller.look()
    return status
