"""The CPU time of a module's own code in the reactor's thread: its coroutines, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any


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
