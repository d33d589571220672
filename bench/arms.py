"""A controller for the benchmark, which is one of several at a time, as a file says.

So all arms run in one server process, in short blocks, and the machine's moods hit them alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from synapse_bgthrottle import BackgroundUpdateThrottle

_LOOK_AGAIN_S = 0.02


class Arms:
    """Registers itself as the controller, and asks the file before each batch who decides.

    Its configuration: `file`, and `modules`, the configuration of the module by name of arm.
    The other arms are `none` (no batch at all), `unthrottled`, `stock` and `nice` (rest as long as
    the batch took).
    """

    def __init__(self, config: dict[str, Any], api: Any) -> None:
        self.api = api
        self._file = Path(config["file"])
        self.modules = {
            name: _Captured(api, raw).callbacks for name, raw in config["modules"].items()
        }
        self.last_batch_s = 0.0
        if api.worker_app is None:
            api.register_background_update_controller_callbacks(
                on_update=self.on_update,
                default_batch_size=self.default_batch_size,
                min_batch_size=self.min_batch_size,
            )

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        return config

    @property
    def arm(self) -> str:
        return self._file.read_text().strip()

    def on_update(self, *update: Any) -> AbstractAsyncContextManager[int]:
        return _Batch(self, update)

    async def default_batch_size(self, update_name: str, database_name: str) -> int:
        return await self._batch_size("default_batch_size", 100, update_name, database_name)

    async def min_batch_size(self, update_name: str, database_name: str) -> int:
        return await self._batch_size("min_batch_size", 1, update_name, database_name)

    async def _batch_size(self, callback: str, stock: int, *update: str) -> int:
        module = self.modules.get(self.arm)
        if module is None:
            return stock
        answer: Callable[..., Awaitable[int]] = module[callback]
        return await answer(*update)


class _Captured:
    """The callbacks of a module of ours, registered here and not with Synapse."""

    def __init__(self, api: Any, raw: Any) -> None:
        self._api = api
        self.callbacks: dict[str, Any] = {}
        BackgroundUpdateThrottle(BackgroundUpdateThrottle.parse_config(raw), self)  # type: ignore[arg-type]

    def register_background_update_controller_callbacks(self, **callbacks: Any) -> None:
        self.callbacks = callbacks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


class _Batch(AbstractAsyncContextManager[int]):
    def __init__(self, arms: Arms, update: tuple[Any, ...]) -> None:
        self._arms = arms
        self._update = update
        self._module: AbstractAsyncContextManager[int] | None = None
        self._begin_s = 0.0

    async def __aenter__(self) -> int:
        arms = self._arms
        while (arm := arms.arm) == "none":
            await arms.api.sleep(_LOOK_AGAIN_S)
        if arm in arms.modules:
            self._module = arms.modules[arm]["on_update"](*self._update)
            return await self._module.__aenter__()
        rest_s = {"unthrottled": 0.0, "stock": 1.0, "nice": min(arms.last_batch_s, 1.0)}[arm]
        if rest_s:
            await arms.api.sleep(rest_s)
        self._begin_s = arms.api._clock.time()
        return 100

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._module is not None:
            await self._module.__aexit__(exc_type, exc, tb)
        else:
            self._arms.last_batch_s = self._arms.api._clock.time() - self._begin_s
