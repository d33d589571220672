"""Benchmark results, from logs to blocks, figures, a table and a picture."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.latency.arms import ARMS, arm
from benchmarks.latency.records import Block, records
from benchmarks.latency.statistics import Estimate
from benchmarks.latency.summary import summarise
from benchmarks.latency.table import table
from benchmarks.plots.front import Point, label_places, points, svg
from testbed.observe.batch_log import Batch


def block(
    name: str, number: int, items: float, latency_ms: float, **changes: Any
) -> dict[str, Any]:
    """A block of 4 s with one batch and two requests."""
    return {
        "arm": name,
        "round": number,
        "ran_dry": False,
        "items_per_s": items,
        "duty_ratio": items / 1000,
        "batches_ms": [[1500, 1500 + int(items)]] if items else [],
        "cpu_share": 0.4,
        "failed": {},
        "requests": [[0, "send", latency_ms], [1, "sync", latency_ms * 20]],
        **changes,
    }


def cell(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A cell with these blocks."""
    return {
        "database": "postgres",
        "update": "event_search",
        "load": "steady",
        "rounds": 3,
        "block_s": 4.0,
        "discarded_s": 1.0,
        "busy_s": None,
        "load_cpu_share": 0.02,
        "own_cpu_share": {"balanced": 0.004},
        "arms": ["none", "unthrottled", "stock", "balanced"],
        "blocks": list(blocks),
    }


@pytest.fixture
def three_rounds() -> dict[str, Any]:
    """Unthrottled doubles latency; ours has half the speed at a tenth of the harm."""
    return cell(
        *(
            block(name, number, items * (1 + number), latency_ms * (1 + number))
            for number in range(3)
            for name, items, latency_ms in (
                ("none", 0, 10),
                ("unthrottled", 200, 20),
                ("stock", 20, 10),
                ("balanced", 100, 11),
            )
        )
    )


def test_speed_and_latency_are_ratios_within_rounds(three_rounds: dict[str, Any]) -> None:
    """A round in which all is three times as slow changes nothing."""
    figures = summarise(three_rounds)
    assert Estimate(0.5, 0.5, 0.5) == figures["balanced"].of_unthrottled
    assert Estimate(5, 5, 5) == figures["balanced"].of_stock
    mean = figures["balanced"].mean
    assert mean is not None
    assert pytest.approx(1.1) == mean.value == mean.low == mean.high
    assert {"send", "sync"} == figures["balanced"].kinds.keys()
    assert 0.004 == figures["balanced"].own_cpu_ratio
    assert figures["stock"].own_cpu_ratio is None


def test_dry_blocks_are_left_out(three_rounds: dict[str, Any]) -> None:
    """A block in which the update came to its end measures nothing, and the table says so."""
    for found in three_rounds["blocks"]:
        if found["arm"] == "unthrottled" and found["round"] == 1:
            found.update(ran_dry=True, items_per_s=1.0)
    figures = summarise(three_rounds)
    assert Estimate(0.5, 0.5, 0.5) == figures["balanced"].of_unthrottled
    assert 2 == figures["unthrottled"].blocks
    assert "unthrottled: 1 blocks left out" in table(three_rounds, figures)


def test_table(three_rounds: dict[str, Any]) -> None:
    """Every arm has a row with as many cells as the head."""
    lines = table(three_rounds, summarise(three_rounds)).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert ["arm", "none", "unthrottled", "stock", "balanced"] == [
        row.split("|")[1].strip() for row in rows
    ]
    assert 1 == len({row.count("|") for row in rows})
    assert "- balanced: its own CPU in the reactor 0.40% of a core" in lines


def test_arms_that_did_nothing(three_rounds: dict[str, Any]) -> None:
    """A cell without requests, and arms without blocks, are summarised all the same."""
    idle = cell(*(b | {"requests": []} for b in three_rounds["blocks"] if b["arm"] == "stock"))
    figures = summarise(idle)
    assert figures["stock"].mean is None
    assert 0 == figures["balanced"].blocks
    assert "no requests" in table(idle, figures)


