"""A controller for the benchmark, which is one of several at a time, as a file says.

So all arms run in one server process, in short blocks, and the machine's moods hit them alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from synapse.logging.context import make_deferred_yieldable, run_in_background
from twisted.internet.defer import CancelledError
from twisted.internet.task import LoopingCall

from benchmarks.latency.arms import Arm
from benchmarks.latency.meter import Meter
from synapse_bgthrottle import BackgroundUpdateThrottle

_LOOK_AGAIN_S = 0.02
_LONGEST_REST_S = 1.0
_TELL_EVERY_S = 1.0


class Controller:
    """Registers itself as the controller, and asks the file before each batch who decides.

    Its configuration: `file`, and `arms`, the fields of each by name. While it holds a batch back
    because the arm has none, there is a second file, with the suffix `.held`. A third, `.cpu`,
    has the CPU time (s) of each module of ours.
    """

    def __init__(self, config: dict[str, Any], api: Any) -> None:
        self.api = api
        self._file = Path(config["file"])
        self._cpu_file = self._file.with_suffix(".cpu")
        self._held_file = self._file.with_suffix(".held")
        self.arms = {name: Arm(**fields) for name, fields in config["arms"].items()}
        self.modules = {
            name: _Captured(api, arm.module)
            for name, arm in self.arms.items()
            if arm.module is not None
        }
        self.last_batch_s = 0.0
        self._performance: dict[str, dict[str, Any]] = {}
        if api.worker_app is None:
            api.register_background_update_controller_callbacks(
                on_update=self.on_update,
                default_batch_size=self.default_batch_size,
                min_batch_size=self.min_batch_size,
            )
            LoopingCall(self._tell_cpu).start(_TELL_EVERY_S)

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        return config

    @property
    def current(self) -> str:
        """The name of the arm whose turn it is."""
        return self._file.read_text()

    def on_update(self, *update: Any) -> AbstractAsyncContextManager[int]:
        return _Batch(self, update)

    async def default_batch_size(self, update_name: str, database_name: str) -> int:
        return await self._batch_size("default_batch_size", 100, update_name, database_name)

    async def min_batch_size(self, update_name: str, database_name: str) -> int:
        return await self._batch_size("min_batch_size", 1, update_name, database_name)

    async def _batch_size(self, callback: str, stock: int, *update: str) -> int:
        module = self.modules.get(self.current)
        if module is None:
            return stock
        return int(await module.meter.metered(module.callbacks[callback])(*update))

    def _tell_cpu(self) -> None:
        used = {name: module.meter.cpu_s for name, module in self.modules.items()}
        self._cpu_file.write_text(json.dumps(used))

    def keep_apart(self, arm: str) -> None:
        """Let Synapse size batches by what those of this arm took, and not by those of all."""
        for database in self.api._hs.get_datastores().databases:
            own = self._performance.setdefault(f"{arm} {database.name()}", {})
            database.updates._background_update_performance = own

    async def let_pass(self) -> str:
        """Wait while the arm has no batches; answers the arm whose batch comes."""
        if self.arms[self.current].runs:
            return self.current
        self._held_file.touch()
        while not self.arms[self.current].runs:
            await self.api.sleep(_LOOK_AGAIN_S)
        self._held_file.unlink(missing_ok=True)
        return self.current


class _Captured:
    """The API for a module of ours, whose callbacks are registered here and not with Synapse.

    Attributes:
        callbacks: those that it registered.
        meter: its own CPU time.
    """

    def __init__(self, api: Any, raw: Any) -> None:
        self._api = api
        self.callbacks: dict[str, Any] = {}
        self.meter = Meter()
        BackgroundUpdateThrottle(BackgroundUpdateThrottle.parse_config(raw), self)  # type: ignore[arg-type]

    def register_background_update_controller_callbacks(self, **callbacks: Any) -> None:
        self.callbacks = callbacks

    def delayed_background_call(
        self, msec: float, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Any:
        metered = self.meter.metered(function)
        return self._api.delayed_background_call(msec, metered, *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


class _Batch(AbstractAsyncContextManager[int]):
    def __init__(self, controller: Controller, update: tuple[Any, ...]) -> None:
        self._controller = controller
        self._update = update
        self._module: AbstractAsyncContextManager[int] | None = None
        self._meter = Meter()
        self._begin_s = 0.0

    async def __aenter__(self) -> int:
        while True:
            name = await self._controller.let_pass()
            target_ms = await self._while_current(name)
            if target_ms is not None:
                self._begin_s = self._controller.api._clock.time()
                return target_ms

    async def _while_current(self, name: str) -> int | None:
        """What the arm answers; None when its turn ended before, as if the server had stopped."""
        waiting = run_in_background(self._enter, name)

        def look() -> None:
            if self._controller.current != name:
                waiting.cancel()

        looks = LoopingCall(look)
        looks.start(_LOOK_AGAIN_S, now=False)
        try:
            return await make_deferred_yieldable(waiting)
        except CancelledError:
            if self._controller.current == name:
                raise
            self._module = None
            return None
        finally:
            looks.stop()

    async def _enter(self, name: str) -> int:
        controller = self._controller
        controller.keep_apart(name)
        if name in controller.modules:
            module = controller.modules[name]
            self._module = module.callbacks["on_update"](*self._update)
            self._meter = module.meter
            return int(await module.meter.metered(self._module.__aenter__)())
        arm = controller.arms[name]
        rest_s = arm.rest_s
        if rest_s is None:
            rest_s = min(controller.last_batch_s, _LONGEST_REST_S)
        if rest_s:
            await controller.api.sleep(rest_s)
        return arm.target_ms

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._module is not None:
            await self._meter.metered(self._module.__aexit__)(exc_type, exc, tb)
        self._controller.last_batch_s = self._controller.api._clock.time() - self._begin_s
