"""`bgthrottle status` and `bgthrottle history`."""

import click

from synapse_bgthrottle.cli import options
from synapse_bgthrottle.cli.polling import Poller
from synapse_bgthrottle.cli.render.levers import history_lines, use_line
from synapse_bgthrottle.cli.render.status import status_lines
from synapse_bgthrottle.cli.render.text import Line
from synapse_bgthrottle.cli.session import Session, online

_NOTHING = Line("nothing found")


@click.command("status")
@click.option(
    "-v", "--verbose", is_flag=True, help="Also the whole queue, work, limits and signals."
)
@online
def status_command(session: Session, verbose: bool) -> None:
    """Show what runs, what waits, and what is wrong.

    Problems come first, then five lines for each database. Without the module it shows what Synapse
    itself shows.

    \b
    Examples:
      bgthrottle status
      bgthrottle status -v
      bgthrottle status -o json
    """
    with session.client() as client:
        status = Poller(client, session.around).look()
    session.show(status, status_lines(status, session.around.wall_ms(), is_verbose=verbose))


@click.command("history")
@click.argument("update", required=False, shell_complete=options.updates)
@click.option("--database", help="Only this database.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="Default: 100.")
@click.option("--uses", is_flag=True, help="Show who did what instead.")
@online
def history_command(
    session: Session, update: str | None, database: str | None, limit: int, uses: bool
) -> None:
    """Show how updates went, or who did what.

    UPDATE is a name, or a glob such as 'event_*'. The newest comes first.

    \b
    Examples:
      bgthrottle history 'event_*' --limit 10
      bgthrottle history --uses
    """
    if uses and (update or database):
        raise click.UsageError("--uses is for all updates: leave out UPDATE and --database")
    with session.client() as client:
        if uses:
            used = client.uses(limit)
            session.show(used, [Line(use_line(use)) for use in used] or [_NOTHING])
            return
        entries = client.history(limit, update, database)
    session.show(entries, history_lines(entries) if entries else [_NOTHING])
