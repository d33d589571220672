"""`bgthrottle check-config`, offline."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from synapse_bgthrottle import remarks
from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.config_file import ConfigFile, NotAConfigError, read_config_files
from synapse_bgthrottle.cli.lines import Line
from synapse_bgthrottle.config import Config, parse
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.problems import InvalidConfigError
from synapse_bgthrottle.throttle import Throttle

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FILES = click.Path(exists=True, path_type=Path)


@attrs.frozen
class _Found:
    """What is told of a configuration.

    Attributes:
        config: None: it has problems.
        file: what it was read from; None: it could not be.
        problems: with the place of each.
        warnings: of what is accepted, and is probably not meant.
    """

    config: Config | None
    file: ConfigFile | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@click.command("check-config")
@click.argument("files", metavar="FILE...", type=_FILES, nargs=-1, required=True)
@click.option("-o", "--output", "output_format", type=click.Choice(output.FORMATS))
@click.pass_context
def check_config_command(
    ctx: click.Context, files: tuple[Path, ...], output_format: str | None
) -> None:
    """Check the module's configuration, before a restart.

    FILE is homeserver.yaml, or a file with the module's `config:` alone; several files, and a
    folder such as conf.d, are read as Synapse reads them. Every problem is told with its line and
    column.

    \b
    Example:
      bgthrottle check-config /etc/matrix-synapse/homeserver.yaml /etc/matrix-synapse/conf.d
    """
    output_format = output_format or (ctx.default_map or {}).get("output") or "human"
    found = _check(list(_all(files)))
    names = ", ".join(map(str, files))
    if output_format != "human":
        told = {
            "ok": found.config is not None,
            "rules": None if found.config is None else len(found.config.rules),
            "problems": list(found.problems),
            "warnings": list(found.warnings),
        }
        output.write(told, output_format)
    else:
        output.show(map(Line, found.problems), err=True)
        output.show(Line(f"warning: {warning}", "held") for warning in found.warnings)
        if found.config is not None:
            count = len(found.config.rules)
            output.show([Line(f"{names}: ok, {count} {'rule' if count == 1 else 'rules'}")])
    if found.config is None:
        raise click.exceptions.Exit(1)


def parsed(file: Path) -> tuple[Config, ConfigFile]:
    """The configuration in a file; its problems end the command."""
    found = _check([file])
    if found.config is None or found.file is None:
        output.show(map(Line, found.problems), err=True)
        raise click.exceptions.Exit(1)
    return found.config, found.file


def _all(files: tuple[Path, ...]) -> Iterator[Path]:
    for file in files:
        if file.is_dir():
            inside = (each for each in file.iterdir() if each.name.endswith(".yaml"))
            yield from sorted(each for each in inside if each.is_file())
        else:
            yield file


def _check(files: list[Path]) -> _Found:
    if not files:
        return _Found(None, None, ("the folder has no .yaml files",))
    try:
        file = read_config_files(files)
    except NotAConfigError as error:
        return _Found(None, None, (str(error),))
    problems = []
    for key in file.misplaced:
        line, column = file.position_beside(key)
        problems.append(
            f"{file.file}:{line}:{column}: {key} stands beside `module:`, where it has no effect;"
            " accepted is below `config:`"
        )
    try:
        config = parse(file.raw)
    except InvalidConfigError as error:
        for problem in error.problems:
            line, column = file.position(problem.path)
            path = ".".join((*file.path, *problem.path))
            where = f"{path}: " if path else ""
            problems.append(f"{file.file}:{line}:{column}: {where}{problem.message}")
        return _Found(None, file, tuple(problems))
    if problems:
        return _Found(None, file, tuple(problems))
    return _Found(config, file, (), tuple(_warnings(config, file)))


def _warnings(config: Config, file: ConfigFile) -> Iterator[str]:
    for ignored in file.ignored:
        yield f"{ignored}: is empty, or no mapping, and Synapse ignores it"
    yield from remarks.too_small(config, Throttle(config, Settings()).limits_of, "master")
    yield from remarks.secrets(config)
    if file.is_sqlite:
        yield from remarks.unobservable_on_sqlite(config)
