"""`python -m bench.scaling`: the tables of docs/scaling.md, the same figures each time.

By the forecast on the modelled server: sizes are those that public sources give, speeds in batches
are of this project's benchmark where nothing else is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from synapse_bgthrottle.cli.forecast_options import seeds
from synapse_bgthrottle.config import parse
from synapse_bgthrottle.forecast.forecasting import Question, forecast
from synapse_bgthrottle.forecast.job import Job
from synapse_bgthrottle.forecast.results import ConfigurationForecast, Forecast
from synapse_bgthrottle.forecast.week import WeeklyLoad, flat, office
from synapse_bgthrottle.simulation import presets
from synapse_bgthrottle.simulation.model import ServerModel

# Monday 2026-01-05, midnight UTC.
_START_S = 1_767_571_200.0
_DAY_MS = 86_400_000.0
_NAMES = ("stock", "gentle", "balanced", "fast", "finish")


@attrs.frozen
class Case:
    """Something to do: what, how many rows, and how many a second in batches."""

    title: str
    items: float
    per_batch_s: float


_CASES = (
    Case("names of users, 28 M, index missing", 28e6, 0.3),
    Case("the same with its index", 28e6, 300.0),
    Case("profiles, 57 M", 57e6, 1000.0),
    Case("push summaries, 113 M", 112.6e6, 5000.0),
    Case("device list changes, 145 M", 145e6, 5000.0),
    Case("state rows, 274 M", 274e6, 5000.0),
    Case("a pass over 2^31 events, 5/ms", 2.0**31, 5000.0),
    Case("the same, on the reactor, 0.7/ms", 2.0**31, 714.0),
)


def main() -> None:
    """Print the tables."""
    print("Days until it is done; office load, two cores.\n")
    _table(
        "what",
        ((case.title, _days(_asked(case.items, case.per_batch_s))) for case in _CASES),
    )
    billion = (1e9, 5000.0)
    print("\nDays for a billion rows at 5/ms, and by what share clients are slower meanwhile.\n")
    _table("server, load", _servers(billion))
    print("\nDays for a billion rows at 5/ms, office load, two cores, with less time to go.\n")
    _table("what is less", _less(billion))


def _servers(billion: tuple[float, float]) -> Iterable[tuple[str, list[str]]]:
    for load in (office(), flat()):
        for name, model in presets.SERVERS.items():
            told = _asked(*billion, load=load, server=model)
            days = [
                f"{day}, {_slower(told, of)}" for day, of in zip(_days(told), _NAMES, strict=True)
            ]
            yield f"{name}, {load.name}", days
    yield "any, idle", _days(_asked(*billion, load=flat(value=0.0)))


def _less(billion: tuple[float, float]) -> Iterable[tuple[str, list[str]]]:
    yield "nothing", _days(_asked(*billion))
    for ratio in (0.25, 0.5):
        yield f"a budget closed {ratio:.0%} of the time", _days(_asked(*billion, closed=ratio))
    nights = {"windows": [{"start": "22:00", "end": "06:00"}]}
    yield "windows 22:00 to 06:00", _days(_asked(*billion, raw=nights))
    weekends = {"windows": [{"days": "sat,sun"}]}
    yield "windows on weekends", _days(_asked(*billion, raw=weekends))
    yield "at most 1000 items/s", _days(_asked(*billion, raw={"max_items_per_second": 1000}))


def _asked(
    items: float,
    per_batch_s: float,
    *,
    load: WeeklyLoad | None = None,
    server: ServerModel = presets.TWO_CORES,
    closed: float = 0.0,
    raw: object = None,
) -> Forecast:
    return forecast(
        Question(
            jobs=(Job(update="an_update", items=items, per_batch_s=per_batch_s),),
            config=parse(raw or {}),
            load=load or office(),
            server=server,
            start_s=_START_S,
            seeds=seeds,
            closed_ratio=closed,
            only=_NAMES,
        )
    )


def _found(told: Forecast, name: str) -> ConfigurationForecast:
    return next(each for each in told.configurations if each.name == name)


def _days(told: Forecast) -> list[str]:
    ends_ms = [_found(told, name).ends_ms for name in _NAMES]
    return ["never" if at is None else _number((at - told.made_ms) / _DAY_MS) for at in ends_ms]


def _slower(told: Forecast, name: str) -> str:
    slower = _found(told, name).clients_slower
    return "" if slower is None else f"{slower:.0%}"


def _number(days: float) -> str:
    return f"{days:.1f}" if days < 10 else f"{days:.0f}"


def _table(head: str, rows: Iterable[tuple[str, Sequence[str]]]) -> None:
    print(f"| {' | '.join((head, *_NAMES))} |")
    print("|" + "---|" * (len(_NAMES) + 1))
    for title, cells in rows:
        print(f"| {' | '.join((title, *cells))} |", flush=True)


if __name__ == "__main__":
    main()
