"""Benchmark results, from runs to figures, tables and a picture."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.latency import paces, report
from benchmarks.latency.arms import ARMS, arm
from benchmarks.latency.cells import DEPLOYMENTS, PLAN, Cell, cell
from benchmarks.latency.paces import Block, pace, rows
from benchmarks.latency.run import main, path_of, planned
from benchmarks.latency.statistics import Estimate
from benchmarks.latency.summary import Figures, summarise
from benchmarks.plots.front import Point, label_places, points, svg
from testbed.servers.process import ROOT

PIECE_S = 10.0
BEFORE_S, BEGIN_S = 20.0, 60.0
KINDS = ("send", "sync")


def run(
    name: str,
    items_per_s: float = 0.0,
    slowdown: float = 1.0,
    *,
    mood: float = 1.0,
    seconds: float = 60.0,
    **changes: Any,
) -> dict[str, Any]:
    """A run with two requests in each piece, and a batch of half a second in each second.

    A mood makes everything slower, before the update too.
    """
    pieces = []
    for number in range(int((BEGIN_S + seconds) / PIECE_S)):
        factor = mood * (slowdown if number * PIECE_S >= BEGIN_S else 1.0)
        requests = [
            [index, 4.0 * index, kind, factor * (10 + number) * (1 + 19 * index)]
            for index, kind in enumerate(KINDS)
        ]
        pieces.append({"requests": requests, "failed": {}})
    return {
        "update": "event_search" if items_per_s else "none",
        "load": "34",
        "deployment": "postgres",
        "arm": name,
        "round": 0,
        "revision": "abc1234",
        "piece_s": PIECE_S,
        "before_s": [BEFORE_S, BEGIN_S],
        "during_s": [BEGIN_S, BEGIN_S + seconds],
        "done_s": [],
        "pieces": pieces,
        "batches": [
            [BEGIN_S + second, BEGIN_S + second + 0.5, items_per_s]
            for second in range(int(seconds) if items_per_s else 0)
        ],
        "server_cpu": 0.4,
        "database_cpu": 0.2,
        "own_cpu": 0.004 if name == "balanced" else None,
        **changes,
    }


@pytest.fixture
def runs() -> dict[str, list[dict[str, Any]]]:
    """Ours has five times stock's speed at half of its harm, on a machine in a worse mood."""
    return {
        "control": [run("control")],
        "unthrottled": [run("unthrottled", 2000, 2.0)],
        "stock": [run("stock", 200, 1.2)],
        "balanced": [run("balanced", 1000, 1.1, mood=1.5)],
    }


@pytest.fixture
def figures(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Figures]:
    return summarise(runs)


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


def test_slowdown_is_against_the_control_and_the_time_before(figures: dict[str, Figures]) -> None:
    """The same requests are compared, and a machine in another mood makes no difference."""
    for name, slowdown in (("stock", 1.2), ("balanced", 1.1), ("unthrottled", 2.0)):
        for estimate in (figures[name].slowdown, figures[name].p50, figures[name].p95):
            assert pytest.approx(slowdown) == value(estimate)
    assert 5.0 == value(figures["balanced"].of_stock)
    assert 0.5 == value(figures["balanced"].of_unthrottled)
    assert pytest.approx(0.5) == figures["balanced"].duty_ratio
    assert 0.004 == figures["balanced"].own_cpu
    assert figures["stock"].own_cpu is None


def test_cost_is_slowdown_for_items(figures: dict[str, Figures]) -> None:
    """Half the harm in five times the speed is a tenth of the cost an item."""
    assert pytest.approx(0.2 / 200 * 1000) == value(figures["stock"].cost_s)
    assert pytest.approx(0.1 / 1000 * 1000) == value(figures["balanced"].cost_s)


