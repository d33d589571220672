"""One run: a server of its own, one arm, one update, one load, for minutes.

First the clients alone, then with the update, so that each run has its own quiet time to be
compared with. The load is the same in every run of a load: pieces of some seconds, piece by piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from benchmarks.latency import meter
from benchmarks.latency.arms import Arm
from benchmarks.latency.cells import Cell
from testbed.data import made_updates, template, updates
from testbed.data.databases import Database
from testbed.data.loads import LOADS
from testbed.data.sender import Sender
from testbed.data.template import Span
from testbed.data.updates import UPDATES, Update
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.redis import RedisServer
from testbed.servers.server import SynapseServer, SynapseWorker
from testbed.waiting import wait_until

# The first requests on a fresh copy are slow, whatever runs. Without clients nobody is compared.
_ALONE_S = (20.0, 60.0)
_SETTLE_S = (0.0, 10.0)
_WORKERS = 2
_LOOK_EVERY_S = 0.2
_TELL_AHEAD_S = 2.0
_QUEUE = "SELECT 1 FROM background_updates"
_DONE = b"No more background updates to do"


@attrs.frozen
class Deployment:
    """What runs, and who answers clients (URLs, in turns)."""

    server: SynapseServer
    processes: Sequence[SynapseServer | SynapseWorker]
    urls: Sequence[str]

    def cpu_s(self) -> float:
        """CPU time of all its processes so far."""
        return sum(process.cpu_s() for process in self.processes)


@attrs.frozen
class Run:
    """What is to be run.

    Attributes:
        arm: who decides.
        seconds: how long, with the update.
        harmful_after_s: for `turns_harmful`.
        alone_s: from when on clients alone are compared, and until when; the update begins then.
    """

    cell: Cell
    arm: Arm
    seconds: float
    harmful_after_s: float = 300.0
    alone_s: tuple[float, float] = attrs.field()

    @alone_s.default
    def _alone_s(self) -> tuple[float, float]:
        return _ALONE_S if LOADS[self.cell.load].rates_per_s else _SETTLE_S


@contextmanager
def deployed(folder: Path, run: Run, database: Database) -> Iterator[Deployment]:
    """It, started, with this arm, and nothing pending."""
    made = {"module": made_updates.MODULE, "config": {"harmful_after_s": run.harmful_after_s}}
    modules: list[dict[str, Any]] = [made]
    if run.arm.module is not None:
        modules.append({"module": meter.MODULE, "config": dict(run.arm.module)})
    extra = {
        "modules": modules,
        "database": database.synapse_config(),
        "background_updates": dict(run.arm.stock),
    }
    with ExitStack() as stack:
        redis_port = None
        if run.cell.deployment == "workers":
            redis_port = stack.enter_context(RedisServer(folder / "redis")).port
        server = SynapseServer(
            folder / "server", None, extra, redis_port=redis_port, module_log_level="WARNING"
        )
        workers = [SynapseWorker(server, f"worker{number}") for number in range(_WORKERS)]
        processes = [server, *(workers if redis_port else ())]
        for process in processes:
            stack.enter_context(process)
        wait_until(lambda: not database.execute(_QUEUE))  # what a server queues at its start
        yield Deployment(server, processes, [p.url for p in processes[1:] or processes])


def measure(run: Run, database: Database, folder: Path) -> dict[str, Any]:
    """What `summary` reads, of a run on this fresh copy.

    An update that is done is queued anew; one that cannot be undone in a moment ends the run.
    """
    span, crowd = template.span(database), template.crowd(database)
    with deployed(folder, run, database) as deployment:
        log_path = deployment.server.log_path
        sender = Sender(folder, deployment.urls, crowd, run.cell.load)
        load = _Load(sender, run.cell.load, run.alone_s[1] + run.seconds)
        load.until(load.begin_s + run.alone_s[1])
        begin_s, used_s = time.time(), (deployment.cpu_s(), database.cpu_s())
        end_s = load.end_s
        done_s: list[float] = []
        if run.arm.runs:
            update = UPDATES[run.cell.update]
            admin = MatrixClient(deployment.server.url, crowd.admin)
            queue = _Queue(database, update, span, admin, log_path)
            queue.begin()
            while load.until(end_s, queue.is_done):
                done_s.append(time.time() - begin_s)
                if update.is_slow_to_reset or run.cell.deployment == "sqlite":
                    end_s = time.time()
                else:
                    queue.begin()
        else:
            load.until(end_s)
        passed_s = time.time() - begin_s
        cpu_s, database_cpu_s = deployment.cpu_s() - used_s[0], database.cpu_s() - used_s[1]
        pieces = load.finish()
        log = deployment.server.log()
    return {
        "piece_s": load.piece_s,
        "before_s": run.alone_s,
        "during_s": [begin_s - load.begin_s, begin_s - load.begin_s + passed_s],
        "done_s": done_s,
        "pieces": pieces,
        "batches": [
            [
                round(batch.start_s - load.begin_s, 3),
                round(batch.end_s - load.begin_s, 3),
                batch.items,
            ]
            for batch in batch_log.batches(log, run.cell.update)
        ],
        "server_cpu": cpu_s / passed_s,
        "database_cpu": database_cpu_s / passed_s,
        "own_cpu": meter.own_cpu_ratio(log, begin_s, begin_s + passed_s),
        "law": meter.law(log, begin_s),
    }


class _Queue:
    """Puts the update into the queue, and sees when it is done."""

    def __init__(
        self, database: Database, update: Update, span: Span, admin: MatrixClient, log_path: Path
    ) -> None:
        self._database = database
        self._update = update
        self._span = span
        self._admin = admin
        self._log_path = log_path
        self._seen = 0

    def begin(self) -> None:
        """From its beginning, with nothing done."""
        self._seen = self._log_path.stat().st_size
        self._update.reset(self._database, self._span)
        updates.queue(self._database, self._update, self._update.begin(self._span))
        self._admin.set_updates_enabled(True)

    def is_done(self) -> bool:
        """Whether Synapse has said since then that nothing is pending."""
        # By its log, because each question to the database is some work for that.
        with self._log_path.open("rb") as log:
            log.seek(self._seen)
            new = log.read()
        end = new.rfind(b"\n") + 1
        self._seen += end
        return _DONE in new[:end]


class _Load:
    """The load, told piece by piece, as far as time has come.

    Attributes:
        begin_s, end_s: of the first and of the last piece, in seconds since the epoch.
        piece_s: the length of each.
    """

    def __init__(self, sender: Sender, name: str, seconds: float) -> None:
        self._sender = sender
        self.piece_s = LOADS[name].block_s
        self.begin_s = time.time() + _TELL_AHEAD_S
        self.end_s = self.begin_s + seconds
        self._told = 0

    def until(self, end_s: float, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Wait till then, or until it is over; answers whether that was it."""
        while (now_s := time.time()) < end_s:
            self._tell(min(now_s + _TELL_AHEAD_S, self.end_s))
            if is_over():
                return True
            time.sleep(min(_LOOK_EVERY_S, max(end_s - time.time(), 0)))
        return False

    def _tell(self, until_s: float) -> None:
        while (at_s := self.begin_s + self._told * self.piece_s) < until_s:
            self._sender.tell(self._told, at_s, self.piece_s, seed=self._told)
            self._told += 1

    def finish(self) -> list[dict[str, Any]]:
        """Of each piece its requests, by index, kind and latency, and how many failed."""
        pieces: list[dict[str, Any]] = [{"requests": [], "failed": {}} for _ in range(self._told)]
        for number, index, offset_s, latency_ms, kind, status in self._sender.finish()[:-1]:
            piece = pieces[int(number)]
            if status == "200":
                at = [int(index), float(offset_s), kind, float(latency_ms)]
                piece["requests"].append(at)
            else:
                what = f"{kind} {status}"
                piece["failed"][what] = piece["failed"].get(what, 0) + 1
        return pieces
