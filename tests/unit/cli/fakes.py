"""A server, a clock and a terminal for the tests of the command."""

import copy
import json
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import httpx
from click.testing import CliRunner, Result

from synapse_bgthrottle.cli.main import bgthrottle
from synapse_bgthrottle.cli.session import Surroundings

NOW_MS = 1_767_736_800_000  # 2026-01-06 22:00 UTC
OFFICIAL = "/_synapse/admin/v1/background_updates"
MODULE = "/_synapse/bgthrottle/v1"
NOT_THERE = (404, {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"})
HTML = (502, b"<html>Bad Gateway</html>")

PROGRESS = {
    "ratio": 0.66,
    "done": 496_900,
    "total": 752_865,
    "left": 255_965,
    "unit": "stream positions",
}
PAUSE: dict[str, Any] = {
    "id": "a1",
    "kind": "pause",
    "update": "*",
    "database": None,
    "settings": {},
    "reason": "load test",
    "author": "@admin:example.org",
    "created_ms": NOW_MS,
    "ends_ms": NOW_MS + 7_200_000,
    "used_ms": None,
}
PAUSED = {
    "kind": "paused",
    "message": "all updates are paused by @admin:example.org until 2026-01-07 00:00 UTC: load test",
}
HOLD = {"cause": "window", "is_hold": True, "reason": "windows are closed", "since_ms": NOW_MS}
LEVERS: dict[str, Any] = {"made": [PAUSE], "ended": [], "in_force": [PAUSE], "notes": []}


def pending(name: str, **more: Any) -> dict[str, Any]:
    """One update of a queue."""
    return {
        "name": name,
        "depends_on": None,
        "waits_for": None,
        "known": True,
        "one_shot": False,
        "progress": None,
        "paused": False,
        "started_ms": None,
        "is_reachable": True,
        **more,
    }


LIMIT_VALUES: dict[str, Any] = {
    "pace": "adaptive",
    "duty_cycle_ratio": None,
    "sleep_ms": None,
    "profile": "balanced",
    "min_duty_cycle_ratio": 0.01,
    "max_duty_cycle_ratio": 1,
    "target_duration_ms": 100,
    "max_items_per_second": None,
    "default_batch_items": 1,
    "min_batch_items": 1,
    "max_batch_items": None,
    "windows": [],
    "time_zone": "UTC",
    "max_hold_ms": 604_800_000,
    "needs_approval": False,
}


def current(**more: Any) -> dict[str, Any]:
    """The update that a database is at."""
    return {
        "name": "event_search",
        "one_shot": False,
        "since_ms": NOW_MS - 11_520_000,
        "batches": 1200,
        "items": 496_900,
        "batch_time_ms": 120_000,
        "last_batch_ms": 98,
        "target_duration_ms": 100,
        "items_per_second": 43.1,
        "waited_ms": {"gap": 20_000, "pace": 10_000_000},
        "progress": PROGRESS,
        "time_left_s": {
            "expected": 6000,
            "earliest": 4000,
            "latest": 9000,
            "at_this_pace": 6000,
            "unthrottled": 420,
        },
        "pace": None,
        "decision": {
            "cause": "pace",
            "is_hold": False,
            "reason": "active backends 26 >= 25",
            "since_ms": NOW_MS - 900,
            "next_try_ms": None,
        },
        "is_in_batch": False,
        "batch_since_ms": None,
        "lock_wait_since_ms": None,
        "duty_cycle_ratio": 0.07,
        "limits": "duty cycle adaptive, balanced; rule 0 (event_search)",
        "limit_values": LIMIT_VALUES,
        "rule": "rule 0 (event_search)",
        "learned": [],
        "index_build": None,
        **more,
    }


def database(**more: Any) -> dict[str, Any]:
    """One database with something to do."""
    return {
        "name": "master",
        "engine": "postgres",
        "state": "waiting",
        "pending": [pending("event_search", progress=PROGRESS), pending("an_index")],
        "queue_problem": "",
        "current": current(),
        "failures_in_row": 0,
        "restart": None,
        "last_failure": None,
        "signals": [],
        **more,
    }


IDLE = database(state="idle", pending=[], current=None)


def status(*databases: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The module's status."""
    return copy.deepcopy(
        {
            "version": "0.1.0",
            "server_name": "example.org",
            "now_ms": NOW_MS,
            "enabled": True,
            "duty_cycle_ratio": 0.07,
            "databases": list(databases),
            "levers": [],
            "problems": [],
            "missing": [],
            **more,
        }
    )


def official(enabled: bool = True, **updates: str) -> dict[str, Any]:
    """Synapse's own status: names of updates by database."""
    found = {
        name: {
            "name": update,
            "total_item_count": 50,
            "total_duration_ms": 10_000.0,
            "average_items_per_ms": None,
        }
        for name, update in updates.items()
    }
    return {"enabled": enabled, "current_updates": found}


Answer = Any


@attrs.define
class FakeServer:
    """Answers by method and path; a list is used up one by one, its last item again and again.

    An answer is JSON, a pair of a status with JSON or bytes, or an exception.

    Attributes:
        answers: by `GET status`, of the module, or `GET admin/status`, of Synapse.
        sent: what came, with its body.
        timeouts_s: how long its answers would have been waited for.
    """

    answers: dict[str, Answer] = attrs.field(factory=dict)
    sent: list[tuple[str, Any]] = attrs.field(factory=list)
    timeouts_s: list[float] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        short = path.replace(f"{MODULE}/", "").replace(f"{OFFICIAL}/", "admin/")
        key = f"{request.method} {short}"
        self.sent.append((key, json.loads(request.content) if request.content else None))
        self.timeouts_s.append(request.extensions["timeout"]["read"])
        answer = self.answers.get(key, NOT_THERE)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, BaseException):
            raise answer
        code, body = answer if isinstance(answer, tuple) else (200, answer)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(code, content=content)


@attrs.define
class FakeClock:
    """Time that passes in sleep alone; Ctrl-C comes after so many sleeps."""

    now_s: float = 0.0
    sleeps_left: int = 1000

    def sleep(self, for_s: float) -> None:
        """Let it pass."""
        if self.sleeps_left == 0:
            raise KeyboardInterrupt
        self.sleeps_left -= 1
        self.now_s += for_s


def run(
    server: FakeServer,
    *arguments: object,
    sleeps: int = 1000,
    terminal: bool = False,
    stdin: str | BinaryIO = "",
    env: dict[str, str] | None = None,
) -> Result:
    """Run the command against a server; Ctrl-C comes after so many sleeps."""
    clock = FakeClock(sleeps_left=sleeps)

    def is_terminal() -> bool:
        return terminal

    around = Surroundings(
        transport=httpx.MockTransport(server),
        sleep=clock.sleep,
        monotonic_s=lambda: clock.now_s,
        wall_ms=lambda: NOW_MS + clock.now_s * 1000,
        stdin_is_terminal=is_terminal,
        stdout_is_terminal=is_terminal,
    )
    environment = {
        "BGTHROTTLE_URL": "https://matrix.example.org",
        "BGTHROTTLE_TOKEN": "syt_secret",
        "BGTHROTTLE_TOKEN_FILE": "",
        "XDG_CONFIG_HOME": str(Path("/nonexistent")),
        "BGTHROTTLE_DEBUG": "",
        "NO_COLOR": "",
        "TERM": "xterm",
        **(env or {}),
    }
    return CliRunner().invoke(
        bgthrottle, [str(each) for each in arguments], input=stdin, obj=around, env=environment
    )
