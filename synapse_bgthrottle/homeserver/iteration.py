"""The context manager around one batch: it waits for the batch's turn, then measures it."""

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


@attrs.define
class DatabaseIterations:
    """What the iterations of one database share."""

    database: Database
    probe: DatabaseProbe
    log_lines: UpdateLog
    # Whether an error of the module hid the last batch from the throttle. Then no cost is learned,
    # so Synapse has to choose the sizes.
    is_unrecorded: bool = False


@attrs.frozen
class Iterations:
    """Begins iterations, and has what they share."""

    host: Homeserver
    throttle: Throttle
    sampler: Sampler
    metrics: Metrics
    recorder: Recorder
    # By name, for the databases that had an iteration.
    by_database: dict[str, DatabaseIterations] = attrs.field(factory=dict, init=False)

    def begin(self, database_name: str, update_name: str, one_shot: bool) -> "Iteration":
        """Synapse begins an iteration of this update."""
        if database_name not in self.by_database:
            database = self.host.database(database_name)
            self.by_database[database_name] = DatabaseIterations(
                database, DatabaseProbe(self.host, database), UpdateLog(database_name)
            )
        self.throttle.begin(database_name, update_name, one_shot, self.host.now_s())
        self.metrics.begin(database_name, update_name)
        self.sampler.begin(database_name, update_name)
        self.recorder.begin(database_name, update_name)
        return Iteration(self, database_name, update_name)

    def leave(self, database_name: str) -> None:
        """The iteration was cancelled, or could not begin, so that nobody will end it."""
        self.sampler.end(database_name)
        self.throttle.leave(database_name)


class Iteration(AbstractAsyncContextManager[int]):
    """One iteration of one update.

    It raises no error of the module: Synapse aborts all updates of a database after five errors in
    a row. Cancellation passes through, because that is how the server shuts down.
    """

    def __init__(self, iterations: Iterations, database_name: str, update_name: str) -> None:
        self._iterations = iterations
        self._host = iterations.host
        self._throttle = iterations.throttle
        self._sampler = iterations.sampler
        self._metrics = iterations.metrics
        self._shared = iterations.by_database[database_name]
        self._database = self._shared.database
        self._probe = self._shared.probe
        self._log_lines = self._shared.log_lines
        self._update_name = update_name
        self._asked_s = self._host.now_s()
        self._waited_for = "nothing"
        self._started_s = self._asked_s
        self._items_before: int | None = None
        # Of the update before, recent values count, but for those of its own tables.
        is_recent = self._sampler.has_looked_of_late(database_name)
        is_its_own = self._sampler.has_looked(database_name, update_name, 0.0)
        self._needs_look = not (is_recent and is_its_own)
        self._measured_since_s = 0.0 if is_recent else self._asked_s  # older values do not count
        self._is_unmeasured = False  # set if nothing was measured during a hold
        self._fallback: FallbackIteration | None = None  # set if waiting for the turn failed
        self._has_rest = False  # set once the throttle knows that the batch ended

    async def __aenter__(self) -> int:
        try:
            try:
                return await self._turn()
            except CancelledError:
                raise
            except Exception as error:
                return await self._turn_after(error)
        except CancelledError:
            self._iterations.leave(self._database.name)
            raise

    async def _turn(self) -> int:
        target_ms = await self._wait_for_turn()
        self._start()
        self._fallback = None
        return target_ms

    async def _turn_after(self, error: Exception) -> int:
        """The turn after an error of the module, which may pass while somebody holds the update."""
        self._host.on_internal_error("waiting for a batch's turn", error)
        fallback = self._fallback = self._new_fallback(self._asked_s)
        target_ms = await fallback.rest()
        while await self._sleep_if_held(fallback):
            try:
                return await self._turn()
            except CancelledError:
                raise
            except Exception as again:
                self._host.on_internal_error("waiting for a batch's turn", again)
        # errors are logged; the throttle must know of the batch, or no rest follows it
        with suppress(Exception):
            self._start()
        return target_ms

    async def _sleep_if_held(self, fallback: FallbackIteration) -> bool:
        with suppress(Exception):  # errors are logged; budgets need values
            self._sampler.begin(self._database.name, self._update_name)
        return await fallback.sleep_if_held()

    def _new_fallback(self, asked_s: float | None = None) -> FallbackIteration:
        key = (self._database.name, self._update_name)
        return FallbackIteration(self._host, self._throttle, key, asked_s=asked_s)

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
                self._iterations.leave(self._database.name)
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
        self._host.on_internal_error("after a batch", error)
        self._shared.is_unrecorded = not self._has_rest
        is_last = self._database.current_update is None
        if is_last:
            with suppress(Exception):  # errors are logged; perhaps no iteration follows
                self._iterations.leave(self._database.name)
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

    async def _wait_for_turn(self) -> int:
        while True:
            decision = self._decided()
            if self._is_unmeasured and decision.cause.is_of_signals:
                await self._look_first()
                continue  # decide again with the new values
            self._report(decision)
            asked_before_s = self._asked_before_s(decision)
            is_time = decision.wait_s <= asked_before_s
            if is_time and await self._probe.ask_if_due():
                continue  # that took time, so decide again
            if decision.wait_s > 0:
                await self._wait(decision, SLICE_S if is_time else decision.wait_s - asked_before_s)
            elif not (self._needs_look and self._update.one_shot):
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
        is_unrecorded = self._shared.is_unrecorded
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
        self._needs_look = self._is_unmeasured = False
        name, since_s = self._database.name, self._measured_since_s
        await self._sampler.look_now(name, self._update_name, since_s)

    async def _wait_for_database(self) -> None:
        # Synapse reads the queue before it calls this module again. If the database is down, that
        # fails five times within milliseconds, and Synapse gives up. So wait here.
        await self._probe.ask_if_due()
        try:
            while self._probe.silent_since_s is not None:
                # If updates are disabled, Synapse's loop ends and reads nothing. But between two
                # updates it would restart and read the queue as soon as they are enabled.
                if not self._database.enabled and self._database.current_update is not None:
                    return
                decision = self._decided()
                self._report(decision)
                await self._wait(decision, SLICE_S)
                await self._probe.ask_if_due()
        finally:
            self._sampler.end(self._database.name)  # perhaps no iteration follows

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
            self._needs_look = self._is_unmeasured = True
            self._measured_since_s = self._host.now_s()
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
        self._shared.is_unrecorded = False
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
