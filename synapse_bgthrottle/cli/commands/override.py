"""`bgthrottle release` and `bgthrottle set`."""

import json
from collections.abc import Mapping
from typing import Any

import click

from synapse_bgthrottle.cli import options, output
from synapse_bgthrottle.cli.commands.pause import show_nothing_to_end
from synapse_bgthrottle.cli.options import (
    database_option,
    for_a_day_option,
    for_option,
    is_wide,
    kept_reason_option,
    update_argument,
    yes_option,
)
from synapse_bgthrottle.cli.render.levers import answer_lines
from synapse_bgthrottle.cli.render.text import duration
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.client.errors import NotFoundError
from synapse_bgthrottle.core.config.keys import KEYS


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
    session.show(answer, answer_lines(answer, session.around.wall_ms()))


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
                show_nothing_to_end(session, client, str(error))
                return
        else:
            _warn(settings)
            answer = client.override(update, settings, duration=span_ms, **lever)
    session.show(answer, answer_lines(answer, session.around.wall_ms()))


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
