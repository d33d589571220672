"""Fixed paces, in short blocks that take turns in one server: `python -m benchmarks.latency.paces`.

A pace that learns nothing is the same in every second, so that four seconds of it do; what moods
the machine has then hit all paces alike. All blocks of a round have the same arrivals.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs

from benchmarks.latency.arms import CONTROL, STOCK, UNTHROTTLED
from benchmarks.latency.order import orders
from benchmarks.latency.statistics import (
    Estimate,
    Pair,
    bootstrap,
    median_ratio,
    paired_mean_ratio,
    quantile_ratio,
)
from benchmarks.plots import document
from testbed.data import made_updates, provenance, template, updates
from testbed.data.databases import Database, open_database
from testbed.data.loads import LOADS
from testbed.data.sender import Sender
from testbed.data.updates import UPDATES, Update
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until

_CONTROLLER = "benchmarks.latency.paces.Controller"  # not `__name__`, which may be `__main__`
_LOOK_AGAIN_S = 0.02
_LONGEST_REST_S = 1.0
_DISCARDED_S = 1.0  # of each block: what the one before left behind
_NONE, _NICE = "none", "nice"
_PACES = (
    _NONE,
    CONTROL,
    UNTHROTTLED,
    STOCK,
    "stock 300/100",
    "stock 100/100",
    "stock 50/50",
    _NICE,
)
_STOCK = re.compile(r"stock (\d+)/(\d+)")

HEAD = document.head(
    ("pace", "items/s", "of unthrottled", "of stock", "in batches", "mean", "p50", "p95")
)


@attrs.frozen
class Pace:
    """A rest before each batch (s; None: as long as the last batch took), and a target (ms)."""

    rest_s: float | None
    target_ms: int = 100


def pace(name: str) -> Pace | None:
    """By its name; None: no batches.

    Raises:
        ValueError: there is none.
    """
    if name in (_NONE, CONTROL):
        return None
    if match := _STOCK.fullmatch(name):
        return Pace(int(match[1]) / 1000, int(match[2]))
    fixed = {UNTHROTTLED: Pace(0.0), STOCK: Pace(1.0), _NICE: Pace(None)}
    if name not in fixed:
        raise ValueError(f"no pace {name!r}: there are {', '.join(_PACES)}, stock REST/TARGET")
    return fixed[name]


class Controller:
    """A module that registers itself as the controller; the file `pace` says whose turn it is.

    While it holds a batch back because there are to be none, there is a second file, `.held`.
    """

    def __init__(self, config: dict[str, Any], api: Any) -> None:
        self._api = api
        self._path = Path(config["pace"])
        self._held_path = self._path.with_suffix(".held")
        self._performance: dict[str, dict[str, Any]] = {}
        self.last_batch_s = 0.0
        api.register_background_update_controller_callbacks(on_update=self.on_update)

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        return config

    def on_update(self, *_: Any) -> AbstractAsyncContextManager[int]:
        return _Batch(self)

    async def turn(self) -> int:
        """Rest as the pace has it, begun anew with each new one; answers the target."""
        name, began_s = "", 0.0
        while True:
            now_s = time.monotonic()
            if (current := self._path.read_text()) != name:
                name, began_s = current, now_s
            found = pace(name)
            if found is None:
                self._held_path.touch()
            else:
                rest_s = found.rest_s
                if rest_s is None:
                    rest_s = min(self.last_batch_s, _LONGEST_REST_S)
                if now_s - began_s >= rest_s:
                    self._held_path.unlink(missing_ok=True)
                    self._keep_apart(name)
                    return found.target_ms
            await self._api.sleep(_LOOK_AGAIN_S)

    def _keep_apart(self, name: str) -> None:
        """Let Synapse size batches by what those of this pace took, and not by those of all."""
        for database in self._api._hs.get_datastores().databases:
            own = self._performance.setdefault(f"{name} {database.name()}", {})
            database.updates._background_update_performance = own


class _Batch(AbstractAsyncContextManager[int]):
    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._begin_s = 0.0

    async def __aenter__(self) -> int:
        target_ms = await self._controller.turn()
        self._begin_s = time.monotonic()
        return target_ms

    async def __aexit__(self, *_: object) -> None:
        self._controller.last_batch_s = time.monotonic() - self._begin_s


@attrs.define
class Block:
    """One pace for some seconds.

    Attributes:
        latencies_ms: by index of the request; those of the first second are left out.
        items_per_s, duty_ratio: without the first second.
    """

    pace: str
    round_number: int
    begin_s: float
    latencies_ms: dict[int, float] = attrs.field(factory=dict)
    items_per_s: float = 0.0
    duty_ratio: float = 0.0


class Bench:
    """A server on a copy of the template, whose pace is set from outside."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._database = database
        self._path = folder / "pace"
        self._held_path = folder / "pace.held"
        self._set(UNTHROTTLED)
        controller = {"module": _CONTROLLER, "config": {"pace": str(self._path)}}
        made = {"module": made_updates.MODULE, "config": {"harmful_after_s": 0}}
        extra = {"modules": [made, controller], "database": database.synapse_config()}
        self.server = SynapseServer(folder / "server", None, extra)
        self._span = template.span(database)
        self._crowd = template.crowd(database)

    def measure(
        self, update: Update, load: str, paces: Sequence[str], rounds: int, block_s: float
    ) -> list[Block]:
        """Each pace once a round."""
        wait_until(lambda: not self._database.execute("SELECT 1 FROM background_updates"))
        self._set(_NONE)
        updates.queue(self._database, update, update.begin(self._span))
        MatrixClient(self.server.url, self._crowd.admin).set_updates_enabled(True)
        sender = Sender(self._folder, [self.server.url], self._crowd, load)
        blocks: list[Block] = []
        for number, order in enumerate(orders(list(paces), rounds, seed=1)):
            for name in order:
                block = Block(name, number, time.time() + 0.1)
                sender.tell(len(blocks), block.begin_s, block_s, seed=number)
                self._begin(update)
                self._set(name)
                time.sleep(max(block.begin_s + block_s - time.time(), 0))
                blocks.append(block)
        self._set(_NONE)
        for place, index, offset_s, latency_ms, _, status in sender.finish()[:-1]:
            if status == "200" and float(offset_s) >= _DISCARDED_S:
                blocks[int(place)].latencies_ms[int(index)] = float(latency_ms)
        done = batch_log.batches(self.server.log(), update.name)
        for block in blocks:
            _count(block, block_s, done)
        return blocks

    def _begin(self, update: Update) -> None:
        """The update anew, so that no block runs out of work; a large one has enough for all."""
        self._set(_NONE)
        wait_until(self._held_path.exists)
        if not update.is_slow_to_reset:
            update.reset(self._database, self._span)
            updates.queue(self._database, update, update.begin(self._span))

    def _set(self, name: str) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(name)
        new.replace(self._path)  # never seen empty


