"""What is said on the command line of `bgthrottle forecast`, read."""

import random
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from synapse_bgthrottle.cli.settings import parse_span_ms
from synapse_bgthrottle.forecast.job import parse_count, parse_rate
from synapse_bgthrottle.forecast.week import WeeklyLoad, flat, office, parse_load
from testbed.simulation.model import Streams

T = TypeVar("T")

LEARNED = "learned"
_LOADS: dict[str, Callable[[tzinfo], WeeklyLoad]] = {
    "flat": flat,
    "office": office,
    "idle": lambda zone: flat(zone, 0.0),
}
_LARGEST_FILE = 64 * 1024
_LONGEST_S = 1e9


def _option(read: Callable[[str], T], example: str) -> Callable[[Any, Any, str | None], T | None]:
    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> T | None:
        if value is None:
            return None
        try:
            return read(value)
        except (ValueError, OverflowError):
            raise click.BadParameter(f"{value!r} is not like {example}") from None

    return callback


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


items_option = click.option(
    "--items",
    metavar="COUNT",
    callback=_option(parse_count, "1e9"),
    help="How much is left, such as 1e9; nobody is asked then.",
)
rate_option = click.option(
    "--rate",
    metavar="RATE",
    callback=_option(parse_rate, "5/ms or 300/s"),
    help="Items by time spent in batches, such as 5/ms.",
)
one_shot_option = click.option(
    "--one-shot",
    metavar="SPAN",
    callback=_option(_seconds, "10m, or 600 for as many seconds"),
    help="How long it takes, such as 10m.",
)
load_option = click.option(
    "--load",
    metavar="LOAD",
    shell_complete=_loads,
    help="flat, idle, office, learned, or a file of 168 hours.",
)


def read_load(name: str, zone: tzinfo) -> WeeklyLoad:
    """The week's load: one of a few, or of a file."""
    if name in _LOADS:
        return _LOADS[name](zone)
    import yaml  # noqa: PLC0415

    path = Path(name)
    try:
        with path.open("rb") as opened:
            raw = yaml.safe_load(opened.read(_LARGEST_FILE))
    except OSError as error:
        known = ", ".join((*_LOADS, LEARNED))
        message = f"--load {name}: {error.strerror}; accepted is {known}, or a file"
        raise click.UsageError(message) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise click.UsageError(f"--load {name}: is neither YAML nor JSON") from None
    try:
        return parse_load(raw, path.name, zone)
    except ValueError as error:
        raise click.UsageError(f"--load {name}: {error}") from None


def seeds(number: int) -> Streams:
    """Courses of chance, the same every time."""

    def stream(name: str) -> Callable[[], float]:
        return random.Random(f"{number} {name}").random

    return stream
