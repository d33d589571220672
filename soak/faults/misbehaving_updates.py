"""Misbehaving updates on a real server, compared with stock Synapse.

`python -m soak.faults.misbehaving_updates`. A normal update waits behind each of them, and another
one runs in the server's other database. Clients read and write ten times a second. The exit status
is 1 unless each update ended as it must with the module: with growing waits, few log lines and no
missing row, and without harm to the other update and the clients.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs

from soak.faults.fault_verdicts import MOST_TOLD
from soak.records import Records, broken
from testbed.faults.misbehaving_updates import Oddity
from testbed.faults.misbehaving_worlds import OddSource, Seen
from testbed.servers.postgres import PostgresServer


@attrs.frozen
class Case:
    """A misbehaving update, and the configurations of both servers.

    Attributes:
        ends: whether it ends with the module.
        most_failed, least_failed: failed iterations with the module.
        least_rests_ratio: total rests for each second in batches, with the module.
        most_batch_ms: largest median of its batches with the module.
        least_longest_ms: its longest batch with the module; a shorter one is no misbehaviour.
        module, stock: configuration of the module, and of a server without it.
    """

    name: str
    update: Oddity
    ends: bool = True
    most_failed: int = 0
    least_failed: int = 0
    least_rests_ratio: float = 0.0
    most_batch_ms: float = math.inf
    least_longest_ms: float = 0.0
    module: dict[str, Any] = attrs.field(factory=dict)
    stock: dict[str, Any] = attrs.field(factory=dict)
    statement_timeout_ms: int | None = None


_NEVER = 10**9
# A little less than configured, because the log's times are rounded.
_HALF, _QUARTER = 0.95, 2.9
_20_MS = {"target_duration": "20ms"}
_STOCK_20_MS = {"background_updates": {"background_update_duration_ms": 20}}

CASES = (
    Case("fails once", Oddity("odd", 1000, failures=1), most_failed=1, least_failed=1),
    Case(
        "fails four times in a row",
        Oddity("odd", 1000, failures=4),
        most_failed=4,
        least_failed=4,
    ),
    Case(
        "fails five times in a row",
        Oddity("odd", 1000, failures=5),
        ends=False,
        most_failed=5,
        least_failed=5,
    ),
    Case(
        "fails always",
        Oddity("odd", 1000, failures=_NEVER),
        ends=False,
        most_failed=5,
        least_failed=5,
    ),
    Case(
        "hangs for a minute",
        Oddity("odd", 1000, hang_s=60),
        # At most half of the time is its own, because its neighbour works too.
        least_rests_ratio=_HALF,
        least_longest_ms=59_000,
    ),
    Case(
        "each batch takes 100 times its target",
        Oddity("odd", 500, cost_ms=20, batch_items=100),
        least_rests_ratio=_HALF,
        least_longest_ms=1900,
        module=_20_MS,
        stock=_STOCK_20_MS,
    ),
    Case(
        "items cost 0.02 to 200 ms",
        Oddity("odd", 800, cost_ms=0.02, spread_ratio=1e4),
        least_rests_ratio=_QUARTER,
        most_batch_ms=300,  # three times the target
        least_longest_ms=1000,  # its first batch, of 100 items, took 2.2 s
        module={"duty_cycle": "25%", "default_batch_size": 100},
    ),
    Case(
        "first batch longer than statement_timeout",
        Oddity("odd", 300, cost_ms=30),
        most_failed=2,
        least_failed=1,
        module={"default_batch_size": 100},
        statement_timeout_ms=1000,
    ),
)


# The waits after the first, second, ... failed iteration, with some time for the pace and the batch
# itself.
_BACKOFF_S = (5, 15, 30, 60)
_LATER_S = 10
# Among clients the neighbour rests too: 9 s were seen. After a hanging batch it was 16 s, because
# its slowdown keeps both at the least duty cycle for 15 s.
_LONGEST_GAP_S = 20
# How much of a hanging batch the status may miss, because it is read now and then.
_TOLD_LATER_S = 5
# Twice what was seen. Synapse logs two lines for each batch, a traceback for each failure, and
# some for clients' writes.
_KIB_AT_START, _KIB_PER_BATCH, _KIB_PER_FAILURE, _KIB_PER_S = 60, 1.0, 5, 2.0
# The median was 9 ms, and the longest 65 ms on two shared cores.
_CLIENTS_MS, _LONGEST_CLIENT_MS = 50, 5000
# Clients send ten requests a second. With fewer answers there was nobody to harm.
_LEAST_ANSWERED_PER_S = 1.0


def breaches(case: Case, seen: Seen) -> list[str]:
    """Broken promises of a run with the module."""
    return [*wrongs(case, seen), *_late(case, seen)]


def wrongs(case: Case, seen: Seen) -> list[str]:
    """What must not happen on any machine, however slow."""
    waits_s = _BACKOFF_S[: case.update.failures]
    tries_s = seen.tries_s[: len(waits_s)]
    is_too_soon = len(tries_s) < len(waits_s) or any(
        try_s < wait_s for wait_s, try_s in zip(waits_s, tries_s, strict=True)
    )
    failed, longest_ms, rests = seen.failed, seen.batch_ms[1], seen.rests_ratio
    return broken(
        {
            "it came to its end": seen.done and not case.ends,
            "it did not come to its end": not seen.done and case.ends,
            "Synapse gave it up": seen.aborted and case.ends,
            "Synapse did not give it up": not seen.aborted and not case.ends,
            f"{seen.wrong} rows are missing or there twice": seen.wrong,
            f"{failed} iterations failed": not case.least_failed <= failed <= case.most_failed,
            f"it was tried again after {tries_s} s": is_too_soon,
            f"it rested {rests} s for each second in batches": rests < case.least_rests_ratio,
            f"the longest of its batches took {longest_ms} ms": longest_ms < case.least_longest_ms,
            f"{seen.complaints} complaints in the log": seen.complaints,
        }
    )


def _late(case: Case, seen: Seen) -> list[str]:
    """What took too long, or happened too often, on a machine that is not too busy."""
    tries_s = seen.tries_s[: min(case.update.failures, len(_BACKOFF_S))]
    is_late = any(
        try_s > wait_s + _LATER_S for wait_s, try_s in zip(_BACKOFF_S, tries_s, strict=False)
    )
    batch_ms, gap_s, answered = seen.batch_ms[0], seen.neighbour[1], seen.clients_answered
    client_ms, longest_ms = seen.clients_ms
    least_told_s = case.update.hang_s - _TOLD_LATER_S
    return broken(
        {
            f"it was tried again after {tries_s} s": is_late,
            f"half of its batches took {batch_ms} ms": batch_ms > case.most_batch_ms,
            f"of a batch that hung the status told for {seen.told_s} s": seen.told_s < least_told_s,
            f"the module logged {seen.told} lines": seen.told > MOST_TOLD,
            f"{seen.log_kib} KiB were logged": seen.log_kib > _most_kib(seen),
            f"the neighbour had no batch for {gap_s} s": gap_s > _LONGEST_GAP_S,
            f"half of the clients' requests took {client_ms} ms": client_ms > _CLIENTS_MS,
            f"a request of a client took {longest_ms} ms": longest_ms > _LONGEST_CLIENT_MS,
            f"{seen.clients_failed} requests of clients failed": seen.clients_failed,
            f"{answered} requests of clients were answered in {seen.s} s": (
                answered < _LEAST_ANSWERED_PER_S * seen.s
            ),
        }
    )


def _most_kib(seen: Seen) -> float:
    batches = seen.neighbour[0]
    by_event = _KIB_PER_BATCH * batches + _KIB_PER_FAILURE * seen.failed
    return _KIB_AT_START + by_event + _KIB_PER_S * seen.s


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.faults.misbehaving_updates", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/updates"))
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--patience-s", type=float, default=900, help="for each server")
    options = parser.parse_args()
    records = Records(options.output, "Updates that misbehave, the module and stock beside it")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PostgresServer(folder / "cluster") as postgres:
            source = OddSource.make(postgres, folder / "source")
            for number, case in enumerate(CASES):
                if options.only and case.name not in options.only:
                    continue
                for is_ours in (True, False):
                    run = f"{'ours' if is_ours else 'stock'}{number}"
                    world = source.world(
                        folder / run,
                        run,
                        case.module if is_ours else None,
                        (case.update, Oddity("behind", 200)),
                        {} if is_ours else case.stock,
                        case.statement_timeout_ms,
                    )
                    seen = world.live(options.patience_s)
                    server = "module" if is_ours else "stock"
                    record = {"update": case.name, "server": server, **attrs.asdict(seen)}
                    records.add(record, case.name, breaches(case, seen) if is_ours else None)
    return records.status()


if __name__ == "__main__":
    sys.exit(main())
