"""A real server on two databases with misbehaving updates, and the outcome for all updates."""

import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from testbed.faults import faults
from testbed.faults.misbehaving_updates import MODULE as ODD_MODULE
from testbed.faults.misbehaving_updates import TABLE, Oddity
from testbed.faults.neighbours import clients, told
from testbed.faults.reindex_worlds import synapse_database
from testbed.observe import batch_log
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import MODULE, SynapseServer
from testbed.waiting import HANG_S, within

# The store of each database, by Synapse's names.
_STORES = {"master": "main", "other": "state"}
# A normal update in the other database, which lasts for the whole run.
NEIGHBOUR = Oddity("neighbour", 10**6, "other")


@attrs.frozen
class Seen:
    """The outcome for the misbehaving updates and all others.

    Attributes:
        done: whether all updates of the first database ended.
        aborted: whether Synapse gave them up.
        s: seconds until then.
        failed: number of failed iterations.
        tries_s: seconds between the starts of its first batches.
        batch_ms: duration of its batches: median and longest.
        rests_ratio: time between batches, for each second in batches.
        told_s: the longest time for which the status showed a running batch.
        told: log lines of the module above DEBUG.
        complaints: forbidden log lines.
        log_kib: size of the log at INFO and above.
        wrong: missing or duplicate rows, compared with what the updates say.
        neighbour: batches in the other database, and the longest time in s without the end of one.
        clients_ms: duration of clients' requests: median and longest.
        clients_answered, clients_failed: number of successful and failed requests.
    """

    done: bool
    aborted: bool
    s: float
    failed: int
    tries_s: list[float]
    batch_ms: tuple[float, float]
    rests_ratio: float
    told_s: float
    told: int
    complaints: int
    log_kib: float
    wrong: int
    neighbour: tuple[int, float]
    clients_ms: tuple[float, float]
    clients_answered: int
    clients_failed: int


@attrs.frozen
class OddSource:
    """Two template databases of a server with nothing pending, and its administrator's token."""

    postgres: PostgresServer
    token: str

    @classmethod
    def make(cls, postgres: PostgresServer, folder: Path) -> "OddSource":
        names = {database: f"odd_{database}" for database in _STORES}
        for name in names.values():
            postgres.create_database(name)
        extra = {**_databases(postgres, names), "background_updates": {"sleep_duration_ms": 10**7}}
        with SynapseServer(folder, None, extra) as server:
            token = MatrixClient.register(server.url, "admin", admin=True).token
        for name in names.values():
            with postgres.session(name) as cursor:
                cursor.execute("DELETE FROM background_updates")
                cursor.execute(TABLE)
        return cls(postgres, token)

    def world(
        self,
        folder: Path,
        name: str,
        module: Mapping[str, Any] | None,
        updates: Sequence[Oddity],
        settings: Mapping[str, Any] | None = None,
        statement_timeout_ms: int | None = None,
    ) -> "OddWorld":
        """A server, not yet started, on fresh databases with these updates and the neighbour.

        `settings` are further keys of homeserver.yaml.
        """
        names = {database: f"{name}_{database}" for database in _STORES}
        every = (*updates, NEIGHBOUR)
        for database, copy in names.items():
            self.postgres.create_database(copy, f"odd_{database}")
            with self.postgres.session(copy) as cursor:
                for ordering, update in enumerate(every):
                    if update.database == database:
                        cursor.execute(update.queue_sql(ordering))
        odd = {"module": ODD_MODULE, "config": {"updates": [attrs.asdict(each) for each in every]}}
        ours = [] if module is None else [{"module": MODULE, "config": dict(module)}]
        extra = {
            **_databases(self.postgres, names, statement_timeout_ms),
            **(settings or {}),
            "modules": [*ours, odd],
        }
        server = SynapseServer(folder, None, extra, module_log_level="INFO")
        return OddWorld(server, self.postgres, self.token, names, tuple(updates))


