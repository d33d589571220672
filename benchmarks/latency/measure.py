"""One server, one update and one load at a time, all arms in turn in short blocks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.latency.arms import Arm
from benchmarks.latency.order import orders
from benchmarks.latency.records import DISCARDED_S, Block, records
from testbed.data import template, updates
from testbed.data.databases import Database
from testbed.data.loads import LOADS
from testbed.data.sender import Sender
from testbed.data.updates import Update
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer

_ROUND_BEGINS_S = 0.5
_LONG_BLOCK_S = 10.0
_LOOK_EVERY_S = 1.0
_NEARLY_DONE_RATIO = 0.2


class Bench:
    """A server on a copy of the template, with the arms loaded.

    Attributes:
        server: not started yet.
        database: that it works on.
        crowd: who is there.
        admin: its administrator.
        arms: by name.
    """

    def __init__(self, folder: Path, database: Database, arms: Mapping[str, Arm]) -> None:
        self._folder = folder
        self.database = database
        self._arm_path = folder / "arm"
        self._held_path = folder / "arm.held"
        self._cpu_path = folder / "arm.cpu"
        self.set_arm("none")
        fields = {name: attrs.asdict(arm) for name, arm in arms.items()}
        controller = {"file": str(self._arm_path), "arms": fields}
        extra = {
            "modules": [
                {"module": "benchmarks.latency.controller.Controller", "config": controller}
            ],
            "database": database.synapse_config(),
        }
        self.arms = arms
        self._span = template.span(database)
        self.crowd = template.crowd(database)
        self.server = SynapseServer(folder / "server", None, extra, module_log_level="WARNING")
        self.admin = MatrixClient(self.server.url, self.crowd.admin)
        self._most_used = 0

    def set_arm(self, arm: str) -> None:
        """From now on this arm decides."""
        new = self._arm_path.with_suffix(".new")
        new.write_text(arm)
        new.replace(self._arm_path)  # never seen empty

    def begin(self, update: Update) -> None:
        """Queue the update, from its beginning, and nothing else."""
        self.drain()  # what a server queues by itself at its start
        self._most_used = 0
        self._restart(update)

    def end(self, update: Update) -> None:
        """Let the update end, so that another one can be queued."""
        is_over = updates.progress_of(self.database, update) is None
        updates.queue(self.database, update, update.end(self._span))
        if is_over:  # then nobody looks at the queue
            self.admin.set_updates_enabled(True)
        self.drain()

    def drain(self) -> None:
        """Run whatever is queued to its end."""
        self.set_arm(next(name for name, arm in self.arms.items() if arm.runs))
        while self.database.execute("SELECT 1 FROM background_updates"):
            time.sleep(0.05)
        self.set_arm("none")

    def _restart(self, update: Update) -> None:
        """Undo what the update did, and let it begin again, while none of its batches runs."""
        before = self._arm_path.read_text()
        self.set_arm("none")
        while not (is_over := updates.progress_of(self.database, update) is None):
            if self._held_path.exists():
                break
            time.sleep(0.01)
        update.reset(self.database, self._span)
        updates.queue(self.database, update, update.begin(self._span))
        if is_over:
            self.admin.set_updates_enabled(True)
        self.set_arm(before)

    def _keep_going(self, update: Update, until_s: float) -> None:
        """Restart the update before it is at its end: a tenth of a second, of a long block."""
        while time.time() < until_s and not update.is_slow_to_reset:
            time.sleep(_LOOK_EVERY_S)
            if self._left_items(update) < _NEARLY_DONE_RATIO * self._total_items:
                self._restart(update)

    @property
    def _total_items(self) -> int:
        return self._span.high - self._span.low + 1

    def _own_cpu_s(self) -> dict[str, float]:
        """The CPU time so far of each arm of ours; a second old at most."""
        return {
            name: float(cpu_s) for name, cpu_s in json.loads(self._cpu_path.read_text()).items()
        }

    def _left_items(self, update: Update) -> int:
        return updates.left_items(self.database, update, self._span)

    def _restart_if_needed(self, update: Update, *, good_moment: bool) -> None:
        """At the beginning of a block, whose first second is discarded.

        A good moment is one before a block without batches.
        """
        if update.is_slow_to_reset:
            return
        total = self._total_items
        enough = total * 0.7 if good_moment else min(self._most_used * 1.5, total * 0.9)
        if self._left_items(update) < enough:
            self._restart(update)

    def warm_up(self, sender: Sender, load: str, seconds: float) -> None:
        """Each of our arms under this load, so that what it learns is learned."""
        block_s = LOADS[load].block_s
        for name, arm in self.arms.items():
            if arm.module is None:
                continue
            for number in range(max(round(seconds / block_s), 1)):
                begin_s = time.time()
                sender.tell(-1, begin_s, block_s, seed=-1 - number)
                self.set_arm(name)
                time.sleep(block_s)
        self.set_arm("none")

    def measure(
        self, update: Update, load: str, rounds: int, block_s: float, warm_up_s: float
    ) -> dict[str, Any]:
        """A cell: every arm once a round."""
        log_begin = self.server.log_path.stat().st_size
        sender = Sender(self._folder, self.server, self.crowd, load)
        if warm_up_s:
            self._restart(update)
            self.warm_up(sender, load, warm_up_s)
        self._restart(update)
        blocks: list[Block] = []
        used = 0
        own_before_s = self._own_cpu_s()
        for number, order in enumerate(orders(list(self.arms), rounds, seed=1)):
            left = self._left_items(update)
            if left < used * 1.3:
                self._restart(update)
                left = self._left_items(update)
            self._round(sender, update, number, order, block_s, blocks)
            if update.is_slow_to_reset:
                used = max(used, left - self._left_items(update))
        self.set_arm("none")
        lines = sender.finish()
        log = self.server.log(log_begin)
        return {
            "update": update.name,
            "load": load,
            "rounds": rounds,
            "block_s": block_s,
            "discarded_s": DISCARDED_S,
            "warm_up_s": warm_up_s,
            "load_cpu_share": float(lines[-1][1]),
            "busy_s": LOADS[load].busy_s,
            "own_cpu_share": {
                name: (cpu_s - own_before_s[name]) / (rounds * block_s)
                for name, cpu_s in self._own_cpu_s().items()
            },
            "blocks": records(blocks, block_s, lines[:-1], batch_log.batches(log, update.name)),
        }

    def _round(
        self,
        sender: Sender,
        update: Update,
        number: int,
        order: Sequence[str],
        block_s: float,
        blocks: list[Block],
    ) -> None:
        begin_s = time.time() + _ROUND_BEGINS_S
        first = len(blocks)
        for position in range(len(order)):
            sender.tell(first + position, begin_s + position * block_s, block_s, seed=number)
        for position, arm in enumerate(order):
            block = Block(arm, number, begin_s + position * block_s)
            _sleep_until(block.begin_s)
            self.set_arm(arm)
            self._restart_if_needed(update, good_moment=not self.arms[arm].runs)
            left = self._left_items(update)
            _sleep_until(block.begin_s + DISCARDED_S)
            cpu_s, cpu_at_s = self.server.cpu_s(), time.time()
            if block_s > _LONG_BLOCK_S:
                self._keep_going(update, block.begin_s + block_s - _LOOK_EVERY_S)
            _sleep_until(block.begin_s + block_s)
            block.cpu_share = (self.server.cpu_s() - cpu_s) / (time.time() - cpu_at_s)
            left_after = self._left_items(update)
            block.ran_dry = left_after == 0
            self._most_used = max(self._most_used, left - left_after)
            blocks.append(block)


def _sleep_until(moment_s: float) -> None:
    time.sleep(max(moment_s - time.time(), 0))
