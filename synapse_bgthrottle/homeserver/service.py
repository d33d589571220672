"""Answers the HTTP API: status, history, levers."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.levers.apply import LeverResult
from synapse_bgthrottle.core.levers.request import (
    Action,
    LeverRequest,
    NothingMatchesError,
    StoreUnavailableError,
)
from synapse_bgthrottle.core.levers.targets import (
    Target,
    check,
    check_exists,
    is_known,
    notes,
    runnable,
)
from synapse_bgthrottle.core.reports.explain import explanation
from synapse_bgthrottle.core.reports.status import DatabaseLook, Moment, ServerLook, status
from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, HistoryEntry, newest_first
from synapse_bgthrottle.core.tracking.queue import in_order
from synapse_bgthrottle.homeserver.internals.bounded_calls import Call, ServerEndsError, questions
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver
from synapse_bgthrottle.homeserver.iteration import DatabaseIterations
from synapse_bgthrottle.homeserver.recorder import LONGEST_LOOK_S, LONGEST_WRITE_S, Recorder

# The module's tables are in the main database. Queries of them have this name, so that they are
# counted apart from those of its queue.
_STORE = "store"


@attrs.define(slots=False, eq=False)
class ThrottleService:
    """Reads and changes what background updates do: `api.handlers.Service` says how.

    A change is written before it is answered, and current runs are shown as they are now.
    """

    _host: Homeserver
    _throttle: Throttle
    _recorder: Recorder
    _iterations: Mapping[str, DatabaseIterations]  # by database
    _missing: tuple[schema.MissingDetail, ...]  # private attributes that this Synapse lacks
    _warnings: tuple[str, ...]  # about the configuration

    def __attrs_post_init__(self) -> None:
        self._questions = questions(self._host)

    async def status(self) -> schema.ThrottleStatus:
        # the tables may not be read yet right after the start
        problem = await self._recorder.loader.opened(LONGEST_LOOK_S)
        # more databases may appear during the calls below
        databases = tuple(self._host.databases.values())
        looks = [await self._look(database) for database in databases]
        return status(
            self._throttle,
            self._recorder.runs,
            looks,
            Moment(self._host.now_s(), self._host.wall_s()),
            ServerLook(
                server_name=self._host.server_name,
                enabled=all(database.enabled for database in databases),
                store_problem=problem or self._recorder.store.problem,
                missing=self._missing,
                warnings=self._warnings,
            ),
        )

    async def history(
        self, limit: int, update: str | None, database: str | None
    ) -> tuple[schema.HistoryEntry, ...]:
        # Read the unwritten runs also before the query: a run that is written meanwhile is in
        # neither of the two later.
        before = self._unwritten()
        most = limit if update is None and database is None else MOST_ENTRIES
        stored = await self._ask(_STORE, self._recorder.store.history, most)
        entries = newest_first((*before, *stored, *self._unwritten()), update, database)
        if not entries:
            check_exists(database, self._targets())
        return tuple(entry.stated() for entry in entries[:limit])

    def _unwritten(self) -> list[HistoryEntry]:
        running = [self._recorder.runs.so_far(name) for name in self._recorder.runs.running]
        return [*self._recorder.runs.ended, *(entry for entry in running if entry is not None)]

    async def uses(self, limit: int) -> tuple[schema.Use, ...]:
        return tuple(await self._ask(_STORE, self._recorder.store.uses, limit))

    async def load(self) -> tuple[schema.SeenHour, ...]:
        await self._recorder.loader.opened(LONGEST_LOOK_S)
        return self._recorder.week.stated()

    async def explain(self, update: str, database: str, one_shot: bool) -> schema.Explanation:
        check_exists(database, self._targets())
        return self._explain(update, database, one_shot)

    def _explain(self, update: str, database: str, one_shot: bool) -> schema.Explanation:
        known = self._host.databases.get(database)  # an unknown name must not create a database
        # If the queue stands still, the probe's last result is old.
        iterations = self._iterations.get(database) if known and known.is_running else None
        probe = None if iterations is None else iterations.probe
        at = Conditions(
            self._host.now_s(),
            self._host.wall_s(),
            enabled=known is None or known.enabled,
            silent_since_s=None if probe is None else probe.silent_since_s,
            complaint="" if probe is None else probe.complaint,
        )
        one_shot = one_shot or (known is not None and update in known.one_shots())
        return explanation(self._throttle, database, update, one_shot, at)

    async def change_levers(self, request: LeverRequest, author: str) -> schema.LeverAnswer:
        problem = await self._recorder.loader.opened(LONGEST_LOOK_S)
        if problem:
            raise StoreUnavailableError(problem)
        # A pause of a known update must not wait for queues, because a database may be silent.
        asks_first = request.action is Action.RELEASE or not is_known(request, self._targets())
        targets = await self._asked_targets(request) if asks_first else self._targets()
        check(request, targets)
        try:
            do = self._recorder.levers.carry_out
            call = Call(self._host, "bgthrottle_lever", do, request, author, runnable(targets))
            result = await call.within(LONGEST_WRITE_S)
        # an unknown database may still have levers, so it is refused only now
        except NothingMatchesError:
            check_exists(request.database, targets)
            raise
        except ServerEndsError as error:
            raise StoreUnavailableError(f"nothing has changed: {error}") from error
        except TimeoutError:
            raise StoreUnavailableError(
                f"no answer for {LONGEST_WRITE_S:.0f} s: it may still be done, see the status",
                may_be_done=True,
            ) from None
        return result.stated(await self._notes(request, result, targets if asks_first else None))

    async def _notes(
        self, request: LeverRequest, result: LeverResult, targets: Sequence[Target] | None
    ) -> list[str]:
        """Notes for the answer. The change is done: an error here must not look like a failure."""
        with self._host.reporting("with the notes on a lever"):
            if targets is None:
                targets = await self._asked_targets(request) if result.made else ()
            return list(notes(request, result.made, targets, self._explained))
        return []

    def _targets(self) -> list[Target]:
        databases = tuple(self._host.databases.values())
        return [Target(each.name, None, each.known_updates()) for each in databases]

    async def _asked_targets(self, request: LeverRequest) -> list[Target]:
        targets = []
        for database in tuple(self._host.databases.values()):
            pending = None
            if request.database in (None, database.name):  # other databases may be silent
                try:
                    rows = await self._ask(database.name, database.queue)
                    pending = tuple(v.row.name for v in in_order(rows, database.current_update))
                except StoreUnavailableError:
                    if request.action is Action.RELEASE:  # a release only concerns pending updates
                        raise
            targets.append(Target(database.name, pending, database.known_updates()))
        return targets

    def _explained(self, database: str, update: str) -> tuple[list[str], str]:
        explained = self._explain(update, database, False)
        return [held.reason for held in explained.held_by], explained.description

    async def _look(self, database: Database) -> DatabaseLook:
        rows, problem = None, ""
        try:
            rows = await self._within(database.name, database.queue)
            await self._within(database.name, self._recorder.measure, database, rows)
        except CancelledError:
            raise
        except Exception as error:  # the rest of the status is still useful
            problem = complaint_of(error)
        return DatabaseLook(
            name=database.name,
            engine=database.engine,
            rows=rows,
            queue_problem=problem,
            current=database.current_update,
            has_aborted=database.has_aborted,
            restarts=self._recorder.restarter.of(database.name),
            known=database.known_updates(),
            one_shots=database.one_shots(),
            progress=self._recorder.progress.progress(database.name, rows or ()),
            estimate=self._recorder.progress.estimate(database.name),
        )

    async def _ask(self, asked: str, question: Any, *arguments: Any) -> Any:
        try:
            return await self._within(asked, question, *arguments)
        except CancelledError:
            raise
        except Exception as error:
            raise StoreUnavailableError(complaint_of(error)) from error

    async def _within(self, asked: str, question: Any, *arguments: Any) -> Any:
        return await self._questions.within(LONGEST_LOOK_S, asked, question, *arguments)
