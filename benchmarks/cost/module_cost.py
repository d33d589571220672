"""The module's own CPU time, while an update runs and while none is pending.

`python -m benchmarks.cost.module_cost` runs servers with and without the module in turn. Both do
the same: nothing, or one batch of one row a second. So the difference is the module's cost. The
CPU time of PostgreSQL is reported too, because the module's queries cost CPU there.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.latency.statistics import bootstrap
from testbed.data import provenance, template, updates
from testbed.data.databases import Database, open_database
from testbed.data.updates import UPDATES
from testbed.servers.server import SynapseServer

_UPDATE = UPDATES["events_populate_state_key_rejections"]
_SETTLE_S = 8.0  # until the work of the start is done

_MODULE = {
    "duty_cycle": "adaptive",
    "max_batch_size": 1,
    "default_batch_size": 1,
    "max_items_per_second": 1,
}
# With a target of 0 stock's batches have exactly the least size.
_STOCK = {
    "sleep_duration_ms": 1000,
    "background_update_duration_ms": 0,
    "min_batch_size": 1,
    "default_batch_size": 1,
}


def _used(
    folder: Path, database: Database, module: dict[str, Any] | None, *, busy: bool, seconds: float
) -> tuple[float, float]:
    """Shares of a core that Synapse and PostgreSQL use."""
    extra = {"database": database.synapse_config(), "background_updates": _STOCK}
    span = template.span(database)
    database.execute("DELETE FROM background_updates")
    if busy:
        updates.queue(database, _UPDATE, _UPDATE.begin(span))
    with SynapseServer(folder, module, extra, module_log_level="INFO") as server:
        time.sleep(_SETTLE_S)
        begin_s = time.monotonic()
        before = server.cpu_s(), database.cpu_s()
        time.sleep(seconds)
        passed_s = time.monotonic() - begin_s
        return (server.cpu_s() - before[0]) / passed_s, (database.cpu_s() - before[1]) / passed_s


def _difference(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.fmean(own - without for own, without in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15, help="of each server")
    parser.add_argument("--cache", type=Path, default=Path(".bench"))
    parser.add_argument("--output", type=Path, default=Path(".bench/cost.json"))
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        open_database("postgres", provenance.cache_folder(options.cache)) as database,
    ):
        database.restore(template.ensure(database, options.events))
        for busy, what in ((False, "nothing pending"), (True, "an update at work")):
            rounds = []
            for number in range(options.rounds):
                used = {}
                for has_module in (True, False) if number % 2 else (False, True):
                    folder = Path(name) / f"{what} {number} {has_module}"
                    module = _MODULE if has_module else None
                    used[has_module] = _used(
                        folder, database, module, busy=busy, seconds=options.seconds
                    )
                rounds.append((used[True], used[False]))
            measured[what] = [{"with": own, "without": without} for own, without in rounds]
            provenance.write(options.output, {"shares_of_a_core": measured})
            for place, process in enumerate(("Synapse", "PostgreSQL")):
                pairs = [(own[place], without[place]) for own, without in rounds]
                found = bootstrap(pairs, _difference)
                if found is not None:
                    print(
                        f"{what}, {process}: {found.value:.2%} of a core more with the module,"
                        f" 90 % interval {found.low:.2%} to {found.high:.2%}"
                    )


if __name__ == "__main__":
    main()