def test_time_course() -> None:
    """Finding out is seen: the first minute, the next four and the rest are told apart."""
    long = run("balanced", 1000, 1.1, seconds=420)
    for number, piece in enumerate(long["pieces"]):
        if BEGIN_S <= number * PIECE_S < BEGIN_S + 60:
            for request in piece["requests"]:
                request[3] *= 2
    long["batches"] = [b for b in long["batches"] if b[0] >= BEGIN_S + 60]
    phases = summarise({"control": [run("control", seconds=420)], "balanced": [long]})[
        "balanced"
    ].phases
    assert ["minute 1", "2 to 5", "after"] == list(phases)
    assert [0.0, 0.5, 0.5] == [pytest.approx(phase.duty_ratio) for phase in phases.values()]
    assert [2.2, 1.1, 1.1] == [pytest.approx(value(phase.slowdown)) for phase in phases.values()]


def test_short_runs_have_no_later_minutes(figures: dict[str, Figures]) -> None:
    """What was not measured is not told."""
    assert ["minute 1"] == list(figures["balanced"].phases)


def test_rounds_make_the_interval() -> None:
    """Of rounds that differ the interval has both; each has the control of its own round."""
    some = [run("balanced", 1000, slowdown) | {"round": n} for n, slowdown in enumerate((1.1, 1.5))]
    controls = [run("control", mood=mood) | {"round": n} for n, mood in enumerate((1.0, 3.0))]
    found = summarise({"control": controls, "balanced": some})
    slowdown = found["balanced"].slowdown
    assert slowdown is not None
    assert pytest.approx(1.1) == slowdown.low
    assert pytest.approx(1.5) == slowdown.high
    assert 2 == found["balanced"].rounds
    assert pytest.approx(1.0) == value(found["control"].slowdown)


