"""The verdict on a server after a fault agrees with the table of docs/reliability/outages.md."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from soak.faults import fault_runs
from soak.faults.fault_verdicts import Expected, breaches, breaches_of_stock, unlike_the_table
from soak.records import Records
from synapse_bgthrottle.core.config.parser import parse
from testbed.faults.outcome import Seen

_UNFELT = "nothing was seen of the fault: 2 batches ended in it, none failed"


def after_a_fault(**changes: Any) -> Seen:
    """All rows are there, after 2 s."""
    as_promised: dict[str, Any] = {
        "recovered_s": 2.0,
        "aborted": False,
        "failed": 1,
        "batches_in_it": 0,
        "holds": 1,
        "told": 4,
        "complaints": 0,
        "left": 0,
        "rows_before": 10,
        "rows_after": 10,
        "rows": 100,
        "expected": 100,
        "wrong": 0,
    }
    return Seen(**{**as_promised, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"recovered_s": 10.0}, []),
        ({"recovered_s": 10.1}, ["updates went on after 10.1 s, not 10 s"]),
        ({"recovered_s": None}, ["updates did not go on after it"]),
        ({"rows_after": 100}, ["all was done before it ended"]),
        ({"failed": 0, "holds": 0, "batches_in_it": 1}, []),
        ({"failed": 0, "batches_in_it": 2}, []),
        ({"failed": 0, "holds": 0, "batches_in_it": 2}, [_UNFELT]),
        ({"failed": 3}, []),
        ({"failed": 4}, ["4 iterations failed"]),
        ({"aborted": True}, ["Synapse gave up all updates"]),
        ({"left": 2}, ["2 updates are left"]),
        ({"wrong": 3}, ["3 rows are missing or there twice"]),
        ({"rows": 99}, ["99 rows at the end, of 100"]),
        ({"told": 21}, ["the module logged 21 lines"]),
        ({"complaints": 1}, ["1 complaints in the log"]),
    ],
)
def test_faults(changes: dict[str, Any], expected: list[str]) -> None:
    """It was felt; no abort, no row missing, all done, and the next batch within ten seconds."""
    assert expected == breaches(after_a_fault(**changes), Expected())


def test_a_full_disk_that_is_seen() -> None:
    """Updates that `disk_free` holds may wait for its hold and for its next look, no longer."""
    limit_s = fault_runs.DISK_SEEN_WITHIN_S
    assert 20 == limit_s
    expected = Expected(within_s=limit_s)
    assert [] == breaches(after_a_fault(recovered_s=20.0), expected)
    assert 1 == len(breaches(after_a_fault(recovered_s=20.1), expected))


def test_a_fault_that_is_over_at_once() -> None:
    """That no batch ended in it tells nothing: one must have failed."""
    expected = Expected(least_failed=1)
    assert [] == breaches(after_a_fault(), expected)
    assert ["0 iterations failed"] == breaches(after_a_fault(failed=0), expected)


# Five failures, after which nothing more is done.
_ABORTED = {"aborted": True, "failed": 5, "left": 1, "rows": 20, "recovered_s": None, "holds": 0}
_WENT_ON = {"failed": 1, "holds": 0}


@pytest.mark.parametrize(
    ("changes", "expected", "found", "told"),
    [
        (_ABORTED, Expected(), [], None),
        (_WENT_ON, Expected(), ["stock did not abort"], "stock did not abort"),
        (_WENT_ON, Expected(is_stock_sure=False), [], "stock did not abort"),
        (_WENT_ON, Expected(stock_aborts=False), [], None),
        (_ABORTED, Expected(stock_aborts=False), [], "stock aborted"),
        (
            {"failed": 0, "holds": 0, "batches_in_it": 100},
            Expected(is_stock_sure=False),
            [_UNFELT.replace(" 2 ", " 100 ")],
            "stock did not abort",
        ),
    ],
)
def test_stock(
    changes: dict[str, Any], expected: Expected, found: list[str], told: str | None
) -> None:
    """It must abort where the table says so and nothing is left to luck; else that is told."""
    seen = after_a_fault(**changes)
    assert found == breaches_of_stock(seen, expected)
    assert told == unlike_the_table(seen, expected)


def test_the_default_of_a_fault() -> None:
    """Nothing but the most of the time is set: the pace and the budgets are as they come."""
    for arm in (*fault_runs.DEFAULT, *fault_runs.SLOW_DEFAULT):
        assert arm.module is not None
        assert {"max_duty_cycle"} == set(arm.module)
        parse(arm.module)  # is valid


def test_each_server_is_judged(tmp_path: Path) -> None:
    """Both with the module, and stock by what the table says of it."""
    records = Records(tmp_path / "seen", "Some faults")
    nothing: Any = None
    run = fault_runs.Run(tmp_path, nothing, records)
    seen = after_a_fault(failed=1, recovered_s=11.0)
    with (
        patch("soak.faults.fault_runs.PostgresSource.make"),
        patch("soak.faults.fault_runs.outcome.observe_fault", return_value=seen),
    ):
        run.on_postgres(fault_runs.Case("gone", 10, fault_runs.ALL), lambda _: nullcontext())
    judged = map(json.loads, (tmp_path / "seen.jsonl").read_text().splitlines())
    late, survived = "updates went on after 11.0 s, not 10 s", "stock did not abort"
    assert [("default", late), ("module", late), ("stock", survived)] == [
        (record["server"], record["not well"]) for record in judged
    ]
    assert 1 == records.status()
