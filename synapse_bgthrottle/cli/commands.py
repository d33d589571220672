"""What the command does offline: check a configuration, explain what it means for an update."""

import math
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.cli.config_file import ConfigFile, NotAConfigError, read_config_file
from synapse_bgthrottle.config import Config, InvalidConfigError, parse
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.quirks import LEAST_BATCH_ITEMS
from synapse_bgthrottle.state import UpdateState
from synapse_bgthrottle.telling import describe
from synapse_bgthrottle.throttle import Throttle
from synapse_bgthrottle.units import format_duration_ms, format_ratio
from synapse_bgthrottle.windows import is_open, next_opening_s

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgthrottle")
def bgthrottle() -> None:
    """Throttling of Synapse's background updates.

    Both commands work offline, on homeserver.yaml or on a file with the module's `config:` alone.
    Exit status: 0 ok, 1 a problem was found, 2 wrong usage.
    """


@bgthrottle.command("check-config")
@click.argument("file", type=_FILE)
def check_config(file: Path) -> None:
    """Check the module's configuration in FILE, before a restart of the server.

    \b
    Example:
      bgthrottle check-config /etc/matrix-synapse/homeserver.yaml
    """
    config, _ = _parsed(file)
    rules = f"{len(config.rules)} rules" if len(config.rules) != 1 else "1 rule"
    click.echo(f"{file}: ok, {rules}")


@bgthrottle.command()
@click.argument("update")
@click.option("--config", "file", type=_FILE, required=True, help="homeserver.yaml, say.")
@click.option("--database", default="master", show_default=True, help="The update's database.")
@click.option("--one-shot", is_flag=True, help="The update is one that Synapse flags one-shot.")
def explain(update: str, file: Path, database: str, one_shot: bool) -> None:
    """Tell which rule and which limits UPDATE gets, and whether a window holds it now.

    \b
    Example:
      bgthrottle explain event_search --config /etc/matrix-synapse/homeserver.yaml
    """
    config, found = _parsed(file)
    throttle = Throttle(config, Settings())
    throttle.begin(database, update, one_shot, now_s=0.0)
    state = throttle.updates[database, update]
    click.echo(f"{update} in {database}: {describe(state)}")
    for line in _details(update, state):
        click.echo(f"  {line}")
    if found.has_server_settings:
        click.echo("  what the module's config leaves out comes from background_updates: there")


def _details(update: str, state: UpdateState) -> list[str]:
    limits = state.limits
    lines = list(_adaptive(state)) if state.is_adaptive else []
    if not state.one_shot:
        most = "any" if limits.max_batch_items == math.inf else limits.max_batch_items
        lines.append(
            f"batch size: first {limits.default_batch_items}, at least {limits.min_batch_items},"
            f" at most {most}"
        )
    if update in LEAST_BATCH_ITEMS:
        lines.append(f"its batches never have less than {LEAST_BATCH_ITEMS[update]} items")
    if limits.windows:
        now_s = time.time()
        zone = limits.time_zone
        if is_open(limits.windows, zone, now_s):
            lines.append("windows: open now")
        else:
            opens_s = next_opening_s(limits.windows, zone, now_s)
            when = "" if opens_s is None else f"{datetime.fromtimestamp(opens_s, zone):%c %Z}"
            lines.append(f"windows: closed now, next open {when or 'not within two weeks'}")
    return lines


def _adaptive(state: UpdateState) -> Iterator[str]:
    limits, profile = state.limits, state.profile
    if math.isinf(profile.tolerance_ratio):
        yield f"profile {limits.profile}: no rest, whatever it does to clients"
        return
    yield (
        f"profile {limits.profile}: among clients, whose requests may be"
        f" {format_ratio(profile.tolerance_ratio)} slower, a duty cycle of"
        f" {format_ratio(profile.start_duty_ratio)} at first, then by what is measured,"
        f" {format_ratio(limits.min_duty_ratio)} to {format_ratio(limits.max_duty_ratio)}"
    )
    yield (
        f"without clients for {format_duration_ms(profile.quiet_after_s * 1000)}: a duty cycle of"
        f" {format_ratio(limits.max_duty_ratio)}"
    )


def _parsed(file: Path) -> tuple[Config, ConfigFile]:
    try:
        found = read_config_file(file)
        return parse(found.raw), found
    except NotAConfigError as error:
        raise click.ClickException(f"{file}: {error}") from None
    except InvalidConfigError as error:
        for problem in error.problems:
            line, column = found.position(problem.path)
            path = ".".join((*found.path, *problem.path))
            where = f"{path}: " if path else ""
            click.echo(f"{file}:{line}:{column}: {where}{problem.message}", err=True)
        raise click.exceptions.Exit(1) from None
