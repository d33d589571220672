"""The command `bgthrottle`: commands that are imported when used, and errors without tracebacks."""

import errno
import os
from importlib import import_module

import click

from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.cli.errors import INTERRUPTED, CommandError
from synapse_bgthrottle.cli.session import COMMON, common_options

# By name: the module, and the first line of the help, which is shown without importing it.
_COMMANDS = {
    "status": ("status", "Show what runs, what waits, and what is wrong."),
    "watch": ("follow", "Follow the updates until Ctrl-C, or until they are done."),
    "wait": ("follow", "Wait until nothing is pending."),
    "check": ("follow", "Say whether it is safe to upgrade now."),
    "pause": ("levers", "Stop updates for a while."),
    "resume": ("levers", "End pauses."),
    "release": ("levers", "Let a pending update run once, despite closed windows."),
    "set": ("levers", "Change settings for a while."),
    "run": ("run", "Put one of Synapse's own jobs into the queue."),
    "history": ("status", "Show how updates went, or who did what."),
    "explain": ("explain", "Show which limits an update gets, and what would hold it now."),
    "forecast": ("forecast", "Estimate when updates will be done."),
    "check-config": ("check_config", "Check the module's configuration, before a restart."),
}
SUMMARIES = {name: summary for name, (_, summary) in _COMMANDS.items()}

_OF_OUTPUT = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


def command_of(name: str) -> click.Command:
    """A command, imported. In its module it is `NAME_command`, with underscores for dashes."""
    module = import_module(f"synapse_bgthrottle.cli.commands.{_COMMANDS[name][0]}")
    command: click.Command = getattr(module, f"{name.replace('-', '_')}_command")
    return command


class LazyGroup(click.Group):
    """A group whose help needs none of its commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the help."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imported when asked for."""
        return command_of(cmd_name) if cmd_name in SUMMARIES else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; only developers are shown a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.exceptions.Abort):
            raise
        except ImportError as error:
            message = f"{error}; install it with pip install 'synapse-bgthrottle[cli]'"
            raise CommandError(message) from None
        except Exception as error:
            if os.environ.get("BGTHROTTLE_DEBUG"):
                raise
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends quietly when the reader is gone
            raise _for_people(error) from None


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options
@click.version_option(__version__, prog_name="bgthrottle")
def bgthrottle(**common: object) -> None:
    """Show and control Synapse's background updates.

    Commands ask a server, with an administrator's token. check-config needs no server; explain and
    forecast need none with --config. Most commands also work on a server without the module.

    Exit status: 0 ok, 1 error, 2 wrong usage, 3 not allowed, 4 unreachable, 5 not finished or
    paused.
    """
    given = {name: common[name] for name in COMMON if common[name] is not None}
    # An option may stand before the command or behind it; behind it counts.
    click.get_current_context().default_map = dict.fromkeys(SUMMARIES, given)


def is_of_output(error: OSError) -> bool:
    """Whether what was to be printed could not be: no name of a file comes with that."""
    return error.filename is None and error.errno in _OF_OUTPUT


def unwritten(error: OSError) -> str:
    """What to say of it."""
    why = "it is closed" if error.errno == errno.EBADF else error.strerror
    return f"the output cannot be written: {why}"


def _for_people(error: Exception) -> click.ClickException:
    """What is shown instead of a traceback."""
    if isinstance(error, OSError) and is_of_output(error):
        return CommandError(unwritten(error))
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return click.UsageError(f"{error.object!r} is not text in UTF-8")
    what = f"{type(error).__name__}: {error}"
    return CommandError(f"internal error: {what}; BGTHROTTLE_DEBUG=1 shows where")
