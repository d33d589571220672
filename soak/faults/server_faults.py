"""Every fault around a real server, compared with stock Synapse.

`python -m soak.faults.server_faults`. Servers are "module" (a fixed pace), "default" (the module's
default) and "stock". With the module, updates must go on within ten seconds of each fault's end,
and all must be done. After a full disk that the default sees, it is twenty seconds. The exit status
is 1 otherwise, or if a fault had no effect, or if stock did not abort where it must. If luck
decides whether stock aborts, that is only reported.
"""

import argparse
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import attrs

from soak.faults.fault_runs import (
    ALL,
    ALL_SLOW,
    DEFAULT,
    DISK_SEEN_WITHIN_S,
    ROOMY_MIB,
    SLOW_DEFAULT,
    SLOW_PAIR,
    SMALL_CLUSTER_MIB,
    Case,
    Run,
)
from soak.faults.fault_verdicts import Expected
from soak.records import Records
from testbed.faults import faults
from testbed.faults.reindex_worlds import World
from testbed.servers import disks
from testbed.servers.postgres import PostgresServer
from testbed.servers.tcp_proxy import TcpProxy

# Stock aborts after five failed batches in a row. Ten seconds without the database are enough for
# that. A shorter outage may not be; nor resets, because batches may end between two of them. A
# silent database fails only the pool's old connections, at most five, and new ones wait.
_SURE_FROM_S = 10
_BY_LUCK = Expected(is_stock_sure=False)
_STOCK_GOES_ON = Expected(stock_aborts=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.faults.server_faults", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/faults"))
    parser.add_argument("--outages", type=float, nargs="*", default=[1, 10, 60])
    parser.add_argument("--only", nargs="*", default=[], help="names of faults")
    parser.add_argument("--servers", nargs="*", default=[], help="module, default, stock")
    options = parser.parse_args()
    records = Records(options.output, "Faults, the module and stock Synapse beside it")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(Path(folder) / "cluster"))
        proxy = stack.enter_context(TcpProxy(postgres.port))
        run = Run(Path(folder), postgres, records, options.only, options.servers)
        _of_the_database(run, postgres, proxy, options.outages)
        run.on_sqlite(
            Case("file locked", 40, ALL_SLOW, expected=_STOCK_GOES_ON),
            lambda w: faults.file_locked(w.database),
        )
        run.on_sqlite(
            Case("suspended", 20, ALL_SLOW, expected=_STOCK_GOES_ON),
            lambda w: faults.suspended(w.server),
        )
        try:
            with disks.small_disk(Path(folder) / "try", 1):
                pass
        except PermissionError as error:
            records.add({"fault": "disk full", "not run": str(error)})
        else:
            _of_the_disk(run)
    return records.status()


def _of_the_database(
    run: Run, postgres: PostgresServer, proxy: TcpProxy, outages_s: list[float]
) -> None:
    for outage_s in outages_s:
        expected = Expected(is_stock_sure=outage_s >= _SURE_FROM_S)
        stopped = Case("stopped", outage_s, ALL, expected=expected)
        run.on_postgres(stopped, lambda _: faults.stopped(postgres))
        killed = attrs.evolve(stopped, name="kill -9")
        run.on_postgres(killed, lambda _: faults.killed(postgres))
    run.on_postgres(Case("crashed", 3, ALL, expected=_BY_LUCK), lambda _: faults.crashed(postgres))
    run.on_postgres(
        # It is over at once, so that only a failed batch shows it.
        Case("restarted in a batch", 0, ALL, expected=attrs.evolve(_BY_LUCK, least_failed=1)),
        lambda w: faults.stopped_in_a_batch(postgres, w.database),
    )
    run.on_postgres(
        Case("connections reset", 10, ALL, expected=_BY_LUCK), lambda w: _resets(w, proxy)
    )
    run.on_postgres(
        Case("sessions ended", 10, ALL, expected=_BY_LUCK),
        lambda w: faults.cut_off(postgres, w.database),
    )
    run.on_postgres(
        Case("too many connections", 20, ALL), lambda w: faults.without_slots(postgres, w.database)
    )
    run.on_postgres(Case("read-only", 20, ALL), lambda w: faults.read_only(postgres, w.database))
    for outage_s in (10, 90):  # less and more than the minute after which no samples are taken
        run.on_postgres(
            Case("silent", outage_s, ALL, expected=_BY_LUCK),
            lambda w: faults.silent(postgres, w.database),
        )
    # The first batch that ends is the one that hung or waited for the lock, which proves nothing.
    run.on_postgres(
        Case("frozen in a batch", 20, ALL, batch=2, expected=_STOCK_GOES_ON),
        lambda w: faults.frozen_in_a_batch(postgres, w.server),
    )
    run.on_postgres(
        Case("queue locked", 60, ALL, batch=2, expected=_STOCK_GOES_ON),
        lambda w: faults.queue_locked(postgres, w.database),
    )


def _of_the_disk(run: Run) -> None:
    run.on_small_tablespace(Case("disk full", 30))
    run.on_small_tablespace(Case("disk full", 150))
    all_of_it = "disk full, log and all"
    run.on_small_cluster(Case(all_of_it, 20, disk_mib=SMALL_CLUSTER_MIB))
    run.on_small_sqlite(Case("file's disk full", 30, SLOW_PAIR))
    # The server's files are on this disk, so that the default sees it.
    expected = Expected(within_s=DISK_SEEN_WITHIN_S)
    seen = Case(all_of_it, 30, DEFAULT, expected=expected, disk_mib=ROOMY_MIB)
    run.on_small_cluster(seen)
    run.on_small_sqlite(attrs.evolve(seen, name="file's disk full", arms=SLOW_DEFAULT))


def _resets(world: World, proxy: TcpProxy) -> AbstractContextManager[None]:
    proxy.lead(world.server.config_path)  # before its start
    return faults.resets(proxy)


if __name__ == "__main__":
    sys.exit(main())
