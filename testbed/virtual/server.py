"""Synapse's own BackgroundUpdater in virtual time: no server, no thread, no waiting.

The updater and SQLite (in memory, for the queue) are real. The clock, the module API and what
connects them (`pool`) are stand-ins.
"""

import logging
import math
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from synapse.logging.context import PreserveLoggingContext, run_in_background
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.homeserver.internals import server as homeserver
from synapse_bgthrottle.module import BackgroundUpdateThrottle
from testbed.virtual.pool import VirtualPool

logger = logging.getLogger(__name__)

# A Monday, 00:00 UTC.
EPOCH_S = 1_767_571_200.0


class VirtualClock:
    """Synapse's clock and `time`, on a reactor that only `advance` moves.

    `monotonic` is the reactor's time; the wall clock can be set.
    """

    def __init__(self) -> None:
        self.reactor = Clock()
        self._start_s = EPOCH_S  # of the wall clock
        self._elsewhere: set[Any] = set()

    def time(self) -> float:
        return self._start_s + float(self.reactor.seconds())

    def time_msec(self) -> int:
        return int(self.time() * 1000)

    def monotonic(self) -> float:
        return float(self.reactor.seconds())

    def set_forward(self, seconds: float) -> None:
        """Set the wall clock forward, or back if this is negative.

        Twisted's reactor uses `time.time`, so its timers fire that much sooner or later.
        """
        self._start_s += seconds
        calls: Any = self.reactor.getDelayedCalls()
        for call in calls:
            if call not in self._elsewhere:
                call.reset(max(call.getTime() - self.monotonic() - seconds, 0.0))

    async def sleep(self, seconds: float) -> None:
        waiter: Deferred[None] = Deferred()
        call: Any = self.reactor.callLater(seconds, waiter.callback, None)
        try:
            await waiter
        finally:
            if call.active():
                call.cancel()

    async def work(self, seconds: float) -> None:
        """Work of this duration in a thread or a database, without a timer of the reactor."""
        waiter: Deferred[None] = Deferred()
        call: Any = self.reactor.callLater(seconds, waiter.callback, None)
        self._elsewhere.add(call)
        try:
            await waiter
        finally:
            self._elsewhere.discard(call)
            if call.active():
                call.cancel()


