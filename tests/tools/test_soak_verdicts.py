"""The long runs report what went wrong, and then exit with status 1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from soak import records
from soak.__main__ import PARTS, run
from soak.faults import iterations, kills
from soak.fuzzing import memory
from soak.records import Records
from testbed.faults.restarts import RunningKills


def test_the_status_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is 1 if anything was not well or nothing was seen, and what was not is told at the end."""
    seen = Records(tmp_path / "seen", "Some runs")
    assert 1 == seen.status()
    seen.add({"of": "stock"})
    seen.add({"of": "ours"}, "the first", [])
    assert 0 == seen.status()
    seen.add({"of": "ours"}, "the second", ["late", "aborted"])
    assert 1 == seen.status()
    told = capsys.readouterr().out.splitlines()[-3:]
    assert ["NOT WELL: the second: late", "NOT WELL: the second: aborted"] == told[:2]
    assert "| ours | late; aborted |" in (tmp_path / "seen.md").read_text()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"complaints": 2, "such lines": ["a", "b"]}, ["2 complaints in the log, a"]),
        ({"aborted": True}, ["Synapse gave up all updates"]),
        ({"left": 1}, ["1 updates are left"]),
        ({"wrong": 2}, ["2 state keys were not restored, of 107"]),
        ({"keys": 89}, ["0 state keys were not restored, of 89"]),
        ({"iterations": 99}, ["only 99 iterations"]),
        ({"requests": 59}, ["only 59 requests were answered in 60 s"]),
        ({"faults": {"paused": 19}}, ["only 19 faults"]),
        ({"never happened": ["disabled"]}, ["disabled never happened"]),
        ({"is calm": True, "faults": {}, "never happened": ["paused"]}, []),
        (
            {"RSS early, late": [129.0, 135.1]},
            ["memory grew from 129.0 to 135.1 MiB, which is more than 135.0"],
        ),
    ],
)
def test_iterations(changes: dict[str, Any], expected: list[str]) -> None:
    """No abort, nothing left, no lost context, and memory as of any server under load."""
    as_promised: dict[str, Any] = {
        "complaints": 0,
        "aborted": False,
        "left": 0,
        "keys": 107,
        "wrong": 0,
        "s": 60,
        "requests": 60,
        "is calm": False,
        "faults": {"paused": 12, "disabled": 8},
        "never happened": [],
        "iterations": 100,
        "RSS early, late": [129.0, 132.0],
        "RSS late at most": 135.0,
    }
    assert expected == iterations.breaches({**as_promised, **changes}, 100)


# Seconds, and MiB in the second and the last fifth: docs/reliability/iterations.md.
@pytest.mark.parametrize(
    ("took_s", "early_mib", "late_mib"),
    [(322, 131.7, 133.8), (1451, 135.7, 145.5), (86, 127.2, 129.1), (222, 123.8, 126.9)],
)
def test_a_leak(took_s: float, early_mib: float, late_mib: float) -> None:
    """What was seen is let pass with some room; with 150 bytes an iteration more it is not."""
    allowed_mib = iterations.most_growth_mib(took_s)
    seen_mib = late_mib - early_mib
    assert seen_mib + 2 < allowed_mib
    assert seen_mib + 150 * 60_000 / 2**20 > allowed_mib


_WELL: Mapping[str, Any] = {"progressed": 6, "rows": 100, "expected": 100, "is_intact": True}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"lost": 1}, ["1 acknowledged levers were lost"]),
        ({"back": 1}, ["1 levers that were ended were back"]),
        ({"wrong": 1}, ["1 times the rows were not what the update said"]),
        ({"backwards": 1}, ["1 times the update was not as far as before"]),
        ({"progressed": 2}, ["the update went on 2 times only"]),
        ({"slowest_stop_s": 2.1}, ["SIGTERM took 2.1 s"]),
        ({"is_intact": False}, ["the database is not intact"]),
        ({"bad_exits": 1}, ["1 times the exit status was not 0"]),
        ({"left": 1}, ["1 updates are left"]),
        ({"rows": 99}, ["99 rows at the end, of 100"]),
        ({"complaints": 1}, ["1 complaints in the log"]),
    ],
)
def test_kills(changes: dict[str, Any], expected: list[str]) -> None:
    """Pauses are kept, rows are those of what was done, and the server ends when it is told to."""
    seen = RunningKills(**{**_WELL, **changes})
    assert expected == kills.breaches(seen, 10, is_same=True)


def test_kills_compared_with_stock() -> None:
    """The index is stock's, row by row."""
    seen = RunningKills(**_WELL)
    assert ["the index is not the same as stock's"] == kills.breaches(seen, 10, is_same=False)


def test_memory() -> None:
    """What the module keeps does not grow, but for what is just under way."""
    assert [] == memory.flat(16.5, 17.3, "KiB")
    assert ["the module's own grew from 16.5 to 45 KiB"] == memory.flat(16.5, 45, "KiB")


def test_all_parts_are_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also those after one that failed; which did is told at the end."""
    parts = {"good": ("platform",), "bad": ("soak.no_such_part",), "later": ("platform",)}
    assert 1 == run(parts, tmp_path / "all")
    told = capfd.readouterr().out.splitlines()
    assert ["NOT WELL: bad: exit status 1", "All long runs: not all was well"] == told[-2:]
    assert ["good", "bad", "later"] == [
        line.split()[1] for line in (tmp_path / "all.md").read_text().splitlines()[4:]
    ]
    assert 0 == run({"good": ("platform",)}, tmp_path / "all")


def test_each_run_is_a_part() -> None:
    """No file with a run of its own is left out."""
    soak = Path(records.__file__).parent
    with_a_run = {
        ".".join(path.relative_to(soak).with_suffix("").parts)
        for path in soak.rglob("*.py")
        if "\nif __name__" in path.read_text() and path.stem != "__main__"
    }
    runs = {command[0] for command in PARTS.values()} - {"benchmarks.cost.kills"}
    assert with_a_run == {name.removeprefix("soak.") for name in runs}