@attrs.frozen
class OddWorld:
    """A server, its databases by Synapse's names, and the updates of the first one."""

    server: SynapseServer
    postgres: PostgresServer
    token: str
    names: dict[str, str]
    updates: tuple[Oddity, ...]

    @property
    def admin(self) -> MatrixClient:
        return MatrixClient(self.server.url, self.token)

    def query(self, sql: str, database: str = "master") -> list[tuple[Any, ...]]:
        """Query a database directly, without the server."""
        with self.postgres.session(self.names[database]) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def pending(self) -> int:
        return int(self.query("SELECT COUNT(*) FROM background_updates")[0][0])

    def wrong(self) -> int:
        """Number of missing or extra rows, according to each update's progress."""
        queue = "SELECT update_name, progress_json::json->>'at' FROM background_updates"
        rows = "SELECT update_name, COUNT(*), COUNT(DISTINCT item) FROM odd_items GROUP BY 1"
        wrong = 0
        for database in self.names:
            at = {name: int(position) for name, position in self.query(queue, database)}
            found = {name: (count, items) for name, count, items in self.query(rows, database)}
            for update in (*self.updates, NEIGHBOUR):
                if update.database == database:
                    expected = at.get(update.name, update.items)
                    count, items = found.get(update.name, (0, 0))
                    wrong += abs(expected - items) + count - items
        return wrong

    def live(self, patience_s: float = HANG_S) -> Seen:
        """Run it with clients until the first database is done or given up."""
        server, name = self.server, self.updates[0].name
        with server, clients(self.admin) as requests, told(self.admin, name) as told_s:
            begin, begin_s = time.monotonic(), time.time()
            within(patience_s, lambda: not self.pending(), lambda: faults.has_aborted(server))
            lasted_s = time.monotonic() - begin
            aborted, end_s = faults.has_aborted(server), time.time()
        log = server.log()
        own = batch_log.batches(log, name)
        beside = batch_log.batches(log, NEIGHBOUR.name)
        return Seen(
            done=not self.pending(),
            aborted=aborted,
            s=round(lasted_s, 1),
            failed=log.count("Error doing update"),
            tries_s=_tries_s(log, name)[:6],
            batch_ms=_middle_and_longest([batch.took_s * 1000 for batch in own] or [0.0]),
            rests_ratio=_rests_ratio(own),
            told_s=round(max(told_s, default=0.0), 1),
            told=sum(faults.is_told(line) for line in log.splitlines()),
            complaints=len(complaints(log)),
            log_kib=round(len(log) / 1024, 1),
            wrong=self.wrong(),
            neighbour=(len(beside), _longest_gap_s(beside, begin_s, end_s)),
            clients_ms=_middle_and_longest(requests.took_ms or [0.0]),
            clients_answered=len(requests.took_ms),
            clients_failed=requests.failed,
        )


def _databases(
    postgres: PostgresServer, names: Mapping[str, str], statement_timeout_ms: int | None = None
) -> dict[str, Any]:
    stores: dict[str, Any] = {}
    for database, name in names.items():
        stores[database] = synapse_database(postgres, name)["database"]
        stores[database]["data_stores"] = [_STORES[database]]
        if statement_timeout_ms is not None:
            stores[database]["statement_timeout"] = statement_timeout_ms
    return {"database": None, "databases": stores}


def _rests_ratio(found: Sequence[batch_log.Batch]) -> float:
    rests_s = sum(later.start_s - earlier.end_s for earlier, later in pairwise(found))
    return round(rests_s / max(sum(batch.took_s for batch in found[:-1]), 0.001), 2)


def _tries_s(log: str, name: str) -> list[float]:
    text = f"Starting update batch on background update '{name}'"
    starts_s = [line.at_s for line in batch_log.lines(log) if line.text == text]
    return [round(later - earlier, 1) for earlier, later in pairwise(starts_s)]


def _middle_and_longest(took_ms: Sequence[float]) -> tuple[float, float]:
    return round(statistics.median(took_ms), 1), round(max(took_ms), 1)


def _longest_gap_s(found: Sequence[batch_log.Batch], begin_s: float, end_s: float) -> float:
    ends_s = [begin_s, *(batch.end_s for batch in found if begin_s < batch.end_s < end_s), end_s]
    return round(max(later - earlier for earlier, later in pairwise(ends_s)), 1)
