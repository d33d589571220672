"""`bgthrottle explain`: by the server, or offline by a configuration."""

from pathlib import Path

import click

from synapse_bgthrottle.cli.config_check import FILE, parsed
from synapse_bgthrottle.cli.lever_lines import explanation_lines
from synapse_bgthrottle.cli.lines import Line
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.explanation import explanation
from synapse_bgthrottle.holds import Conditions
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.throttle import Throttle

_ONLY_THE_SERVER = "only the server knows of pauses, budgets and pressures"
_LEFT_OUT = "what the module's config leaves out comes from background_updates: there"


@click.command("explain")
@click.argument("update")
@click.option("--config", "file", type=FILE, help="Offline, by homeserver.yaml, say.")
@click.option("--database", default="master", show_default=True, help="The update's database.")
@click.option("--one-shot", is_flag=True, help="The update is one that Synapse flags one-shot.")
@online
def explain_command(
    session: Session, update: str, file: Path | None, database: str, one_shot: bool
) -> None:
    """Tell which limits an update gets, and what would hold it now.

    The server is asked, if one is set, for the configuration it runs with. With --config nobody is
    asked, and windows are all that is known of the moment.

    \b
    Examples:
      bgthrottle explain event_search
      bgthrottle explain event_search --config /etc/matrix-synapse/homeserver.yaml
    """
    if file is not None:
        _offline(session, update, file, database, one_shot)
        return
    if not session.settings().url:
        raise click.UsageError("use --config FILE to ask a configuration, or --url for a server")
    with session.client() as client:
        told = client.explain(update, database, one_shot)
    session.show(told, explanation_lines(told, session.around.wall_ms()))


def _offline(session: Session, update: str, file: Path, database: str, one_shot: bool) -> None:
    from synapse_bgthrottle.client.decoding import decode  # noqa: PLC0415 - takes its time
    from synapse_bgthrottle.client.explanations import Explanation  # noqa: PLC0415

    config, found = parsed(file)
    wall_ms = session.around.wall_ms()
    throttle = Throttle(config, Settings())
    at = Conditions(now_s=0.0, wall_s=wall_ms / 1000)
    told = decode(Explanation, explanation(throttle, database, update, one_shot, at))
    lines = [*explanation_lines(told, wall_ms), Line(f"  {_ONLY_THE_SERVER}")]
    if found.server_section:
        lines.append(Line(f"  {_LEFT_OUT}"))
    session.show(told, lines)
