"""Updates that misbehave on a real server, stock Synapse beside it: `python -m soak.updates`.

An update that is as it should be comes behind each of them, and another one runs in the server's
other database; clients read and write ten times a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs

from harness.odd_updates import Oddity
from harness.odd_worlds import OddSource
from harness.postgres import PostgresServer
from soak.records import Records


@attrs.frozen
class Case:
    """An update that misbehaves, and how each of both servers is set.

    Attributes:
        ends: whether it comes to its end with the module.
        module, stock: configuration of the module, and of a server without it.
    """

    name: str
    update: Oddity
    ends: bool = True
    module: dict[str, Any] = attrs.field(factory=dict)
    stock: dict[str, Any] = attrs.field(factory=dict)
    statement_timeout_ms: int | None = None


_NEVER = 10**9
_20_MS = {"target_duration": "20ms"}
_STOCK_20_MS = {"background_updates": {"background_update_duration_ms": 20}}

CASES = (
    Case("fails once", Oddity("odd", 1000, failures=1)),
    Case("fails four times in a row", Oddity("odd", 1000, failures=4)),
    Case("fails five times in a row", Oddity("odd", 1000, failures=5), ends=False),
    Case("fails always", Oddity("odd", 1000, failures=_NEVER), ends=False),
    Case("hangs for a minute", Oddity("odd", 1000, hang_s=60)),
    Case(
        "each batch takes 100 times its target",
        Oddity("odd", 500, cost_ms=20, batch_items=100),
        module=_20_MS,
        stock=_STOCK_20_MS,
    ),
    Case(
        "items cost 0.02 to 200 ms",
        Oddity("odd", 800, cost_ms=0.02, spread_ratio=1e4),
        module={"duty_cycle": "25%"},
    ),
    Case(
        "first batch longer than statement_timeout",
        Oddity("odd", 300, cost_ms=30),
        statement_timeout_ms=1000,
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.updates", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/updates"))
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--patience-s", type=float, default=900, help="for each server")
    options = parser.parse_args()
    records = Records(options.output, "Updates that misbehave, the module and stock beside it")
    is_well = True
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
                    records.add({"update": case.name, "server": server, **attrs.asdict(seen)})
                    is_well &= not seen.wrong and (seen.done is case.ends or not is_ours)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
