"""`bgthrottle pause`, `resume`, `release` and `set`; the first two also without the module."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from synapse_bgthrottle.cli import options, output
from synapse_bgthrottle.cli.errors import CommandError
from synapse_bgthrottle.cli.options import (
    database_option,
    for_a_day_option,
    for_option,
    is_wide,
    kept_reason_option,
    reason_option,
    update_argument,
    update_or_all_argument,
    yes_option,
)
from synapse_bgthrottle.cli.render.levers import answer_lines
from synapse_bgthrottle.cli.render.status import why
from synapse_bgthrottle.cli.render.text import Line, duration
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.client.errors import NoModuleError, NotFoundError
from synapse_bgthrottle.core.config.keys import KEYS
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
    _show(session, answer)


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
                _show_nothing_to_end(session, client, str(error))
            return
        except NoModuleError as error:
            if not is_all:
                hint = "without the module all updates go on, or none"
                raise CommandError(f"{error}; {hint}") from None
            _switch_on(session, client)
            return
        _show(session, answer)
        if is_all and _needs_switch(client):
            switched = client.enabled(True)
            output.say(f"background updates are switched {'on' if switched else 'off'}")


def _show(session: Session, answer: LeverAnswer) -> None:
    session.show(answer, answer_lines(answer, session.around.wall_ms()))


def _show_nothing_to_end(session: Session, client: "Client", said: str) -> None:
    """Show that, and what holds updates if something does."""
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
    enabled = client.enabled(False)
    output.show([Line(f"WARNING: {_UNENDING}", "problem")], err=True)
    text = "background updates are switched off; to put them on: bgthrottle resume"
    session.show({"enabled": enabled}, [Line(text)])


def _switch_on(session: Session, client: "Client") -> None:
    enabled = client.enabled(True)
    session.show({"enabled": enabled}, [Line("background updates are switched on")])


@click.command("release")
@update_argument
@for_a_day_option
@database_option
@kept_reason_option
@yes_option
@online
def release_command(session: Session, update: str, yes: bool, **lever: Any) -> None:
    """Let a pending update run once, despite closed windows.

    UPDATE is a name or a glob. What it matches is no longer held by closed windows, a required
    approval, the wait for calm before a one-shot, and budgets. Four budgets still hold it:
    disk_free, pause_file, http and sql. For all updates ('*') it asks first.

    \b
    Example:
      bgthrottle release event_search_postgres_gin --reason "maintenance tonight"
    """
    if is_wide(update):
        session.confirm("Release all pending updates?", yes)
    with session.client(changes=True) as client:
        answer = client.release(update, **lever)
    _show(session, answer)


@click.command("set")
@update_argument
@click.argument("settings_given", metavar="KEY=VALUE...", nargs=-1, shell_complete=options.settings)
@click.option("--reset", is_flag=True, help="End overrides and releases that UPDATE matches.")
@for_option(help="1s to 30d; default 24h.")
@database_option
@kept_reason_option
@yes_option
@online
def set_command(
    session: Session,
    update: str,
    settings_given: tuple[str, ...],
    reset: bool,
    yes: bool,
    **lever: Any,
) -> None:
    """Change settings for a while.

    Keys and values are those of a rule in the module's configuration. UPDATE is a name or a glob.
    For all updates ('*') it asks first. A key that is already set for the same UPDATE is replaced.
    If --reset finds nothing to end, it says so, which is not an error.

    \b
    Examples:
      bgthrottle set event_search profile=finish --for 2h
      bgthrottle set 'event_*' duty_cycle=5% max_batch_size=200
      bgthrottle set event_search --reset
    """
    for_ms = lever.pop("duration")
    if reset and (settings_given or for_ms is not None):
        raise click.UsageError("--reset takes neither KEY=VALUE nor --for")
    if not settings_given and not reset:
        if "=" in update:
            raise click.UsageError(f"name the update: bgthrottle set NAME {update} ('*': all)")
        raise click.UsageError("give KEY=VALUE, such as profile=finish, or --reset")
    settings = dict(_setting(text) for text in settings_given)
    span_ms = 24 * 3_600_000 if for_ms is None else for_ms
    if is_wide(update) and not reset:
        texts = " ".join(settings_given)
        session.confirm(f"Set {texts} for all updates for {duration(span_ms)}?", yes)
    with session.client(changes=True) as client:
        if reset:
            try:
                answer = client.reset(update, **lever)
            except NotFoundError as error:
                _show_nothing_to_end(session, client, str(error))
                return
        else:
            _warn(settings)
            answer = client.override(update, settings, duration=span_ms, **lever)
    _show(session, answer)


def _warn(settings: Mapping[str, Any]) -> None:
    """Warn about values that the server accepts and that are probably mistakes."""
    for key, value in settings.items():
        doubt = KEYS[key].doubt(value) if key in KEYS else ""
        if doubt:
            output.say(f"warning: {key}: {doubt}")


def _setting(text: str) -> tuple[str, Any]:
    """Read a value as the configuration's YAML would, if that is something JSON has.

    But `off`, which YAML takes for false, stays as people wrote it: others will read it.
    """
    import yaml  # noqa: PLC0415

    key, is_there, value = text.partition("=")
    if not is_there or not key.isidentifier():
        raise click.UsageError(f"{text!r} is not KEY=VALUE, such as profile=finish")
    if value == "off":
        return key, value
    try:
        read = yaml.safe_load(value)
        json.dumps(read, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return key, value  # `*` starts an alias in YAML: the server says what it makes of it
    return key, read
