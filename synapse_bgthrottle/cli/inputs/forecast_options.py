"""The options of `bgthrottle forecast`."""

import re
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from synapse_bgthrottle.cli.inputs.connection_settings import parse_span_ms
from synapse_bgthrottle.cli.inputs.files import PIPE_S, UnusableFileError, read_file
from synapse_bgthrottle.core.tracking.expected_pace import Range
from synapse_bgthrottle.core.tracking.weekly_load import WeeklyLoad, flat, office, parse_load

# By what share requests are slower at full work, where nothing is learned: of kinds of servers, as
# on the modelled ones.
SLOPES = {
    "two-cores": Range(0.54, 0.2, 0.8),
    "sqlite": Range(0.8, 0.4, 1.2),
    "spare-cores": Range(0.01, 0.0, 0.1),
    "workers": Range(0.0, 0.0, 0.05),
}

LEARNED = "learned"
_LOADS: dict[str, Callable[[tzinfo], WeeklyLoad]] = {
    "flat": flat,
    "office": office,
    "idle": lambda zone: flat(zone, 0.0),
}
_RATE = re.compile(r"([0-9][0-9_.e+]*) ?/ ?(ms|s|m|min|h)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LARGEST_FILE = 64 * 1024
_LONGEST_S = 1e9


def _like(example: str, read: Callable[[str], float]) -> Callable[[str], float]:
    """The type of an option."""

    def convert(value: str) -> float:
        try:
            return read(value)
        except (ValueError, OverflowError):
            raise click.BadParameter(f"{value!r} is not like {example}") from None

    return convert


def _seconds(text: str) -> float:
    """A span with its unit, or a bare number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_span_ms(text) / 1000
    if not 0 <= seconds <= _LONGEST_S:
        raise ValueError("out of range")
    return seconds


def _loads(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names, and files."""
    names = [name for name in (*_LOADS, LEARNED) if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def parse_count(text: str) -> float:
    """A number of items: `1e9`, `250000`, `1,000,000`; ValueError: it is none."""
    count = float(text.replace(",", "") if _THOUSANDS.fullmatch(text.strip()) else text)
    if not 0 < count < 1e18:
        raise ValueError("out of range")
    return count


def parse_rate(text: str) -> float:
    """Items a second, from `5/ms`, `300/s` or `1e6/h`; ValueError: it is none."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError("no rate")
    rate = float(match[1]) / _SECONDS[match[2].lower()]
    if not 0 < rate < 1e15:
        raise ValueError("out of range")
    return rate


items_option = click.option(
    "--items",
    metavar="COUNT",
    type=_like("1e9", parse_count),
    help="How many items are left, such as 1e9; then no server is asked.",
)
rate_option = click.option(
    "--rate",
    metavar="RATE",
    type=_like("5/ms or 300/s", parse_rate),
    help="The speed in batches, without rests, such as 5/ms.",
)
one_shot_option = click.option(
    "--one-shot",
    "one_shot_s",
    metavar="DURATION",
    type=_like("10m, or 600 for as many seconds", _seconds),
    help="For a one-shot: how long it takes, such as 10m.",
)
load_option = click.option(
    "--load",
    metavar="LOAD",
    shell_complete=_loads,
    help="When clients are there: flat, idle, office, learned, or a file of 168 hours.",
)


def read_load(name: str, zone: tzinfo) -> WeeklyLoad:
    """The week's load: one of a few, or of a file."""
    if name in _LOADS:
        return _LOADS[name](zone)
    import yaml  # noqa: PLC0415

    path = Path(name)
    try:
        raw = yaml.safe_load(read_file(path, _LARGEST_FILE, PIPE_S)[0])
    except UnusableFileError as error:
        known = ", ".join((*_LOADS, LEARNED))
        message = f"--load {name}: {error}; accepted is {known}, or a file"
        raise click.UsageError(message) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise click.UsageError(f"--load {name}: is neither YAML nor JSON") from None
    try:
        return parse_load(raw, path.name, zone)
    except ValueError as error:
        raise click.UsageError(f"--load {name}: {error}") from None