def _count(block: Block, block_s: float, done: Sequence[batch_log.Batch]) -> None:
    """A batch counts as far as it is inside."""
    low_s, high_s = block.begin_s + _DISCARDED_S, block.begin_s + block_s
    for batch in done:
        inside_s = min(batch.end_s, high_s) - max(batch.start_s, low_s)
        if inside_s > 0:
            block.duty_ratio += inside_s / (high_s - low_s)
            block.items_per_s += batch.items * inside_s / batch.took_s / (high_s - low_s)


def rows(blocks: Sequence[Block]) -> list[str]:
    """A row for each pace; latencies are ratios to no update in the same round."""
    by_pace: dict[str, dict[int, Block]] = {}
    for block in blocks:
        by_pace.setdefault(block.pace, {})[block.round_number] = block
    return [_row(name, by_pace) for name in by_pace]


def _row(name: str, by_pace: Mapping[str, Mapping[int, Block]]) -> str:
    own = by_pace[name]
    speeds = [block.items_per_s for block in own.values()]
    pairs = [
        Pair.of(block.latencies_ms, base.latencies_ms)
        for number, block in own.items()
        if (base := by_pace.get(_NONE, {}).get(number)) is not None
    ]
    figures: list[Estimate | None] = [
        bootstrap(
            [(own[n].items_per_s, b.items_per_s) for n, b in by_pace.get(base, {}).items()],
            median_ratio,
        )
        for base in (UNTHROTTLED, STOCK)
    ]
    latencies = [
        bootstrap(pairs, figure)
        for figure in (paired_mean_ratio, quantile_ratio(0.5), quantile_ratio(0.95))
    ]
    duty_ratio = sum(block.duty_ratio for block in own.values()) / len(own)
    cells = [name, f"{sum(speeds) / len(speeds):.0f}", *figures, f"{duty_ratio:.0%}", *latencies]
    return f"| {' | '.join('' if cell is None else str(cell) for cell in cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.latency.paces", description=__doc__)
    add = parser.add_argument
    add("--database", choices=["postgres", "sqlite"], default="postgres")
    add("--events", type=int, default=300_000, help="of history")
    add("--update", default="event_search", choices=list(UPDATES))
    add("--load", default="34", choices=list(LOADS))
    add("--paces", nargs="+", default=list(_PACES), help=f"{', '.join(_PACES)}, stock REST/TARGET")
    add("--rounds", type=int, default=8)
    add("--block", type=float, default=4.0, help="seconds")
    add("--cache", type=Path, default=Path(".bench"), help="where the data is kept")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        open_database(options.database, provenance.cache_folder(options.cache)) as database,
    ):
        database.restore(template.ensure(database, options.events))
        bench = Bench(Path(name), database)
        with bench.server:
            update = UPDATES[options.update]
            blocks = bench.measure(
                update, options.load, options.paces, options.rounds, options.block
            )
    print(f"`{provenance.command()}`, {provenance.machine()['date']}:", "", HEAD, sep="\n")
    print(*rows(blocks), sep="\n")


if __name__ == "__main__":
    main()
