"""Options that several commands have, and what the shell completes."""

from functools import partial
from pathlib import Path

import click

from synapse_bgthrottle.cli.session import span
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.update_names import UPDATE_NAMES
from synapse_bgthrottle.core.levers.request import LONGEST_MS, OVERRIDE_KEYS, SHORTEST_MS

# Values that are words; all others are numbers, spans or lists.
_WORDS = {
    "profile": tuple(PROFILES),
    "duty_cycle": ("adaptive",),
    "max_items_per_second": ("off",),
    "max_batch_size": ("off",),
    "windows": ("always",),
}


def updates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of Synapse's updates; no server is asked."""
    return sorted(name for name in UPDATE_NAMES if name.startswith(incomplete))


def settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Keys with their `=`, and behind that the words that the key takes."""
    key, equals, value = incomplete.partition("=")
    if equals:
        return [f"{key}={word}" for word in _WORDS.get(key, ()) if word.startswith(value)]
    return [f"{each}=" for each in OVERRIDE_KEYS if each.startswith(key)]


def lever_span(value: str | int) -> int:
    """The type of --for: as `span`, within what the server takes; errors quote the words given."""
    span_ms = span(value)
    if not SHORTEST_MS <= span_ms <= LONGEST_MS:
        raise click.BadParameter(f"{value!r} is not between 1s and 30d")
    return span_ms


# These three have the names of the client's arguments.
for_option = partial(click.option, "--for", "duration", type=lever_span, metavar="DURATION")
reason_option = partial(click.option, "--reason", default="")
kept_reason_option = reason_option(help="Why; shown in `history --uses`.")
update_argument = click.argument("update", shell_complete=updates)
update_or_all_argument = click.argument("update", default="*", shell_complete=updates)
for_a_day_option = for_option(default="24h", show_default=True, help="1s to 30d.")
database_option = click.option("--database", help="Only in this database.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
# Of commands that can do without a server.
config_option = click.option(
    "--config",
    "files",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Offline: a file such as homeserver.yaml, or a folder. May be repeated.",
)


def is_wide(update: str) -> bool:
    """Whether the pattern matches every name."""
    return "*" in update and set(update) <= {"*"}
