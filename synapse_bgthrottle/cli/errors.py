"""Errors that end the command, each with its exit status."""

import click

from synapse_bgthrottle.cli.render.text import escape

NOT_FINISHED = 5
INTERRUPTED = 130


class CommandError(click.ClickException):
    """Ends the command with lines for people, whatever characters they have."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(escape, lines)))


class NoTerminalError(CommandError):
    """A question, and no terminal on which to ask it."""

    exit_code = 2


class NotAllowedCommandError(CommandError):
    """The server does not take the token, or not for this."""

    exit_code = 3


class UnreachableCommandError(CommandError):
    """The server did not answer."""

    exit_code = 4


class NotFinishedCommandError(CommandError):
    """What was waited for has not come."""

    exit_code = NOT_FINISHED
