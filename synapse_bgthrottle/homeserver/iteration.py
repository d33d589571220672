"""The context manager around one batch: it waits for the batch's turn, then measures it."""

import enum
import logging
import math
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TypeGuard

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.reports.log_lines import UpdateLog
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from synapse_bgthrottle.core.scheduling.failures import NEEDS_WRITING, complaint_of, kind_of
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.homeserver.fallback import FallbackIteration
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics
from synapse_bgthrottle.homeserver.recorder import Recorder
from synapse_bgthrottle.homeserver.sampling.database_probe import DatabaseProbe
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler

logger = logging.getLogger(__name__)

# A change (Synapse's switch, a window) takes effect within this time.
SLICE_S = 0.5

# After an outage each connection of Synapse's pool is dead until it has failed once. Query the
# database this long before the wait after a failure ends: so our query fails, not the batch.
_ASKED_BEFORE_S = 3.0

# A database that is silent for so long may stay so for days: take no samples until it answers.
_LONG_SILENCE_S = 60.0

# No batch has more items. Floats and JSON could not hold what some handlers may answer.
_MOST_ITEMS = 10**9

# Rounding may leave a wait of almost zero, which is not worth a timer.
_SHORTEST_SLEEP_S = 0.0001


@attrs.frozen
class Shared:
    """What all iterations share."""

    host: Homeserver
    throttle: Throttle
    sampler: Sampler
    metrics: Metrics
    on_internal_error: OnInternalError


@attrs.define
class OfDatabase:
    """What the iterations of one database share.

    Attributes:
        is_unrecorded: whether an error of the module hid the last batch from the throttle. Then no
            cost is learned, so Synapse has to choose the sizes.
    """

    database: Database
    probe: DatabaseProbe
    log_lines: UpdateLog
    is_unrecorded: bool = False


class Iterations:
    """Begins iterations.

    Attributes:
        probes: by name of the databases that had an iteration.
    """

    def __init__(self, shared: Shared, recorder: Recorder) -> None:
        self.probes: dict[str, DatabaseProbe] = {}
        self._shared = shared
        self._recorder = recorder
        self._of_databases: dict[str, OfDatabase] = {}

    def begin(self, database_name: str, update_name: str, one_shot: bool) -> "Iteration":
        """Synapse begins an iteration of this update."""
        shared, of_database = self._shared, self._of_database(database_name)
        shared.throttle.begin(database_name, update_name, one_shot, shared.host.now_s())
        shared.metrics.begin(database_name, update_name)
        shared.sampler.begin(database_name, update_name)
        self._recorder.begin(database_name, update_name)
        return Iteration(shared, of_database, update_name)

    def abandon(self, database_name: str) -> None:
        """The iteration could not begin, so nobody will end it."""
        self._shared.sampler.end(database_name)
        self._shared.throttle.leave(database_name)

    def _of_database(self, name: str) -> OfDatabase:
        if name not in self._of_databases:
            host = self._shared.host
            database = host.database(name)
            probe = DatabaseProbe(host, database, self._shared.on_internal_error)
            self._of_databases[name] = OfDatabase(database, probe, UpdateLog(name))
            self.probes[name] = probe
        return self._of_databases[name]


class _Freshness(enum.Enum):
    """Whether the signals' values can be used for the next batch."""

    FRESH = enum.auto()  # they are recent, and of this update
    OF_OTHER_UPDATE = enum.auto()  # they are recent, but of the update before
    STALE = enum.auto()  # nothing was measured for a while
    UNMEASURED = enum.auto()  # nothing was measured during a hold, so no signal may decide