class VirtualServer:
    """A server with only its updaters; it stands in for `hs` and for the API.

    Args:
        background_updates: the server's own section, as Synapse parses it.
        databases: names; one updater each.
        worker_app: None in the main process.

    Attributes:
        clock: its time.
        api: the module's API.
        pools: by name of database.
        failures: how background processes failed.
        hanging: threads' functions that never end from now on; None: they end at once.
        resources: what modules serve, by path.
    """

    def __init__(
        self,
        background_updates: dict[str, Any] | None = None,
        databases: tuple[str, ...] = ("master",),
        worker_app: str | None = None,
    ) -> None:
        section = {
            "update_duration_ms": 100,
            "sleep_enabled": True,
            "sleep_duration_ms": 1000,
            "min_batch_size": 1,
            "default_batch_size": 100,
            **(background_updates or {}),
        }
        self.clock = VirtualClock()
        self.failures: list[Failure] = []
        self.hanging: list[Deferred[None]] | None = None
        self.resources: dict[str, Any] = {}
        self.hostname = "virtual.test"
        self.config = types.SimpleNamespace(
            background_updates=types.SimpleNamespace(**section),
            redis=types.SimpleNamespace(redis_enabled=False),
        )
        self.pools = {name: VirtualPool(self, name) for name in databases}
        self.api: Any = types.SimpleNamespace(
            _hs=self,
            server_name=self.hostname,
            worker_app=worker_app,
            sleep=self.clock.sleep,
            run_db_interaction=self.pools[databases[0]].runInteraction,
            delayed_background_call=self._delayed_background_call,
            defer_to_thread=self._defer_to_thread,
            register_background_update_controller_callbacks=self._register,
            register_web_resource=self.resources.__setitem__,
        )

    def get_clock(self) -> VirtualClock:
        return self.clock

    def get_datastores(self) -> Any:
        pools = list(self.pools.values())
        main = types.SimpleNamespace(db_pool=pools[0])
        return types.SimpleNamespace(databases=pools, main=main)

    def _delayed_background_call(
        self, msec: float, f: Callable[..., Any], *args: Any, desc: str
    ) -> IDelayedCall:
        def fail(failure: Failure) -> None:
            self.failures.append(failure)
            text = "Background process '%s' threw an exception"  # the text is Synapse's
            logger.error(text, desc, exc_info=failure.value)

        def run() -> None:
            with PreserveLoggingContext():
                run_in_background(f, *args).addErrback(fail)

        timer: Any = self.clock.reactor.callLater(msec / 1000, run)
        timer.description = desc
        call: IDelayedCall = timer
        return call

    def run_as_background_process(self, desc: str, f: Callable[..., Any], *args: Any) -> None:
        """As Synapse's own, with which it starts its updates."""
        self._delayed_background_call(0, f, *args, desc=desc)

    def timers(self) -> list[Any]:
        """The remaining timers, without the read of the queue once a minute."""
        calls: Any = self.clock.reactor.getDelayedCalls()
        keeping = "bgthrottle_keeping"
        return [call for call in calls if getattr(call, "description", "") != keeping]

    async def _defer_to_thread(self, f: Callable[..., Any], *args: Any) -> Any:
        if self.hanging is not None:
            end: Deferred[None] = Deferred()
            self.hanging.append(end)
            await end
        return f(*args)

    def _register(self, **callbacks: Any) -> None:
        for pool in self.pools.values():
            pool.updates.register_update_controller_callbacks(**callbacks)

    def load(self, raw_config: Any) -> BackgroundUpdateThrottle:
        """Load the module with this configuration, as Synapse does."""
        return BackgroundUpdateThrottle(parse(raw_config), self.api)

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """Make the module use this server's clock."""
        with patch.object(homeserver, "time", self.clock):
            yield

    def start(self, database: str = "master") -> Deferred[None]:
        """Start the updater's loop. The result fires when the loop ends."""
        return ensureDeferred(self.pools[database].updates.run_background_updates(True))

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        end_s = self.clock.reactor.seconds() + seconds
        while True:
            timers: Any = self.clock.reactor.getDelayedCalls()
            calls = [timer.getTime() for timer in timers]
            next_s = min(calls, default=math.inf)
            if next_s > end_s:
                break
            self._advance_to(next_s)
        self._advance_to(end_s)

    def _advance_to(self, moment_s: float) -> None:
        # Set the time directly: a difference might round to zero forever.
        self.clock.reactor.rightNow = max(moment_s, self.clock.reactor.rightNow)
        self.clock.reactor.advance(0)


class Work:
    """A batched update of `total_items` at `cost_ms` each. It is its own handler.

    Attributes:
        sizes: the requested size of each batch.
        starts_s: the start of each batch.
        fail: so many of the next batches raise an error.
    """

    def __init__(self, server: VirtualServer, total_items: int, cost_ms: float) -> None:
        self._server = server
        self.left_items = total_items
        self.cost_ms = cost_ms
        self.sizes: list[int] = []
        self.starts_s: list[float] = []
        self.took_s: list[float] = []
        self.fail = 0
        self.name = ""
        self.database = "master"

    async def __call__(self, progress: dict[str, Any], batch_size: int) -> int:
        clock = self._server.clock
        self.sizes.append(batch_size)
        self.starts_s.append(clock.monotonic())
        if self.fail:
            self.fail -= 1
            raise RuntimeError("this batch was told to fail")
        full = self._server.pools[self.database].full
        if full is not None:
            raise full
        done = min(batch_size, self.left_items)
        await clock.work(done * self.cost_ms / 1000)
        self.took_s.append(clock.monotonic() - self.starts_s[-1])
        self.left_items -= done
        if not self.left_items:
            updates = self._server.pools[self.database].updates
            await updates._end_background_update(str(updates._current_background_update))
        return done
