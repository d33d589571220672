"""One error of the module, at any moment, ends nothing that runs in the background."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.homeserver.internals.server import Homeserver
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import run, service_of, stated

MakeServer = Callable[..., VirtualServer]

_CLOSED_IF_UNREAD = {
    "sleep": "1s",
    "signals": {"disk_free": {"path": "/", "threshold": "1kB"}},
}
_LATER_S = 200


@pytest.mark.parametrize(
    "place",
    [
        "homeserver.sampling.poller.Poller._answer",
        "homeserver.sampling.poller.Poller._run",
        "homeserver.recorder.Recorder._goes_on",
        "homeserver.recorder.Recorder._keep",
        "homeserver.recorder.Recorder._look_again",
        "homeserver.sampling.sampler.Sampler._call_in",
        "homeserver.sampling.sampler.Sampler._look_at_databases",
        "homeserver.sampling.sampler.Sampler._process_sample",
        "homeserver.sampling.database_probe.DatabaseProbe._ask",
    ],
)
def test_one_error(virtual_server: MakeServer, place: str) -> None:
    """Budgets are read, the history is written, and batches run, as if there had been none."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, _CLOSED_IF_UNREAD, work, 60)
    before = len(work.starts_s)
    with failing_once(place):
        server.advance(_LATER_S)
    assert 150 < len(work.starts_s) - before < 200


@pytest.mark.parametrize("number", range(0, 60, 7))
def test_one_error_of_the_clock(virtual_server: MakeServer, number: int) -> None:
    """Whoever reads it, in whatever place."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, _CLOSED_IF_UNREAD, work, 60)
    before = len(work.starts_s)
    now_s = Homeserver.now_s
    calls: list[None] = []

    def read(host: Homeserver) -> float:
        calls.append(None)
        if len(calls) == number + 1:
            raise ZeroDivisionError("an error of our own")
        return now_s(host)

    with patch.object(Homeserver, "now_s", read):
        server.advance(_LATER_S)
    assert 150 < len(work.starts_s) - before < 200
    assert [] == server.failures


@pytest.mark.parametrize("at_work", [True, False])
@pytest.mark.parametrize(
    "place",
    [
        "homeserver.internals.database.Database.items_done",
        "homeserver.iteration.Iteration.__init__",
        "homeserver.recorder.Recorder.begin",
        "homeserver.sampling.sampler.Sampler.has_looked_of_late",
    ],
)
def test_always_from_the_last_batch_on(
    virtual_server: MakeServer, place: str, at_work: bool
) -> None:
    """One place that fails before the last batch and after it: then nothing is polled."""
    server = virtual_server()
    work = Work(server, 300, cost_ms=1)
    module = server.load({"sleep": "1s"})
    server.pools["master"].queue("work", work)
    server.start()
    least = 200 if at_work else 0
    while work.left_items > least:
        server.advance(0.1)
    with patch(f"synapse_bgthrottle.{place}", side_effect=ZeroDivisionError):
        server.advance(60)
    assert 0 == work.left_items
    server.advance(60)
    assert not module._parts.throttle.databases["master"].is_open
    assert [] == server.timers()
    assert "done" == stated(server, service_of(server).history(9, None, None), 3)[0]["outcome"]


def failing_once(place: str) -> Any:
    """The method, which is not run the next time; it raises instead."""
    module, name, method = place.rsplit(".", 2)
    imported = __import__(f"synapse_bgthrottle.{module}", fromlist=[name])
    original = getattr(getattr(imported, name), method)
    has_failed = False

    def fail(*arguments: Any, **options: Any) -> Any:
        nonlocal has_failed
        if has_failed:
            return original(*arguments, **options)
        has_failed = True
        raise ZeroDivisionError("an error of our own")

    return patch(f"synapse_bgthrottle.{place}", fail)
