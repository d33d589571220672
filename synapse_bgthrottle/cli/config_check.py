"""`bgthrottle check-config`, offline."""

from pathlib import Path

import click

from synapse_bgthrottle.cli.config_file import ConfigFile, NotAConfigError, read_config_file
from synapse_bgthrottle.config import Config, InvalidConfigError, parse

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("check-config")
@click.argument("file", type=FILE)
def check_config_command(file: Path) -> None:
    """Check the module's configuration, before a restart.

    FILE is homeserver.yaml, or a file with the module's `config:` alone. Every problem is told with
    its line and column.

    \b
    Example:
      bgthrottle check-config /etc/matrix-synapse/homeserver.yaml
    """
    config, _ = parsed(file)
    rules = f"{len(config.rules)} rules" if len(config.rules) != 1 else "1 rule"
    click.echo(f"{file}: ok, {rules}")


def parsed(file: Path) -> tuple[Config, ConfigFile]:
    """The configuration in a file; its problems end the command."""
    try:
        found = read_config_file(file)
        return parse(found.raw), found
    except NotAConfigError as error:
        raise click.ClickException(f"{file}: {error}") from None
    except InvalidConfigError as error:
        for problem in error.problems:
            line, column = found.position(problem.path)
            path = ".".join((*found.path, *problem.path))
            where = f"{path}: " if path else ""
            click.echo(f"{file}:{line}:{column}: {where}{problem.message}", err=True)
        raise click.exceptions.Exit(1) from None
