"""What every command that talks to a server has in common: options, client, errors, output."""

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.errors import (
    CommandError,
    NotAllowedCommandError,
    NoTerminalError,
    UnreachableCommandError,
)
from synapse_bgthrottle.cli.inputs.connection_settings import (
    Settings,
    SettingsError,
    default_file,
    gather,
    parse_span_ms,
)
from synapse_bgthrottle.cli.render.text import Line, escape
from synapse_bgthrottle.client import ClientError, errors
from synapse_bgthrottle.codec import to_json

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

COMMON = ("url", "token_file", "settings", "timeout", "output")


@attrs.frozen
class Surroundings:
    """What lies outside the command: the network, clocks, terminals. Tests replace it."""

    transport: Any = None  # httpx's
    sleep: Callable[[float], None] = time.sleep
    monotonic_s: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], float] = lambda: time.time() * 1000
    stdin_is_terminal: Callable[[], bool] = lambda: output.stream_is_terminal("stdin")
    stdout_is_terminal: Callable[[], bool] = lambda: output.stream_is_terminal("stdout")


def span(value: str | int) -> int:
    """The type of an option: milliseconds from `24h`. What is a number already stays it."""
    if isinstance(value, int):
        return value
    try:
        return parse_span_ms(value)
    except ValueError:
        message = f"{value!r} is not a duration with a unit, such as 30s, 2h30m or 24h"
        raise click.BadParameter(message) from None


span_option = functools.partial(click.option, type=span, metavar="DURATION", show_default=True)


@attrs.frozen
class Session:
    """One run of a command; `options`: those of all commands but the output's format."""

    around: Surroundings
    output_format: str
    options: dict[str, Any]

    @property
    def is_human(self) -> bool:
        """Whether people read the output."""
        return self.output_format == "human"

    def settings(self) -> Settings:
        """What is known of the server."""
        timeout_ms = self.options["timeout"]
        try:
            return gather(
                os.environ,
                self.options["url"],
                self.options["token_file"],
                self.options["settings"],
                None if timeout_ms is None else timeout_ms / 1000,
            )
        except SettingsError as error:
            raise CommandError(str(error)) from None

    @contextmanager
    def client(self, *, changes: bool = False) -> "Iterator[Client]":
        """A client of the server; its errors end the command and say whether it made `changes`."""
        from synapse_bgthrottle.client import Client  # noqa: PLC0415 - httpx is slow to import

        known = self.settings()
        if not known.url:
            raise click.UsageError(
                "no server is set: use --url, such as --url https://matrix.example.org, or"
                f" BGTHROTTLE_URL, or `url:` in {self._settings_file()}"
            )
        if not known.token:
            raise click.UsageError(
                "no token is set: use --token-file, BGTHROTTLE_TOKEN, or `token_file:` in"
                f" {self._settings_file()}"
            )
        options: dict[str, Any] = {"prefix": known.prefix or None, "timeout_s": known.timeout_s}
        given = {name: value for name, value in options.items() if value is not None}
        try:
            client = Client(known.url, known.token, transport=self.around.transport, **given)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        except ClientError as error:
            raise failed(error) from None
        with client:
            try:
                yield client
            except ClientError as error:
                raise failed(error, known.token_from, changes=changes) from None

    def _settings_file(self) -> str:
        return escape(str(self.options["settings"] or default_file(os.environ)))

    def show(self, result: Any, lines: Iterable[Line]) -> None:
        """Print a result: its lines, or all of it for programs."""
        if self.is_human:
            output.show(lines)
            return
        output.write(to_json(result), self.output_format)

    def stream(self, result: Any) -> None:
        """Print one of many results: a line of JSON, or a document of YAML."""
        output.write(to_json(result), self.output_format, is_one_of_many=True)

    def confirm(self, question: str, yes: bool) -> None:
        """Ask, unless --yes; without a terminal that is an error."""
        if yes:
            return
        if not self.around.stdin_is_terminal():
            raise NoTerminalError(f"{question} There is no terminal to ask: add --yes")
        try:
            is_agreed = click.confirm(escape(question), err=True)
        except click.Abort as error:
            click.echo(err=True)  # the question's line has not ended
            # click calls Ctrl-C and the end of the input the same; the latter is no yes.
            if not isinstance(error.__context__, EOFError):
                raise KeyboardInterrupt from None
            is_agreed = False
        if not is_agreed:
            raise CommandError("nothing was changed")


def failed(error: ClientError, token_from: str = "", *, changes: bool = False) -> CommandError:
    """How the command ends with an error of the client; `changes`: see `Session.client`."""
    kind = CommandError
    if isinstance(error, (errors.NotAllowedError, errors.NotAdministratorError)):
        kind = NotAllowedCommandError
    elif isinstance(error, errors.UnreachableError) or error.may_pass:
        kind = UnreachableCommandError
    lines = [str(error)]
    if isinstance(error, errors.NotAllowedError) and token_from:
        lines.append(f"  the token came from {token_from}")
    elif isinstance(error, errors.UnreachableError):
        lines.append("  is Synapse running there, and is --url right?")
    if isinstance(error, errors.RefusedError):
        # The server's own words have the first of them already.
        lines.extend(f"  {text}" for text in map(str, error.problems) if text not in lines[0])
    if changes and error.may_be_done:
        lines.append("it may have been done all the same: see `bgthrottle status`, or do it again")
    return kind(*lines)


def common_options(function: Callable[..., Any], with_timeout: bool = True) -> Callable[..., Any]:
    """The options of every command that talks to a server, and of the group itself."""
    path = click.Path(path_type=Path, dir_okay=False)
    timeout = span_option("--timeout", help="Longest wait for an answer; default 30s.")
    for option in (
        output.format_option(),
        *([timeout] if with_timeout else []),
        click.option("--settings", type=path, help="Default: ~/.config/bgthrottle/config.yaml."),
        click.option(
            "--token-file", type=path, help="File with an administrator's token, mode 600."
        ),
        click.option("--url", help="The server, such as https://matrix.example.org."),
    ):
        function = option(function)
    return function


def online(function: Callable[..., None], with_timeout: bool = True) -> Callable[..., Any]:
    """Gives a command the common options, and a Session as its first argument.

    Without `with_timeout` its own --timeout is another one, and the common one stands before it.
    """

    @click.pass_context
    @functools.wraps(function)
    def command(ctx: click.Context, /, **arguments: Any) -> None:
        options = {name: arguments.pop(name, None) for name in COMMON}
        if not with_timeout and ctx.parent is not None:
            options["timeout"] = ctx.parent.params["timeout"]
        around = ctx.find_object(Surroundings) or Surroundings()
        function(Session(around, options.pop("output") or "human", options), **arguments)

    return common_options(command, with_timeout)