def test_without_control_there_is_no_slowdown(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Speed is told all the same; a control alone has no noise to tell."""
    assert summarise({"control": runs["control"]})["control"].slowdown is None
    found = summarise({"stock": runs["stock"], "balanced": runs["balanced"]})
    assert 5.0 == value(found["balanced"].of_stock)
    assert found["balanced"].slowdown is None
    assert found["balanced"].cost_s is None


def test_steps_of_the_load() -> None:
    """Where the load has steps, the time to follow them is told."""
    found = run("balanced", 1000, seconds=80) | {"load": "burst", "piece_s": 20.0}
    found["batches"] = [
        [BEGIN_S + 20 * n + start / 10, BEGIN_S + 20 * n + start / 10 + 0.1, 1]
        for n in range(4)
        for start in [*range(60), *range(160, 200)]
    ]
    figures = summarise({"balanced": [found]})["balanced"]
    assert pytest.approx(0.5, abs=0.02) == figures.slower_s
    assert pytest.approx(0.5, abs=0.02) == figures.faster_s
    assert "half the share 0.5 s after a step up" in report.details("x", {"balanced": figures})


@pytest.fixture
def folder(runs: dict[str, list[dict[str, Any]]], tmp_path: Path) -> Path:
    """The runs as files."""
    for name, (one,) in runs.items():
        path = path_of(tmp_path, Cell("event_search", "34"), name, 0)
        path.write_text(json.dumps(one))
    return tmp_path


def test_tables_are_of_the_files_that_are_there(folder: Path) -> None:
    """Every arm has a row with as many cells as the head; the overview has a row for the cell."""
    cells = report.load(folder)
    assert ["event_search-34"] == list(cells)
    (row,) = report.overview(cells)
    assert "| event_search-34 | 200 | 10 times, 2.00 [2.00, 2.00] |" in row
    assert "| 5 times, 1.10 [1.10, 1.10] |" in row
    assert report.OVERVIEW.split("\n")[0].count("|") == row.count("|")
    lines = report.details("event_search-34", cells["event_search-34"]).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert ["arm", "---", "control", "balanced", "stock", "unthrottled"] == [
        line.split("|")[1].strip() for line in table
    ]
    assert 1 == len({line.count("|") for line in table})
    assert "- balanced: its own CPU in the reactor 0.40% of a core" in lines
    assert "- balanced: revision `abc1234`" in lines


def test_controls_are_shared(folder: Path) -> None:
    """A run without an update is the control of all updates under the same load."""
    other = run("stock", 200, 1.2) | {"update": "event_resign"}
    path_of(folder, Cell("event_resign", "34"), "stock", 0).write_text(json.dumps(other))
    cells = report.load(folder)
    assert ["event_resign-34", "event_search-34"] == sorted(cells)
    assert pytest.approx(1.2) == value(cells["event_resign-34"]["stock"].slowdown)


def test_losses_are_sentences(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Whatever the default profile misses is said: speed, harm, shares of the time, its own CPU."""
    stock = [run("stock", 200, 1.2)]
    worse = runs | {"balanced": [run("balanced", 100, 1.3, own_cpu=0.02)]}
    harmless = {"stock": stock, "balanced": [run("balanced", 200, seconds=400)]}
    idle = {"unthrottled": [run("unthrottled", 200)], "balanced": [run("balanced", 200)]}
    said = {
        name: report.losses({name: summarise(some)})
        for name, some in (
            ("event_search-34", worse),
            ("waits-15", harmless),
            ("event_search-idle", idle),
        )
    }
    assert [
        "it has 0.50 [0.50, 0.50] times stock's speed.",
        "clients' latency is 1.30 [1.30, 1.30], and with stock 1.20 [1.20, 1.20].",
        "its own CPU in the reactor is 2.00% of a core.",
    ] == [line.removeprefix("- **event_search-34**: ") for line in said["event_search-34"]]
    assert [
        "it has 50% of the time (minutes 2 to 5); the aim is 85%.",
        "it has 50% of the time (after minute 5); the aim is 90%.",
    ] == [line.removeprefix("- **waits-15**: ") for line in said["waits-15"]]
    assert [
        "not known, because stock was not measured beside it.",
        "it has 1.00 [1.00, 1.00] of unthrottled's speed; the aim is 1.05.",
    ] == [line.removeprefix("- **event_search-idle**: ") for line in said["event_search-idle"]]
    assert ["- In no cell that was measured."] == report.losses(
        {"event_search-34": summarise(runs)}
    )


def test_page_has_the_table_that_is_made() -> None:
    """docs/benchmarks.md has the overview's head, for the command to find; rows are as wide."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    _, _, below = page.partition(f"{report.OVERVIEW}\n")
    rows = below.partition("\n\n")[0].splitlines()
    assert rows
    assert {report.OVERVIEW.split("\n")[0].count("|")} == {row.count("|") for row in rows}
    for name in (row.split("|")[1].strip() for row in rows):
        cell(name)


def test_documents(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command makes the tables and the picture of the documentation."""
    docs = tmp_path / "docs"
    (docs / "benchmarks").mkdir(parents=True)
    parts = [
        "# Benchmarks",
        f"{report.OVERVIEW}\n| old |",
        report.LOSSES,
        "- old",
        "## How",
        "End.\n",
    ]
    (docs / "benchmarks.md").write_text("\n\n".join(parts))
    monkeypatch.setattr("sys.argv", ["report", "--runs", str(folder), "--docs", str(docs)])
    report.main()
    text = (docs / "benchmarks.md").read_text()
    assert "| event_search-34 |" in text
    assert "old" not in text
    assert text.endswith("\n- In no cell that was measured.\n\n## How\n\nEnd.\n")
    assert "## event_search-34" in (docs / "benchmarks" / "runs.md").read_text()
    ElementTree.parse(docs / "front.svg")


def test_picture(folder: Path) -> None:
    """The SVG has a mark for each arm, and a line from stock to ours."""
    shown = points(report.load(folder))
    assert {"unthrottled": "other", "stock": "stock", "balanced": "ours"} == {
        point.arm: point.group for point in shown
    }
    root = ElementTree.fromstring(svg(shown))
    labels = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"event_search-34, unthrottled", "event_search-34, balanced"} <= set(labels)
    assert 3 == len(list(root.iter("{http://www.w3.org/2000/svg}circle")))
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert 2 == len(line.attrib["points"].split())


def test_names_do_not_hide_each_other() -> None:
    """Where marks are close, names are above each other; elsewhere they are beside their marks."""
    places = label_places({"a": (100, 200), "b": (105, 198), "c": (101, 201), "far": (400, 200)})
    assert (407.0, 194.0) == places["far"]
    heights = sorted(y for name, (_, y) in places.items() if name != "far")
    assert all(13 <= higher - lower for lower, higher in pairwise(heights))


