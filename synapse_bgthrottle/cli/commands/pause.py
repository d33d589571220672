"""`bgthrottle pause` and `bgthrottle resume`, with or without the module."""

from typing import TYPE_CHECKING, Any

import click

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.errors import CommandError
from synapse_bgthrottle.cli.options import (
    database_option,
    for_a_day_option,
    is_wide,
    kept_reason_option,
    reason_option,
    update_or_all_argument,
    yes_option,
)
from synapse_bgthrottle.cli.render.levers import answer_lines
from synapse_bgthrottle.cli.render.status import why
from synapse_bgthrottle.cli.render.text import Line, duration
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.client.errors import NoModuleError, NotFoundError
from synapse_bgthrottle.schema import LeverAnswer

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

_UNENDING = (
    "The module does not answer here. Synapse's own switch has NO END, is FORGOTTEN at a restart,"
    " and shows no author and no reason."
)


@click.command("pause")
@update_or_all_argument
@for_a_day_option
@database_option
@reason_option(help="Why; shown in the status while it holds.")
@yes_option
@online
def pause_command(session: Session, update: str, yes: bool, **lever: Any) -> None:
    """Stop updates for a while.

    UPDATE is a name, or a glob such as 'event_*'. Without it all are stopped, after a question. A
    batch or an index build that has begun ends first. The pause survives restarts, and ends by
    itself. Without the module, Synapse's own switch is used, which does neither.

    \b
    Examples:
      bgthrottle pause --for 2h --reason "load test"
      bgthrottle pause event_search
    """
    if is_wide(update):
        session.confirm(f"Stop all updates for {duration(lever['duration'])}?", yes)
    with session.client(changes=True) as client:
        try:
            answer = client.pause(update, **lever)
        except NoModuleError as error:
            if not is_wide(update) or lever["database"]:
                hint = "without the module only all updates can be stopped"
                raise CommandError(f"{error}; {hint}") from None
            _switch_off(session, client, yes)
            return
    session.show(answer, answer_lines(answer, session.around.wall_ms()))


@click.command("resume")
@update_or_all_argument
@database_option
@kept_reason_option
@online
def resume_command(session: Session, update: str, **lever: Any) -> None:
    """End pauses.

    UPDATE is a name or a glob: pauses that it equals or matches end. Without it all end. Then
    Synapse's own switch is turned on too, which also starts updates that Synapse gave up or does
    not work on. If nothing is paused, it says so, which is not an error.

    \b
    Example:
      bgthrottle resume event_search
    """
    is_all = is_wide(update) and not lever["database"]
    with session.client(changes=True) as client:
        try:
            answer = client.resume(update, **lever)
        except NotFoundError as error:
            if is_all and _needs_switch(client):
                _switch_on(session, client)
            else:
                show_nothing_to_end(session, client, str(error))
            return
        except NoModuleError as error:
            if not is_all:
                hint = "without the module all updates go on, or none"
                raise CommandError(f"{error}; {hint}") from None
            _switch_on(session, client)
            return
        session.show(answer, answer_lines(answer, session.around.wall_ms()))
        if is_all and _needs_switch(client):
            switched = client.set_enabled(True)
            output.say(f"background updates are switched {'on' if switched else 'off'}")


def show_nothing_to_end(session: Session, client: "Client", said: str) -> None:
    """There was nothing to end: show that, and what holds updates if something does."""
    status = client.throttle_status()
    held = [database for database in status.databases if database.state == "held"]
    lines = [Line(said), *(Line(f"{each.name}: {why(each)}", "held") for each in held)]
    session.show(LeverAnswer(in_force=status.levers), lines)


def _needs_switch(client: "Client") -> bool:
    status = client.throttle_status()
    return not status.enabled or any(
        database.state in ("aborted", "stopped", "disabled") for database in status.databases
    )


def _switch_off(session: Session, client: "Client", yes: bool) -> None:
    session.confirm(f"{_UNENDING} Switch all updates off?", yes)
    enabled = client.set_enabled(False)
    output.show([Line(f"WARNING: {_UNENDING}", "problem")], err=True)
    text = "background updates are switched off; to put them on: bgthrottle resume"
    session.show({"enabled": enabled}, [Line(text)])


def _switch_on(session: Session, client: "Client") -> None:
    enabled = client.set_enabled(True)
    session.show({"enabled": enabled}, [Line("background updates are switched on")])