class Iteration(AbstractAsyncContextManager[int]):
    """One iteration of one update.

    It raises no error of the module: Synapse aborts all updates of a database after five errors in
    a row. Cancellation passes through, because that is how the server shuts down.
    """

    def __init__(self, shared: Shared, of_database: OfDatabase, update_name: str) -> None:
        self._host = shared.host
        self._throttle = shared.throttle
        self._sampler = shared.sampler
        self._metrics = shared.metrics
        self._on_internal_error = shared.on_internal_error
        self._of_database = of_database
        self._database = of_database.database
        self._probe = of_database.probe
        self._log_lines = of_database.log_lines
        self._update_name = update_name
        self._asked_s = self._host.now_s()
        self._waited_for = "nothing"
        self._started_s = self._asked_s
        self._items_before: int | None = None
        self._freshness = self._first_freshness()
        self._fresh_since_s = self._asked_s  # older values do not count
        self._fallback: FallbackIteration | None = None  # set if waiting for the turn failed
        self._has_rest = False  # set once the throttle knows that the batch ended

    def _first_freshness(self) -> _Freshness:
        name = self._database.name
        if not self._sampler.has_looked_of_late(name):
            return _Freshness.STALE  # nothing is measured at first, or while no update is pending
        if not self._sampler.has_looked(name, self._update_name, None):
            return _Freshness.OF_OTHER_UPDATE
        return _Freshness.FRESH

    async def __aenter__(self) -> int:
        try:
            try:
                return await self._turn()
            except CancelledError:
                raise
            except Exception as error:
                return await self._turn_after(error)
        except CancelledError:
            self._leave()
            raise

    async def _turn(self) -> int:
        target_ms = await self._wait_for_turn()
        self._start()
        self._fallback = None
        return target_ms

    async def _turn_after(self, error: Exception) -> int:
        """The turn after an error of the module, which may pass while somebody holds the update."""
        self._on_internal_error("waiting for a batch's turn", error)
        fallback = self._fallback = self._new_fallback(self._asked_s)
        target_ms = await fallback.rest()
        while await self._is_held(fallback):
            try:
                return await self._turn()
            except CancelledError:
                raise
            except Exception as again:
                self._on_internal_error("waiting for a batch's turn", again)
        # errors are logged; the throttle must know of the batch, or no rest follows it
        with suppress(Exception):
            self._start()
        return target_ms

    async def _is_held(self, fallback: FallbackIteration) -> bool:
        with suppress(Exception):  # errors are logged; budgets need values
            self._sampler.begin(self._database.name, self._update_name)
        return await fallback.is_held()

    def _new_fallback(self, asked_s: float | None = None) -> FallbackIteration:
        key = (self._database.name, self._update_name)
        return FallbackIteration(
            self._host, self._throttle, self._on_internal_error, key, asked_s=asked_s
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        fallback = self._fallback
        try:
            if exc is None or _is_failure(exc):
                await self._end(exc)
            else:
                # If the server shuts down, there is no time to wait. If it does not, Synapse counts
                # this as a failed batch, and aborts after five in a row.
                if isinstance(exc, CancelledError):
                    self._finish(exc)
                self._leave()
                return
        except CancelledError:
            raise
        except Exception as error:
            fallback = await self._fall_back(error)
        if fallback is not None:
            await fallback.__aexit__(exc_type, exc, tb)

    async def _end(self, exc: Exception | None) -> None:
        """The batch has ended, or failed with this error."""
        self._finish(exc)
        self._sampler.end(self._database.name)
        if exc is not None:
            await self._wait_for_database()
        if not self._database.enabled:
            self._throttle.loop_ends(self._database.name)

    async def _fall_back(self, error: Exception) -> FallbackIteration:
        """After an error of the module: do the rest as stock Synapse does."""
        self._on_internal_error("after a batch", error)
        self._of_database.is_unrecorded = not self._has_rest
        is_last = self._database.current_update is None
        if is_last:
            with suppress(Exception):  # errors are logged; perhaps no iteration follows
                self._leave()
        if self._fallback is not None:
            return self._fallback
        fallback = self._new_fallback()
        # After an update's last batch Synapse reads the queue, and the database may fail then.
        if not is_last and not self._has_rest:
            await fallback.rest()
        return fallback

    @property
    def _update(self) -> UpdateState:
        return self._throttle.updates[self._database.name, self._update_name]

    def _start(self) -> None:
        self._items_before = self._database.items_done()
        self._started_s = self._host.now_s()
        self._database.has_worked = True
        self._sampler.begin(self._database.name, self._update_name)
        self._throttle.start(self._database.name, self._update_name, self._started_s)
        self._sampler.batch_begins(self._database.name)

    def _leave(self) -> None:
        self._sampler.end(self._database.name)
        self._throttle.leave(self._database.name)

    async def _wait_for_turn(self) -> int:
        while True:
            decision = self._decided()
            if self._freshness is _Freshness.UNMEASURED and decision.cause.is_of_signals:
                await self._look_first()
                continue  # decide again with the new values
            self._report(decision)
            asked_before_s = self._asked_before_s(decision)
            is_time = decision.wait_s <= asked_before_s
            if is_time and await self._probe.has_asked():
                continue  # that took time, so decide again
            if decision.wait_s > 0:
                await self._wait(decision, SLICE_S if is_time else decision.wait_s - asked_before_s)
            elif self._freshness is _Freshness.FRESH or not self._update.one_shot:
                return self._target_ms(decision)
            else:
                await self._look_first()

    def _target_ms(self, decision: Decision) -> int:
        """The target duration; less where Synapse would make a larger batch than decided of it.

        Synapse multiplies it by its own average rate, and takes the larger of that and of the
        `min_batch_size`, which answers the decided size.
        """
        items_per_ms = self._database.items_per_ms()
        if items_per_ms is None:
            return 0  # exactly the decided size, at any rate
        if not items_per_ms:
            return int(decision.target_ms)
        is_unrecorded = self._of_database.is_unrecorded
        items = self._update.limits.max_batch_items if is_unrecorded else decision.items
        return int(min(decision.target_ms, items / items_per_ms))

    def _asked_before_s(self, decision: Decision) -> float:
        """How long before the end of a wait to check that the database answers."""
        if decision.cause is Cause.DATABASE:
            return math.inf
        if decision.cause is Cause.BACKOFF:
            return _ASKED_BEFORE_S
        # Otherwise the moment for batches could be over each time before the answer comes.
        keeps_moments = self._update.is_adaptive and decision.cause in (Cause.PACE, Cause.COMPARE)
        return self._probe.took_s if keeps_moments else 0.0

    async def _look_first(self) -> None:
        """Have everything measured whose value is too old."""
        since_s = None if self._freshness is _Freshness.OF_OTHER_UPDATE else self._fresh_since_s
        self._freshness = _Freshness.FRESH
        await self._sampler.look_now(self._database.name, self._update_name, since_s)

    async def _wait_for_database(self) -> None:
        # Synapse reads the queue before it calls this module again. If the database is down, that
        # fails five times within milliseconds, and Synapse gives up. So wait here.
        await self._probe.has_asked()
        try:
            while self._probe.silent_since_s is not None and self._is_waited_for():
                decision = self._decided()
                self._report(decision)
                await self._wait(decision, SLICE_S)
                await self._probe.has_asked()
        finally:
            self._sampler.end(self._database.name)  # perhaps no iteration follows

    def _is_waited_for(self) -> bool:
        # If updates are disabled, Synapse's loop ends and reads nothing. But between two updates it
        # would restart and read the queue as soon as they are enabled.
        return self._database.enabled or self._database.current_update is None

    async def _wait(self, decision: Decision, most_s: float) -> None:
        before_s = self._host.now_s()
        self._waited_for = decision.reason
        silent_s = self._probe.silent_since_s
        is_silent_for_long = silent_s is not None and before_s - silent_s > _LONG_SILENCE_S
        is_unmeasured = decision.cause.is_unmeasured or is_silent_for_long
        if is_unmeasured:
            self._sampler.end(self._database.name)
        else:
            self._sampler.begin(self._database.name, self._update_name)
        self._host.call_overdue()
        sleep_s = min(decision.wait_s, most_s, SLICE_S)
        await self._host.sleep(max(sleep_s, _SHORTEST_SLEEP_S))
        if is_unmeasured:
            self._freshness, self._fresh_since_s = _Freshness.UNMEASURED, self._host.now_s()
        waited_s = self._host.now_s() - before_s
        self._throttle.waited(self._database.name, self._update_name, decision.cause, waited_s)
        self._metrics.waited(self._database.name, decision.cause, waited_s)

    def _decided(self) -> Decision:
        is_adaptive = self._update.is_adaptive
        at = Conditions(
            now_s=self._host.now_s(),
            wall_s=self._host.wall_s(),
            enabled=self._database.enabled,
            silent_since_s=self._probe.silent_since_s,
            complaint=self._probe.complaint,
            active_requests=self._host.active_requests() if is_adaptive else None,
            requests_answered=self._host.requests_answered() if is_adaptive else 0,
        )
        return self._throttle.decide(self._database.name, self._update_name, at)

    def _report(self, decision: Decision) -> None:
        self._metrics.decided(self._database.name, self._update_name, decision)
        wall_s = self._host.wall_s()
        lines = self._log_lines.lines(self._update_name, self._update, decision, wall_s)
        for level, text in lines:
            logger.log(level, "%s", text)

    def _finish(self, exc: Exception | None) -> None:
        now_s = self._host.now_s()
        after, before = self._database.items_done(), self._items_before
        # When an update is done, Synapse forgets it, so its last batch is not counted.
        # Handlers may answer any number.
        items = (
            None if after is None or before is None else min(max(after - before, 0), _MOST_ITEMS)
        )
        update = (self._database.name, self._update_name)
        self._throttle.finish(*update, now_s, items, failed=exc is not None)
        self._has_rest = True
        self._of_database.is_unrecorded = False
        self._metrics.batch_ended(*update, items, failed=exc is not None)
        if exc is None:
            self._probe.answered(now_s)
        else:
            kind = kind_of(exc)
            self._probe.failed(now_s, needs_room=kind in NEEDS_WRITING)
            message = complaint_of(exc)
            self._throttle.failed(*update, self._host.wall_s(), message, kind)
        logger.debug(
            "Batch of %s in %s: took %.1fms, after a wait of %.1fms for %s; items counted: %s",
            self._update_name,
            self._database.name,
            (now_s - self._started_s) * 1000,
            (self._started_s - self._asked_s) * 1000,
            self._waited_for,
            "unknown" if items is None else items,
        )


def _is_failure(exc: BaseException) -> TypeGuard[Exception]:
    """Whether the batch failed and will be tried again. Otherwise it was cancelled."""
    return isinstance(exc, Exception) and not isinstance(exc, CancelledError)