def test_steps_of_the_load() -> None:
    """Where the load has steps, the time to follow them is told."""
    spans = [[start, start + 100] for start in [*range(0, 6000, 100), *range(16000, 20000, 100)]]
    blocks = [block("balanced", number, 100, 10, batches_ms=spans) for number in range(3)]
    burst = cell(*blocks) | {"busy_s": [5.0, 15.0], "block_s": 20.0}
    figures = summarise(burst)["balanced"]
    assert figures.slower_s is not None
    assert figures.faster_s is not None
    assert pytest.approx(0.5, abs=0.02) == figures.slower_s.value
    assert pytest.approx(0.5, abs=0.02) == figures.faster_s.value
    assert "balanced: half the share 0.50 [0.50, 0.50] s after" in table(burst, summarise(burst))


def test_records() -> None:
    """A batch counts for a block as far as it is inside; the first second counts nowhere."""
    blocks = [Block("stock", 0, 100.0), Block("nice", 0, 104.0)]
    done = [Batch("u", 103.0, 106.0, 300, 300), Batch("u", 104.1, 104.9, 99, 99)]
    lines = [
        "-1 0 2.0 5.0 send 200",
        "0 0 0.5 5.0 send 200",
        "0 1 2.0 6.0 send 200",
        "1 1 2.0 7.0 sync 200",
        "1 2 2.5 8.0 send 500",
    ]
    stock, nice = records(blocks, 4.0, [line.split() for line in lines], done)
    assert pytest.approx(100 / 3) == stock["items_per_s"]
    assert pytest.approx(1 / 3) == stock["duty_ratio"] == nice["duty_ratio"]
    assert [[3000, 6000]] == stock["batches_ms"]
    assert [[1, "send", 6.0]] == stock["requests"]
    assert [[1, "sync", 7.0]] == nice["requests"]
    assert ({}, {"send 500": 1}) == (stock["failed"], nice["failed"])


def test_picture(three_rounds: dict[str, Any]) -> None:
    """The front is well-formed, has every arm with batches, and joins stock's settings."""
    shown = points(summarise(three_rounds))
    assert ["unthrottled", "stock", "balanced"] == [point.name for point in shown]
    assert ["other", "stock", "ours"] == [point.group for point in shown]
    text = svg("search & more", shown, Estimate(1.0, 0.97, 1.02))
    root = ElementTree.fromstring(text)
    labels = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"search & more", "unthrottled", "stock", "balanced"} <= set(labels)
    assert 3 == len(list(root.iter("{http://www.w3.org/2000/svg}circle")))
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert 1 == len(line.attrib["points"].split())


def test_names_do_not_hide_each_other() -> None:
    """Where marks are close, names are above each other; elsewhere they are beside their marks."""
    places = label_places({"a": (100, 200), "b": (105, 198), "c": (101, 201), "far": (400, 200)})
    assert (407.0, 194.0) == places["far"]
    heights = sorted(y for name, (_, y) in places.items() if name != "far")
    assert all(13 <= higher - lower for lower, higher in pairwise(heights))


def test_picture_keeps_within_its_frame() -> None:
    """However bad an arm is, its mark is inside."""
    shown = [Point("bad", Estimate(1.9, 0.1, 9.0), Estimate(30.0, 0.1, 90.0))]
    numbers = re.findall(r'c[xy]="([\d.-]+)"', svg("bad", shown))
    assert all(0 < float(number) < 720 for number in numbers)


@pytest.mark.parametrize("name", [*ARMS, "stock 300/100"])
def test_arms_have_names(name: str) -> None:
    """Every name that is offered is an arm."""
    arm(name, {})


def test_arms_of_ones_own() -> None:
    """A configuration given on the command line is an arm of ours; stock's settings are numbers."""
    assert {"duty_cycle": "1%"} == arm("mine", {"mine": {"duty_cycle": "1%"}}).module
    assert (0.05, 25) == (arm("stock 50/25", {}).rest_s, arm("stock 50/25", {}).target_ms)
    with pytest.raises(ValueError, match="there are none, control"):
        arm("nobody", {})
