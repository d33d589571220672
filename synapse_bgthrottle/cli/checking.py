"""`bgthrottle check`."""

import click

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.cli.failures import NOT_FINISHED
from synapse_bgthrottle.cli.lines import Line
from synapse_bgthrottle.cli.polling import Poller
from synapse_bgthrottle.cli.session import Session, online


@click.command("check")
@online
def check_command(session: Session) -> None:
    """Tell whether it is safe to upgrade now.

    The exit status is 0 if it is, and 5 if not: updates are pending, aborted or paused, are not
    known to this version of Synapse, or the queue cannot be read. Without the module only the
    update that runs now is known.

    \b
    Example:
      bgthrottle check && apt-get install matrix-synapse-py3
    """
    with session.client() as client:
        look = Poller(client).look()
    if look.full is not None:
        reasons, untold = list(verdicts.against_upgrade(look.full)), ""
    else:
        assert look.official is not None
        reasons = list(verdicts.against_upgrade_officially(look.official))
        untold = verdicts.UNTOLD
    if reasons:
        lines = [Line("not safe to upgrade:", "problem"), *(Line(f"  {why}") for why in reasons)]
    elif untold:
        lines = [Line("nothing runs now: safe to upgrade, for all that is told", "held")]
    else:
        lines = [Line("safe to upgrade: nothing is pending", "good")]
    if untold:
        lines.append(Line(f"not told: {untold}", "faint"))
    session.show({"safe": not reasons, "reasons": reasons, "not_told": untold}, lines)
    if reasons:
        raise click.exceptions.Exit(NOT_FINISHED)
