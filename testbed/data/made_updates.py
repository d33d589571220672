"""Artificial updates for measurements: a module that registers them.

Each item takes a millisecond, and the updates never end. For `waits_in_database` the database
sleeps, which harms nobody. `turns_harmful` does the same until some time after its first batch.
From then on a thread of Synapse computes instead, which no figure of the update shows.
"""

import time
from typing import Any

from synapse.module_api import ModuleApi

MODULE = f"{__name__}.MadeUpdates"
WAITS, TURNS = "waits_in_database", "turns_harmful"
ITEMS = 10**9

_ITEM_S = 0.001


class MadeUpdates:
    """Registers the updates. Its configuration: `harmful_after_s`."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        server: Any = api
        for pool in server._hs.get_datastores().databases:
            register = pool.updates.register_background_update_handler
            register(WAITS, _Handler(WAITS, pool, None))
            register(TURNS, _Handler(TURNS, pool, config["harmful_after_s"]))

    @staticmethod
    def parse_config(config: Any) -> Any:
        return config


class _Handler:
    def __init__(self, name: str, pool: Any, harmful_after_s: float | None) -> None:
        self._name = name
        self._pool = pool
        self._harmful_after_s = harmful_after_s
        self._first_s: float | None = None

    async def __call__(self, progress: dict[str, Any], batch_size: int) -> int:
        if self._first_s is None:
            self._first_s = time.monotonic()
        passed_s = time.monotonic() - self._first_s
        is_harmful = self._harmful_after_s is not None and passed_s >= self._harmful_after_s
        takes_s = batch_size * _ITEM_S

        def work(txn: Any) -> None:
            if is_harmful:
                _compute(takes_s)
            elif type(txn.database_engine).__name__ == "PostgresEngine":
                txn.execute("SELECT pg_sleep(?)", (takes_s,))
            else:
                time.sleep(takes_s)
            at = {"at": progress["at"] + batch_size}
            self._pool.updates._background_update_progress_txn(txn, self._name, at)

        await self._pool.runInteraction(self._name, work)
        return batch_size


def _compute(seconds: float) -> None:
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        pass
