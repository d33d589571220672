"""`bgthrottle explain`: by the server, or offline by a configuration."""

import math
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from synapse_bgthrottle.cli.config_check import FILE, parsed
from synapse_bgthrottle.cli.lever_lines import explanation_lines
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.quirks import LEAST_BATCH_ITEMS
from synapse_bgthrottle.state import UpdateState
from synapse_bgthrottle.telling import describe
from synapse_bgthrottle.throttle import Throttle
from synapse_bgthrottle.units import format_duration_ms, format_ratio
from synapse_bgthrottle.windows import is_open, next_opening_s


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
        _offline(update, file, database, one_shot)
        return
    if not session.settings().url:
        raise click.UsageError("use --config FILE to ask a configuration, or --url for a server")
    with session.client() as client:
        told = client.explain(update, database, one_shot)
    session.show(told, explanation_lines(told, session.around.wall_ms()))


def _offline(update: str, file: Path, database: str, one_shot: bool) -> None:
    config, found = parsed(file)
    throttle = Throttle(config, Settings())
    throttle.begin(database, update, one_shot, now_s=0.0)
    state = throttle.updates[database, update]
    click.echo(f"{update} in {database}: {describe(state)}")
    for line in _details(update, state):
        click.echo(f"  {line}")
    if found.has_server_settings:
        click.echo("  what the module's config leaves out comes from background_updates: there")


def _details(update: str, state: UpdateState) -> Iterator[str]:
    limits = state.limits
    if state.is_adaptive:
        yield from _adaptive(state)
    if not state.one_shot:
        most = "any" if limits.max_batch_items == math.inf else limits.max_batch_items
        yield (
            f"batch size: first {limits.default_batch_items}, at least {limits.min_batch_items},"
            f" at most {most}"
        )
    if update in LEAST_BATCH_ITEMS:
        yield f"its batches never have less than {LEAST_BATCH_ITEMS[update]} items"
    yield from _windows(state)


def _windows(state: UpdateState) -> Iterator[str]:
    limits, now_s = state.limits, time.time()
    zone = limits.time_zone
    if not limits.windows or is_open(limits.windows, zone, now_s):
        if limits.windows:
            yield "windows: open now"
        yield "would be held now by nothing in the configuration"
    else:
        opens_s = next_opening_s(limits.windows, zone, now_s)
        when = "" if opens_s is None else f"{datetime.fromtimestamp(opens_s, zone):%c %Z}"
        yield f"windows: closed now, next open {when or 'not within two weeks'}"
        longest = format_duration_ms(limits.max_hold_ms)
        yield f"would be held now by window, for {longest} at most"
    yield "only the server knows of pauses, budgets and pressures"


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
