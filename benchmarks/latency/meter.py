"""Our module while it is measured: its CPU time in the reactor's thread, and what its law knows.

`python -m benchmarks.latency.meter RUN` prints the law's course in a run that is kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from twisted.internet.task import LoopingCall

from synapse_bgthrottle import BackgroundUpdateThrottle
from testbed.observe import batch_log

MODULE = f"{__name__}.MeteredThrottle"

_TELL_EVERY_S = 1.0
_LINE = re.compile(r"own CPU so far: ([\d.]+) s; law: (.*)")

logger = logging.getLogger(__name__)


def own_cpu_ratio(log: str, begin_s: float, end_s: float) -> float | None:
    """What the log of a server says of that time, 1 being a core; None: too little."""
    told = [
        (line.at_s, float(match[1]))
        for line in batch_log.lines(log)
        if line.logger == __name__ and (match := _LINE.search(line.text))
        if begin_s <= line.at_s <= end_s
    ]
    if len(told) < 2:
        return None
    (first_s, before_s), (last_s, after_s) = told[0], told[-1]
    return (after_s - before_s) / (last_s - first_s)


def law(log: str, begin_s: float) -> list[dict[str, Any]]:
    """What the law knew each second, from the log of a server; `at_s` counts from `begin_s`."""
    return [
        {"at_s": round(line.at_s - begin_s, 1), **json.loads(match[2])}
        for line in batch_log.lines(log)
        if line.logger == __name__ and (match := _LINE.search(line.text))
        if line.at_s >= begin_s
    ]


class MeteredThrottle(BackgroundUpdateThrottle):
    """Our module, as it is, and a line in the log each second of what it used and knows."""

    def __init__(self, config: Any, api: Any) -> None:
        self._meter = Meter()
        super().__init__(config, _MeteredApi(api, self._meter))  # type: ignore[arg-type]
        if api.worker_app is None:
            LoopingCall(self._tell).start(_TELL_EVERY_S)

    def _tell(self) -> None:
        logger.info("own CPU so far: %.4f s; law: %s", self._meter.cpu_s, json.dumps(self._law()))

    def _law(self) -> dict[str, Any]:
        throttle = self._parts.throttle
        pacer = throttle.pacer
        known: dict[str, Any] = {
            "soft": [pacer.soft.name, pacer.soft.pressure],
            "soft_ratio": round(pacer.law.ratio, 3),
        }
        for (_, name), update in throttle.updates.items():
            if update.decision is None:
                continue
            known |= {"update": name, "way": update.impact.way.name, "says": update.decision.reason}
            for way, record in update.impact.ways.items():
                model = record.model
                known[way.name] = [
                    *(round(number, 3) for number in (model.slope, model.error)),
                    *(model.experiments, round(record.speed or 0), round(record.batch_speed or 0)),
                ]
        return known

    def on_update(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> AbstractAsyncContextManager[int]:
        iteration = super().on_update(update_name, database_name, one_shot)
        return _MeteredIteration(iteration, self._meter)

    async def default_batch_size(self, update_name: str, database_name: str) -> int:
        size = self._meter.metered(super().default_batch_size)
        return int(await size(update_name, database_name))

    async def min_batch_size(self, update_name: str, database_name: str) -> int:
        size = self._meter.metered(super().min_batch_size)
        return int(await size(update_name, database_name))


class _MeteredApi:
    """The API for our module, whose timers are metered."""

    def __init__(self, api: Any, meter: Meter) -> None:
        self._api = api
        self._meter = meter

    def delayed_background_call(
        self, msec: float, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Any:
        metered = self._meter.metered(function)
        return self._api.delayed_background_call(msec, metered, *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


class _MeteredIteration(AbstractAsyncContextManager[int]):
    def __init__(self, iteration: AbstractAsyncContextManager[int], meter: Meter) -> None:
        self._iteration = iteration
        self._meter = meter

    async def __aenter__(self) -> int:
        return int(await self._meter.metered(self._iteration.__aenter__)())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._meter.metered(self._iteration.__aexit__)(kind, error, traceback)


class Meter:
    """Adds up what is run through it, what Synapse does synchronously for it included.

    Attributes:
        cpu_s: CPU time so far.
    """

    def __init__(self) -> None:
        self.cpu_s = 0.0

    def metered(self, function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The same coroutine function, metered from one suspension to the next."""

        async def run(*arguments: Any) -> Any:
            return await _Metered(self, function(*arguments))

        return run


class _Metered:
    def __init__(self, meter: Meter, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._meter = meter
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        answer: Any = None
        failure: BaseException | None = None
        while True:
            begin_s = time.thread_time()
            try:
                if failure is None:
                    awaited = self._coroutine.send(answer)
                else:
                    awaited = self._coroutine.throw(failure)
            except StopIteration as done:
                return done.value
            finally:
                self._meter.cpu_s += time.thread_time() - begin_s
            answer, failure = None, None
            try:
                answer = yield awaited
            except BaseException as error:
                failure = error


def main() -> None:
    """Print what a run has kept of the law."""
    parser = argparse.ArgumentParser(prog="benchmarks.latency.meter", description=__doc__)
    parser.add_argument("run", type=Path, help="a file in .bench/runs")
    parser.add_argument("--every", type=int, default=5, help="seconds")
    options = parser.parse_args()
    print("of each way: slope, error, experiments, items/s at work, items/s in batches")
    for known in json.loads(options.run.read_text())["law"][:: options.every]:
        print("  ".join(f"{name}: {value}" for name, value in known.items()))


if __name__ == "__main__":
    main()
