"""Restarts Synapse's updater where it stands still although updates are pending."""

import logging
from collections.abc import Sequence

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.scheduling import holds
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.restarts import Restarts, Stall
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.queue import QueueRow, in_order
from synapse_bgthrottle.core.units import format_duration_ms
from synapse_bgthrottle.homeserver.internals.guard import call
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler
from synapse_bgthrottle.homeserver.storage.store import Store

logger = logging.getLogger(__name__)

# The author of a restart in the history.
AUTHOR = "synapse_bgthrottle"

# Synapse begins soon after its start, and shortly after its own API has inserted rows.
START_S = 10.0
SURE_AFTER_S = 1.0

# Causes that prevent a restart: it would change nothing but add a log line.
_NOT_WHILE = frozenset({Cause.DISABLED, Cause.LEVERS, Cause.PAUSED})

# Restarts not written yet; older ones are dropped.
_MOST_UNWRITTEN = 20

# If no batch failed, Synapse gave up within milliseconds, because it could not read its queue. The
# module has just read it. A twelfth of this, as after any failure that passes, and then doubled.
_LONGEST_AFTER_READ_S = 120.0

_UNKNOWN_FAILURE = "Synapse could not look for the next update; see its log"


@attrs.define(slots=False, eq=False)
class Restarter:
    """Notices which databases stand still, and restarts those that are due."""

    _host: Homeserver
    _throttle: Throttle
    _sampler: Sampler
    _store: Store
    _metrics: Metrics
    first_s: float | None  # wait after the first abort; None: never restart
    _loaded_s: float = attrs.field(init=False)
    _of: dict[str, Restarts] = attrs.field(factory=dict, init=False)
    _rows: dict[str, Sequence[QueueRow]] = attrs.field(factory=dict, init=False)
    unwritten: list[schema.Use] = attrs.field(factory=list, init=False)  # restarts, oldest first

    def __attrs_post_init__(self) -> None:
        self._loaded_s = call(self._host.now_s) or 0.0  # the server must start without a clock

    def of(self, database_name: str) -> Restarts:
        """The restarts of this database."""
        return self._of.setdefault(database_name, Restarts())

    async def look(self, database: Database, rows: Sequence[QueueRow]) -> None:
        """Check whether the database stands still; its queue was just read."""
        restarts = self.of(database.name)
        self._rows[database.name] = rows
        restarts.works(self._throttle.good_batches(database.name))
        if self._works(database, rows):
            restarts.stall = None
        elif database.has_aborted:
            self._note_stall(database, rows)
        elif self._host.now_s() - self._loaded_s >= START_S:
            if not restarts.is_unattended:
                await self._host.sleep(SURE_AFTER_S)
                self._rows[database.name] = rows = await database.queue()
            if not self._works(database, rows):
                self._note_stall(database, rows)
        self._metrics.stalled(database.name, restarts.is_unattended)

    @staticmethod
    def _works(database: Database, rows: Sequence[QueueRow]) -> bool:
        return database.is_running is not False or not rows or not database.enabled

    def _note_stall(self, database: Database, rows: Sequence[QueueRow]) -> None:
        restarts, is_aborted = self.of(database.name), database.has_aborted
        before = restarts.stall
        kind, why = self._failure(database.name)
        first_s = self.first_s if self._can_help(database, rows) else None
        if is_aborted and why == _UNKNOWN_FAILURE and first_s is not None:
            first_s = min(first_s, _LONGEST_AFTER_READ_S)
        stall = restarts.stalled(
            self._host.now_s(), is_aborted=is_aborted, first_s=first_s, kind=kind
        )
        if before is not None and before.is_aborted == is_aborted:
            return
        then = "the module does not start it by itself"
        if stall.due_s is not None:
            lasts_ms = (stall.due_s - self._host.now_s()) * 1000
            then = f"the module starts it in {format_duration_ms(lasts_ms)}"
        what = "gave up on" if is_aborted else "is not working on"
        logger.warning(
            "Synapse %s the queue of %s (%d pending): %s", what, database.name, len(rows), then
        )

    @staticmethod
    def _can_help(database: Database, rows: Sequence[QueueRow]) -> bool:
        # Two cases fail at each try until Synapse restarts: Synapse stays at an update that has
        # left the queue, or it does not know the update.
        current, known = database.current_update, database.known_updates()
        names = {row.name for row in rows}
        if current is None:
            head = in_order(rows, most=1)[0]
            return head.is_reachable and (not known or head.row.name in known)
        return current in names and (not known or current in known)

    def next_look_s(self, longest_s: float) -> float:
        """Seconds until the next read of the queues, at most `longest_s`."""
        now_s = self._host.now_s()
        due_s = (
            restarts.stall.due_s - now_s
            for restarts in self._of.values()
            if restarts.stall is not None
            and restarts.stall.due_s is not None
            and not restarts.stall.held_by
        )
        return min(max(min(due_s, default=longest_s), SURE_AFTER_S), longest_s)

    async def start_due(self) -> None:
        """Restart what is due. The queue was just read, so the database answers."""
        for database in tuple(self._host.databases.values()):
            stall = self.of(database.name).stall
            if stall is None or stall.due_s is None or self._host.now_s() < stall.due_s:
                continue
            await self._start(database, stall)

    async def _start(self, database: Database, stall: Stall) -> None:
        restarts, rows = self.of(database.name), self._rows[database.name]
        if self._works(database, rows):
            return
        head = in_order(rows, database.current_update, 1)[0].row.name
        held_by = await self._held_by(database, head)
        if held_by:
            restarts.stall = attrs.evolve(stall, held_by=held_by)
            return
        if self._works(database, rows):  # somebody else restarted it meanwhile
            return
        _, failure = self._failure(database.name)
        why = failure if stall.is_aborted else "Synapse was not working on the queue"
        restarts.started(self._host.wall_s())
        self._throttle.loop_ends(database.name)
        self._metrics.restarted(database.name)
        self._note(database.name, head, why)
        logger.warning(
            "Starting the updates of %s again (start %d in a row); next is %s. Before: %s",
            database.name,
            restarts.count,
            head,
            why,
        )
        if not database.start():
            logger.warning("This version of Synapse does not let the module start its updates")

    async def _held_by(self, database: Database, head: str) -> str:
        """What prevents a restart of its first update; empty: nothing."""
        name, now_s = database.name, self._host.now_s()
        at = Conditions(now_s, self._host.wall_s(), enabled=database.enabled)
        one_shot = head in database.one_shots()
        update, verdicts = self._throttle.explain(name, head, one_shot, at)
        reasons = [verdict.reason for verdict in verdicts if verdict.cause in _NOT_WHILE]
        state = self._throttle.databases.get(name)
        if reasons or state is None:  # of a queue that never began, nothing has been measured
            return "; ".join(reasons)
        # Take new samples: while the queue stands still, none are taken.
        await self._sampler.look_now(name, head, self._host.now_s())
        if not database.is_running:
            self._sampler.end(name)
        closed = state.signal_set.closed(self._host.now_s(), one_shot=update.one_shot)
        if closed is None or (closed.may_be_let_go and holds.is_released(update, at)):
            return ""
        return closed.reason

    def _failure(self, database_name: str) -> tuple[FailureKind, str]:
        state = self._throttle.databases.get(database_name)
        if state is None or not state.has_failed:
            # No batch failed, so Synapse failed to read the queue, probably in an outage.
            return FailureKind.CONNECTION, _UNKNOWN_FAILURE
        update = self._throttle.updates[database_name, state.update_name]
        return state.failure_kind, update.totals.last_failure

    def _note(self, database_name: str, head: str, why: str) -> None:
        use = schema.Use(
            at_ms=round(self._host.wall_s() * 1000),
            author=AUTHOR,
            action="restart",
            update=head,
            database=database_name,
            reason=why,
        )
        self.unwritten = [*self.unwritten, use][-_MOST_UNWRITTEN:]

    async def write(self) -> None:
        """Write who restarted what. It raises whatever the store raises, and keeps the rest."""
        while self.unwritten:
            await self._store.change((), (), self.unwritten[0])
            self.unwritten.pop(0)
