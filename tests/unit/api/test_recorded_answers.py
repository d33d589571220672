"""The API's answers on newly made servers are unchanged, even in the order of keys.

To change an answer on purpose, delete its file: the test then writes a new one and fails once.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.api.routes import ROUTES
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, Rule, Settings
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample
from synapse_bgthrottle.core.tracking.progress import Progress
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.time_left import Estimate
from synapse_bgthrottle.schema import TimeLeft
from testbed.strategies.examples import NOON_S, lever, override, release
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import ADMIN, answer, queued
from tests.unit.core.reports.status_world import DB, StatusWorld, look

RECORDED = Path(__file__).with_name("recorded_answers")

MakeServer = Callable[..., VirtualServer]


def _check(name: str, told: Any) -> None:
    for status in told if isinstance(told, list) else [told]:
        if "version" in status:  # these are of the module's and of Synapse's version
            status.update(version="", missing=[])
    text = json.dumps(told, indent=1, allow_nan=False) + "\n"
    path = RECORDED / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        pytest.fail(f"{path} was not there and is written now")
    assert path.read_text("utf-8") == text


# --- statuses, of all that they may tell ---


def _under_way() -> Iterator[Any]:
    """An update that rests between batches, one behind it, levers; then its batch runs."""
    rule = Rule(0, patterns=("event_*",), settings=Settings(pace=DutyCycle(0.5)))
    server = StatusWorld(None, rule)
    slower = override(Settings(pace=DutyCycle(0.25)), lever_id="b2", written={"duty_cycle": "25%"})
    let_go = release(lever_id="c3", update="redactions_recheck", database=DB, used_s=NOON_S + 1)
    server.throttle.levers = Levers((lever(update="redactions*", reason="why"), slower, let_go))
    server.batch("event_search", 0)
    server.batch("event_search", 4)
    server.begin("event_search", 6)
    server.throttle.waited(DB, "event_search", Cause.PACE, 2.5)
    names = frozenset({"event_search", "redactions_recheck"})
    seen = look(
        "redactions_recheck",
        "event_search",
        engine="postgres",
        current="event_search",
        known=names,
        one_shots=frozenset({"redactions_recheck"}),
        progress={"event_search": Progress(30, 0, 120, "events")},
        estimate=Estimate(
            TimeLeft(
                expected=120.0, earliest=60.0, latest=200.0, at_this_pace=90.0, unthrottled=9.0
            )
        ),
    )
    yield server.status(7, seen)
    server.throttle.start(DB, "event_search", 8.0)
    sample: dict[str, Any] = {"batch_transactions": 1, "index_build": ("building index", 0.5)}
    for at_s in (9.0, 10.0):
        server.throttle.observe(DB, DatabaseSample(at_s=at_s, lock_wait_s=at_s - 8.5, **sample))
    yield server.status(10, seen)
    yield server.status(4000, seen)


def _failing() -> Iterator[Any]:
    """Failures, the wait after them, and that Synapse gave up."""
    server = StatusWorld()
    server.batch("a", 0, failure="first")
    server.batch("a", 10, failure="second")
    server.begin("a", 13)
    rows = (QueueRow("a"), QueueRow("b", depends_on="c"), QueueRow("c", depends_on="b"))
    seen = look(rows=rows, known=frozenset("ab"), current="a")
    yield server.status(14, seen)
    gone = look("b", current="a", has_aborted=True)
    yield server.status(15, gone, look(rows=None, queue_problem="gone", name="state"))
    yield server.status(15, look(), enabled=False, store_problem="read-only")


def _held() -> Iterator[Any]:
    """Windows, approval and pauses; an adaptive pace."""
    server = StatusWorld(Settings(pace=Adaptive(), windows=(Window((6,), 0, 1440),)))
    server.begin("a", 0)
    yield server.status(7200, look("a"))
    server = StatusWorld(Settings(needs_approval=True, profile="finish"))
    server.begin("a", 0)
    yield server.status(1, look("a"))
    server.throttle.levers = Levers((lever(), lever(lever_id="b2", database=DB, update="a")))
    server.begin("a", 2)
    yield server.status(3, look("a"))


def _signals() -> Iterator[Any]:
    """Signals that are read, that are too old, that cannot be read, and a closed budget."""
    thresholds = {"disk_free": 2e9, "pause_file": 1.0, "http": 1.0, "replica_lag": 10.0}
    server = StatusWorld(signals=SignalSettings(thresholds=thresholds))
    server.begin("a", 0)
    server.throttle.observe(DB, CheckSample(name="disk_free", at_s=1.0, value=1e9))
    server.throttle.observe(DB, CheckSample(name="http", at_s=1.0, problem="refused"))
    server.throttle.observe(DB, DatabaseSample(at_s=1.0, query_s=0.0125, replica_lag_s=3.0))
    server.begin("a", 2)
    yield server.status(2, look("a"))
    server.begin("a", 4000)
    yield server.status(4000, look("a"))


@pytest.mark.parametrize("statuses", [_under_way, _failing, _held, _signals])
def test_statuses(statuses: Callable[[], Iterator[Any]]) -> None:
    """What is told of updates, queues, signals, levers and problems is what it was."""
    _check(f"status{statuses.__name__}", list(statuses()))


# --- answers of the whole module, by its endpoints ---

_CONFIG = {
    "sleep": "1s",
    "time_zone": "Europe/Berlin",
    "max_hold": "36h",
    "rules": [
        {"update": "held", "windows": [{"days": "mon-fri", "start": "22:00", "end": "06:00"}]},
        {"update": "fast", "profile": "fast", "min_duty_cycle": "2%", "max_duty_cycle": "60%"},
        {"update": "share", "duty_cycle": "12.5%", "max_items_per_second": 0.5},
        {"update": "sizes", "sleep": "1500ms", "target_duration": "250ms", "max_batch_size": 500},
        {"one_shot": True, "approval": "required"},
        {"update": "finish", "profile": "finish"},
    ],
}


class _Asked:
    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self._endpoints = server.resources["/_synapse/bgthrottle"]._endpoints

    def ask(self, path: str, query: str = "", **body: Any) -> Any:
        coroutine = self._endpoints.answer(
            ROUTES[f"v1/{path}".encode()], query.encode(), lambda: body, ADMIN
        )
        return json.loads(answer(self._server, coroutine, 4).body)


@pytest.fixture
def server(virtual_server: MakeServer) -> Iterator[VirtualServer]:
    """It has done one update, is at another, and another one waits, in one go."""
    numbers = itertools.count(1)
    with patch("secrets.token_hex", side_effect=lambda size: f"{next(numbers):0{2 * size}}"):
        server = virtual_server()
        queued(server, "first", 300)
        for name in ("held", "share", "event_search"):
            updates = server.pools["master"].updates
            updates.register_background_update_handler(name, Work(server, 1, 1))
        server.load(_CONFIG)
        server.start()
        server.advance(60)
        queued(server, "work")
        one_shot = Work(server, 1, 1)
        server.pools["master"].queue("an_index", one_shot, one_shot=True)
        server.start()
        server.advance(20)
        yield server


def test_levers(server: VirtualServer) -> None:
    """What levers make and end, who used them, and the status and history of all that."""
    asked = _Asked(server)
    answers = [
        asked.ask("pause", update="event_*", reason="too slow at noon", **{"for": "2h"}),
        asked.ask("override", update="work", settings={"duty_cycle": "5%"}),
        asked.ask("override", update="*", settings={"windows": [{"days": "sun"}]}),
        asked.ask("release", update="an_index", database="master"),
        asked.ask("pause"),
        asked.ask("resume", update="event_*"),
        asked.ask("reset", update="*", reason="done"),
    ]
    _check("levers", answers)
    _check("status_of_a_server", asked.ask("status"))
    _check("history", asked.ask("history", "limit=10"))
    _check("uses", asked.ask("uses"))


def test_explanations(server: VirtualServer) -> None:
    """Limits of each kind, and what holds an update."""
    asked = _Asked(server)
    asked.ask("pause", update="held")
    asked.ask("override", update="share", settings={"max_items_per_second": 20})
    told = [
        asked.ask("explain", f"update={name}")
        for name in ("work", "held", "fast", "share", "sizes", "finish", "an_index", "event_search")
    ]
    _check("explanations", [*told, asked.ask("explain", "update=work&one_shot=true")])


def test_load(server: VirtualServer) -> None:
    """How busy clients were in the hours that were seen."""
    _check("load", _Asked(server).ask("load"))
