"""Background updates that misbehave, each in its own way: a module for the server under test.

Its configuration is a list, `updates`, with the attributes of `Oddity`. Each batch writes a row for
each item, and its progress, in one transaction. So a missing or extra row can be found.
"""

import json
import random
import time
from typing import Any

import attrs
from synapse.module_api import ModuleApi

MODULE = f"{__name__}.MisbehavingUpdates"
LOCK = 4711
TABLE = "CREATE TABLE IF NOT EXISTS odd_items (update_name TEXT, item INT)"


@attrs.frozen
class Oddity:
    """An update and its misbehaviour.

    Attributes:
        name: in the queue.
        items: number of items.
        database: its database.
        cost_ms: time per item; with a spread, of the cheapest item.
        fixed_ms: time per batch, whatever its size.
        spread_ratio: cost of the dearest item relative to the cheapest; uniform in logarithms.
        failures: so many of the first batches fail.
        hang_s: the third batch takes this much longer.
        waits_in_third: the third batch waits while somebody has the advisory lock `LOCK`.
        batch_items: every batch does so many items, whatever was requested; 0: as requested.
    """

    name: str
    items: int
    database: str = "master"
    cost_ms: float = 1.0
    fixed_ms: float = 0.0
    spread_ratio: float = 1.0
    failures: int = 0
    hang_s: float = 0.0
    batch_items: int = 0
    waits_in_third: bool = False

    def costs_s(self) -> list[float]:
        """The cost of each item, the same each time."""
        rng = random.Random(self.name)
        return [self.cost_ms / 1000 * self.spread_ratio ** rng.random() for _ in range(self.items)]

    def queue_sql(self, ordering: int) -> str:
        """The statement that puts it into the queue."""
        return (
            "INSERT INTO background_updates (update_name, progress_json, ordering)"
            f" VALUES ('{self.name}', '{json.dumps({'at': 0})}', {ordering})"
        )


class MisbehavingUpdates:
    """Registers the updates of its configuration, and does nothing else."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        server: Any = api
        pools = {pool.name(): pool for pool in server._hs.get_datastores().databases}
        for entry in config["updates"]:
            oddity = Oddity(**entry)
            pool = pools[oddity.database]
            pool.updates.register_background_update_handler(oddity.name, _Handler(oddity, pool))


class _Handler:
    def __init__(self, oddity: Oddity, pool: Any) -> None:
        self._oddity = oddity
        self._pool = pool
        self._costs_s = oddity.costs_s()
        self._batches = 0

    async def __call__(self, progress: dict[str, Any], batch_size: int) -> int:
        odd, updates = self._oddity, self._pool.updates
        self._batches += 1
        if self._batches <= odd.failures:
            raise RuntimeError(f"{odd.name} was told to fail")
        begin: int = progress["at"]
        end = min(begin + (odd.batch_items or batch_size), odd.items)
        takes_s = odd.fixed_ms / 1000 + sum(self._costs_s[begin:end])
        if self._batches == 3:
            takes_s += odd.hang_s

        def work(txn: Any) -> None:
            rows = [(odd.name, item) for item in range(begin, end)]
            txn.executemany("INSERT INTO odd_items (update_name, item) VALUES (?, ?)", rows)
            if type(txn.database_engine).__name__ == "PostgresEngine":
                txn.execute("SELECT pg_sleep(?)", (takes_s,))
                if odd.waits_in_third and self._batches == 3:
                    txn.execute("SELECT pg_advisory_xact_lock(?)", (LOCK,))
            else:
                time.sleep(takes_s)
            updates._background_update_progress_txn(txn, odd.name, {"at": end})

        await self._pool.runInteraction(odd.name, work)
        if end == odd.items:
            await updates._end_background_update(odd.name)
        return end - begin
