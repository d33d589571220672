"""`bgthrottle check-config`, offline."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
import click

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.inputs.config_file import (
    MODULE,
    ConfigFile,
    Entry,
    NotAConfigError,
    Place,
    read_config_files,
)
from synapse_bgthrottle.cli.inputs.synapse_source import known_updates
from synapse_bgthrottle.cli.render.text import Line
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError, Problem
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.core.scheduling.throttle import Throttle

FILE = click.Path(exists=True, path_type=Path)


@attrs.frozen
class _Found:
    """A configuration, or its problems; warnings: of what is accepted, and probably not meant."""

    config: Config | None
    file: ConfigFile | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@click.command("check-config")
@click.argument("files", metavar="FILE...", type=FILE, nargs=-1, required=True)
@output.format_option("output_format")
@click.pass_context
def check_config_command(
    ctx: click.Context, files: tuple[Path, ...], output_format: str | None
) -> None:
    """Check the module's configuration, before a restart.

    FILE is homeserver.yaml, or a file with the module's `config:` alone. Several files, and a
    folder such as conf.d, are read as Synapse reads them. Each problem has its line and column.

    \b
    Example:
      bgthrottle check-config /etc/matrix-synapse/homeserver.yaml /etc/matrix-synapse/conf.d
    """
    output_format = output_format or (ctx.default_map or {}).get("output") or "human"
    found = _check(list(_all(files)))
    names = ", ".join(map(str, files))
    rules = None if found.config is None else len(found.config.rules)
    if output_format != "human":
        result = {"ok": rules is not None, "rules": rules}
        lists = {"problems": list(found.problems), "warnings": list(found.warnings)}
        output.write({**result, **lists}, output_format)
    else:
        output.show(map(Line, found.problems), err=True)
        output.show(Line(f"warning: {warning}", "held") for warning in found.warnings)
        if rules is not None:
            output.show([Line(f"{names}: ok, {rules} {'rule' if rules == 1 else 'rules'}")])
    if found.config is None:
        raise click.exceptions.Exit(1)


def parsed(files: Sequence[Path]) -> tuple[Config, ConfigFile]:
    """The configuration in files and folders; its problems end the command."""
    found = _check(list(_all(files)))
    if found.config is None or found.file is None:
        output.show(map(Line, found.problems), err=True)
        raise click.exceptions.Exit(1)
    return found.config, found.file


def _all(files: Sequence[Path]) -> Iterator[Path]:
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
    problems = list(_of_file(file))
    configs = []
    for entry in file.entries:
        try:
            configs.append(parse(entry.raw))
        except InvalidConfigError as error:
            problems += _below(file, entry, error.problems)
    if problems:
        return _Found(None, file, tuple(_in_order(file, problems)))
    return _Found(configs[0], file, (), tuple(_warnings(configs[0], file)))


_Placed: TypeAlias = tuple[Place, str]


def _below(file: ConfigFile, entry: Entry, problems: Iterable[Problem]) -> Iterator[_Placed]:
    for problem in problems:
        path = (*entry.path, *problem.path)
        yield file.position(path), str(Problem(path, problem.message))


def _in_order(file: ConfigFile, placed: Iterable[_Placed]) -> Iterator[str]:
    for (line, column), text in sorted(placed, key=lambda each: each[0]):
        yield f"{file.file}:{line}:{column}: {text}"


def _of_file(file: ConfigFile) -> Iterator[_Placed]:
    """What is wrong with how it stands in the file, which its values do not show."""
    for each in file.doubled():
        first, again = each.first[0], each.again[0]
        where = f"in lines {first} and {again}" if first != again else f"twice in line {again}"
        yield each.again, f"{each.key} stands {where}; YAML keeps only the last: remove one"
    for entry in file.entries:
        for key in entry.misplaced:
            yield (
                file.position((*entry.path[:-1], key)),
                f"{key} stands beside `module:`, where it has no effect: move it below `config:`",
            )
    lines = [file.position(entry.path[:-1]) for entry in file.entries]
    for place in lines[1:]:
        yield (
            place,
            f"{MODULE} is listed in lines {lines[0][0]} and {place[0]}, and only the first has an"
            " effect: remove one",
        )


def _warnings(config: Config, file: ConfigFile) -> Iterator[str]:
    for ignored in file.ignored:
        yield f"{ignored}: is empty or not a mapping, so Synapse ignores it"
    doubts = list(config.doubts)
    if any(rule.patterns for rule in config.rules):
        doubts += config_warnings.unknown_names(config, *known_updates())
    doubts += config_warnings.unknown_databases(config, file.database_names)
    yield from _in_order(file, _below(file, file.entries[0], doubts))
    yield from config_warnings.too_small(config, Throttle(config, Settings()).limits.of, "master")
    yield from config_warnings.secrets(config)
    if file.is_sqlite:
        yield from config_warnings.unobservable_on_sqlite(config)
