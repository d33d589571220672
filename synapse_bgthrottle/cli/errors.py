"""Errors that end the command, each with its exit status."""

import click

NOT_FINISHED = 5
INTERRUPTED = 130


class CommandError(click.ClickException):
    """Ends the command with a message for people."""

    exit_code = 1


class NobodyCommandError(CommandError):
    """A question, and nobody to ask."""

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