def test_picture_keeps_within_its_frame() -> None:
    """However bad an arm is, its mark is inside; without any there is an empty frame."""
    shown = [Point("bad", "fast", Estimate(190.0, 0.001, 900.0), Estimate(30.0, 0.1, 90.0))]
    numbers = re.findall(r'c[xy]="([\d.-]+)"', svg(shown))
    assert 2 == len(numbers)
    assert all(0 < float(number) < 760 for number in numbers)
    ElementTree.fromstring(svg([]))


@pytest.mark.parametrize("name", [*ARMS, "stock 300/100"])
def test_arms_have_names(name: str) -> None:
    """Every name that is offered is an arm."""
    arm(name, {})


def test_arms_of_ones_own() -> None:
    """A configuration given on the command line is an arm of ours; stock's settings are numbers."""
    assert {"duty_cycle": "1%"} == arm("mine", {"mine": {"duty_cycle": "1%"}}).module
    assert {"sleep_duration_ms": 50, "background_update_duration_ms": 25} == arm(
        "stock 50/25", {}
    ).stock
    with pytest.raises(ValueError, match="there are control, unthrottled"):
        arm("nobody", {})


def test_cells_have_names() -> None:
    """A cell of the plan is found by its name; others are made; what is unknown is refused."""
    for each in PLAN:
        assert str(each) == str(cell(str(each)))
    assert PLAN[0] == cell(str(PLAN[0]))
    assert set(DEPLOYMENTS) == {each.deployment for each in PLAN}
    assert Cell("event_resign", "burst", "workers") == cell("event_resign-burst-workers")
    for name in ("nothing-15", "event_resign-16", "event_resign-15-nowhere"):
        with pytest.raises(ValueError, match="there are"):
            cell(name)


def test_runs_are_planned_in_balanced_order(tmp_path: Path) -> None:
    """Each arm once a round, in another order; a control has the same file for all updates."""
    found = list(planned([Cell("event_search", "15")], 4))
    orders = [[name for _, name, number in found if number == n] for n in range(4)]
    assert 1 == len({tuple(sorted(order)) for order in orders})
    assert 1 < len({tuple(order) for order in orders})
    controls = {path_of(tmp_path, cell(f"{u}-15"), "control", 0) for u in ("waits", "event_resign")}
    assert 1 == len(controls)
    names = {path_of(tmp_path, each, name, number) for each, name, number in found}
    assert 12 == len(names)


def test_what_is_there_is_not_run_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is begun what does not fit into the time that there is."""
    command = ["run", "--runs", str(folder), "--cell", "event_search-34", "--within", "0", "--arms"]
    before = sorted(folder.iterdir())
    for arms in (["control", "stock", "balanced"], ["fast"]):
        monkeypatch.setattr("sys.argv", [*command, *arms])
        main()
    assert "" == capsys.readouterr().out
    assert before == sorted(folder.iterdir())


def test_fixed_paces_in_short_blocks() -> None:
    """A round in which all is three times as slow changes nothing; each pace has a row."""
    blocks = [
        Block(name, number, 0.0, {0: ms * (1 + number)}, items * (1 + number), items / 1000)
        for number in range(3)
        for name, items, ms in (("none", 0, 10), ("unthrottled", 200, 20), ("stock", 20, 11))
    ]
    none, unthrottled, stock = rows(blocks)
    assert "| stock | 40 | 0.10 [0.10, 0.10] | 1.00 [1.00, 1.00] | 2% | 1.10 [1.10, 1.10]" in stock
    assert "10.00 [10.00, 10.00]" in unthrottled
    assert {paces.HEAD.split("\n")[0].count("|")} == {row.count("|") for row in (none, stock)}


@pytest.mark.parametrize(
    ("name", "rest_s", "target_ms"),
    [("unthrottled", 0.0, 100), ("stock 50/25", 0.05, 25), ("nice", None, 100)],
)
def test_paces_by_name(name: str, rest_s: float | None, target_ms: int) -> None:
    """A pace is a rest and a target; without batches it is none."""
    found = pace(name)
    assert found is not None
    assert (rest_s, target_ms) == (found.rest_s, found.target_ms)
    assert pace("control") is None
    with pytest.raises(ValueError, match="no pace"):
        pace("balanced")
