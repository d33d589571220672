"""What the shell completes: names of updates, and the settings of `bgthrottle set`."""

import click

from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.update_names import UPDATE_NAMES
from synapse_bgthrottle.core.levers.request import OVERRIDE_KEYS

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
