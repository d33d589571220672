"""The command `bgthrottle`: its commands by name, each in a module that is imported when used."""

import click

from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.cli.lazy import LazyCommands, LazyGroup
from synapse_bgthrottle.cli.session import COMMON, common_options

# Name, module, and the first line of its help, which is told without importing it.
_COMMANDS = (
    ("status", "status", "Tell what every database is at, and what holds it."),
    ("watch", "watch", "Follow the updates until Ctrl-C, or until they are done."),
    ("wait", "wait", "Wait until nothing is pending."),
    ("check", "check", "Tell whether it is safe to upgrade now."),
    ("pause", "pause", "Stop updates for a while."),
    ("resume", "pause", "End pauses."),
    ("release", "override", "Let a pending update go once, whatever windows say."),
    ("set", "override", "Put other settings in force for a while."),
    ("run", "run", "Put one of Synapse's own jobs into the queue."),
    ("history", "status", "Tell how updates went, or who used which lever."),
    ("explain", "explain", "Tell which limits an update gets, and what would hold it now."),
    ("forecast", "forecast", "Tell when updates will be done, and what else would cost."),
    ("check-config", "check_config", "Check the module's configuration, before a restart."),
)


@click.group(
    cls=LazyGroup,
    commands=LazyCommands({name: module for name, module, _ in _COMMANDS}),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options
@click.version_option(__version__, prog_name="bgthrottle")
def bgthrottle(**common: object) -> None:
    """Throttling of Synapse's background updates.

    All commands but check-config talk to a server, as one of its administrators; explain and
    forecast need none with --config. Those that Synapse itself can answer work without the module
    too. Exit status: 0 ok, 1 error, 2 wrong usage, 3 not allowed, 4 unreachable, 5 not finished or
    paused.
    """
    given = {name: common[name] for name in COMMON if common[name] is not None}
    # An option may stand before the command or behind it; behind it counts.
    click.get_current_context().default_map = {name: given for name, _, _ in _COMMANDS}


assert isinstance(bgthrottle, LazyGroup)
bgthrottle.summaries = {name: summary for name, _, summary in _COMMANDS}
