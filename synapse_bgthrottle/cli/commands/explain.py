"""`bgthrottle explain`: by the server, or offline by a configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synapse_bgthrottle.cli.commands.check_config import parsed
from synapse_bgthrottle.cli.inputs.config_file import ConfigFile
from synapse_bgthrottle.cli.inputs.synapse_source import known_updates
from synapse_bgthrottle.cli.options import config_option, update_argument
from synapse_bgthrottle.cli.render.levers import explanation_lines
from synapse_bgthrottle.cli.render.text import Line
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.client.errors import ClientError
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.problems import did_you_mean
from synapse_bgthrottle.core.config.update_names import UPDATE_NAMES
from synapse_bgthrottle.core.reports.explain import explanation
from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.schema import ThrottleStatus

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

_ONLY_THE_SERVER = "offline: pauses, budgets and pressures are not looked at"
_LEFT_OUT = "what the module's config leaves out comes from background_updates: in homeserver.yaml"


@click.command("explain")
@update_argument
@config_option
@click.option("--database", default="master", show_default=True, help="The update's database.")
@click.option("--one-shot", is_flag=True, help="Treat the update as a one-shot.")
@online
def explain_command(
    session: Session, update: str, files: tuple[Path, ...], database: str, one_shot: bool
) -> None:
    """Show which limits an update gets, and what would hold it now.

    By default it asks the server. With --config it reads the files instead; then it knows the
    windows, but no pauses, budgets or pressures.

    \b
    Examples:
      bgthrottle explain event_search
      bgthrottle explain event_search --config /etc/matrix-synapse/homeserver.yaml
    """
    if files:
        _offline(session, update, files, database, one_shot)
        return
    if not session.settings().url:
        raise click.UsageError(
            "use --config FILE to read a configuration, or --url to ask a server"
        )
    with session.client() as client:
        answer = client.explain(update, database, one_shot)
        status = _status(client) if session.is_human else None
    lines = list(explanation_lines(answer, session.around.wall_ms()))
    if status is not None:
        lines += _place(status, update, database)
    session.show(answer, lines)


def _status(client: "Client") -> ThrottleStatus | None:
    """Its place in the queue stands beside the answer, which is whole without it."""
    try:
        return client.throttle_status()
    except ClientError:
        return None


def _place(status: ThrottleStatus, update: str, database: str) -> Iterator[Line]:
    """Its place in the queue, which no limit of its own shows."""
    for each in status.databases:
        if each.name != database or each.pending is None:
            continue
        names = [pending.name for pending in each.pending]
        if update not in names:
            answer = f"{update} is not pending in {database} now; the answer is by its name alone"
            # One that is known and not pending is no mistake.
            hint = "" if update in UPDATE_NAMES else did_you_mean(update, [*names, *UPDATE_NAMES])
            yield Line(f"  {answer}{hint}")
        elif place := names.index(update):
            decision = each.decision
            held = f" is held: {decision.reason}" if decision and decision.is_hold else " is first"
            yield Line(f"  it waits behind {place} in the queue, of which {names[0]}{held}", "held")
        return
    if all(each.name != database for each in status.databases):
        known = ", ".join(each.name for each in status.databases)
        yield Line(f"  this server has no database {database}, but {known}", "held")


def _unknown(update: str, database: str, found: ConfigFile) -> Iterator[str]:
    names, who = known_updates()
    if update not in names:
        yield f"{who} knows no update called {update}{did_you_mean(update, names)}"
    databases = found.database_names
    if databases and database not in databases:
        known, hint = ", ".join(sorted(databases)), did_you_mean(database, databases)
        yield f"this server has no database {database}, but {known}{hint}"


def _offline(
    session: Session, update: str, files: tuple[Path, ...], database: str, one_shot: bool
) -> None:
    config, found = parsed(files)
    wall_ms = session.around.wall_ms()
    throttle = Throttle(config, Settings())
    at = Conditions(now_s=0.0, wall_s=wall_ms / 1000)
    answer = explanation(throttle, database, update, one_shot, at)
    lines = [*explanation_lines(answer, wall_ms), Line(f"  {_ONLY_THE_SERVER}")]
    lines += [Line(f"  {text}", "held") for text in _unknown(update, database, found)]
    if found.server_section:
        lines.append(Line(f"  {_LEFT_OUT}"))
    session.show(answer, lines)
