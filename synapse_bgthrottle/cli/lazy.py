"""Commands that are imported when they are used, and errors without tracebacks."""

import errno
import os
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click

from synapse_bgthrottle.cli.errors import INTERRUPTED, CommandError
from synapse_bgthrottle.cli.render.text import escape

_OF_OUTPUT = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


def is_of_output(error: OSError) -> bool:
    """Whether what was to be printed could not be: no name of a file comes with that."""
    return error.filename is None and error.errno in _OF_OUTPUT


def unwritten(error: OSError) -> str:
    """What to tell of it."""
    why = "it is closed" if error.errno == errno.EBADF else error.strerror
    return f"the output cannot be written: {why}"


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name; each is imported from its module when it is asked for.

    The attribute in the module has the command's name, with an underscore where that has a dash
    and one at its end.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        """`modules` are the names of the modules by that of the command."""
        self._modules = dict(modules)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module = import_module(f"synapse_bgthrottle.cli.commands.{self._modules[name]}")
            self._loaded[name] = getattr(module, f"{name.replace('-', '_')}_command")
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._modules[name] = ""
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._modules[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules


class LazyGroup(click.Group):
    """A group whose help needs none of its commands.

    Attributes:
        summaries: the first line of each command's help, by name.
    """

    summaries: Mapping[str, str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are told of."""
        return list(self.summaries)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; nobody but a developer is shown a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.exceptions.Abort):
            raise
        except ImportError as error:
            message = f"{error}; install it with pip install 'synapse-bgthrottle[cli]'"
            raise CommandError(escape(message)) from None
        except Exception as error:
            if os.environ.get("BGTHROTTLE_DEBUG"):
                raise
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends quietly when nobody reads any more
            raise _for_people(error) from None


def _for_people(error: Exception) -> click.ClickException:
    """What is told instead of a traceback."""
    if isinstance(error, OSError) and is_of_output(error):
        return CommandError(unwritten(error))
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return click.UsageError(f"{error.object!r} is not text in UTF-8")
    what = escape(f"{type(error).__name__}: {error}")
    return CommandError(f"an error of its own: {what}; BGTHROTTLE_DEBUG=1 shows where")
