"""Synapse's loop over the batches of an update, under a throttle, as in `iteration`."""

import math
from collections.abc import Callable
from typing import Protocol

import attrs

from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from testbed.simulation.agenda import Action, Agenda
from testbed.simulation.model import Uniform, UpdateModel
from testbed.simulation.process import Process, Step
from testbed.simulation.record import Batch, Record
from testbed.simulation.sizing import SynapseSizing

DATABASE = "master"

# Length of a slice of a wait, as in the module.
_SLICE_S = 0.5
_SHORTEST_SLEEP_S = 0.0001

# The reactor's work for one decision.
_LOOK_WORK_S = 0.00005

# Without a proof in this time that the database answers, it is queried before a batch.
_PROOF_LASTS_S = 0.25
_PROBE = Step(0.0002, 0.0003)


class Decider(Protocol):
    """The decision code: `core.scheduling.throttle.Throttle`, or another law for comparison."""

    def begin(self, database_name: str, update_name: str, one_shot: bool, now_s: float) -> None: ...

    def decide(self, database_name: str, update_name: str, at: Conditions) -> Decision: ...

    def waited(self, database_name: str, update_name: str, cause: Cause, wait_s: float) -> None: ...

    def start(self, database_name: str, update_name: str, now_s: float) -> None: ...

    def finish(
        self, database_name: str, update_name: str, now_s: float, items: int | None, failed: bool
    ) -> None: ...


@attrs.define
class Updater:
    """Runs one update from time 0 until its items are done."""

    _agenda: Agenda
    _model: UpdateModel
    _process: Process
    _throttle: Decider
    _conditions: Callable[[], Conditions]
    _draw: Uniform
    _record: Record
    _sizing: SynapseSizing = attrs.field(factory=SynapseSizing)
    _proved_s: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self._agenda.after(0.0, self._iteration)

    def _iteration(self) -> None:
        self._throttle.begin(DATABASE, self._model.name, False, self._agenda.now_s)
        self._look()

    def _look(self) -> None:
        begin_s = self._agenda.now_s
        decision = self._throttle.decide(DATABASE, self._model.name, self._conditions())
        if decision.wait_s > 0:

            def waited() -> None:
                wait_s = self._agenda.now_s - begin_s
                self._record.waits.append((begin_s, wait_s, decision.cause))
                self._throttle.waited(DATABASE, self._model.name, decision.cause, wait_s)
                self._look()

            slice_s = max(min(decision.wait_s, _SLICE_S), _SHORTEST_SLEEP_S)
            self._process.timer(slice_s, _LOOK_WORK_S, waited)
        elif begin_s >= self._proved_s + _PROOF_LASTS_S:
            self._process.transaction([_PROBE], True, self._proved)
        else:
            self._batch(decision)

    def _proved(self) -> None:
        self._proved_s = self._agenda.now_s
        self._process.turn(_LOOK_WORK_S, self._look)

    def _batch(self, decision: Decision) -> None:
        model, now_s = self._model, self._agenda.now_s
        self._throttle.start(DATABASE, model.name, now_s)
        size = decision.items or self._sizing.next_items(decision.target_ms)
        items = int(min(size, model.items - self._sizing.total_items))
        units = self._units(items)
        overhead = Step(model.overhead_thread_s / 2, model.overhead_database_s / 2)
        # A handler selects, works on the result, and writes.
        query_s = units * model.database_s / 2
        steps = [Step(0.0, query_s), Step(units * model.thread_s, query_s), overhead]
        began_s = now_s

        def handler() -> None:
            nonlocal began_s
            began_s = self._agenda.now_s
            if began_s < model.works_from_s:
                waits_s = units * (model.reactor_s + model.thread_s + model.database_s)
                self._agenda.after(waits_s, lambda: self._process.turn(0.0, ended))
                return
            self._in_reactor(units * model.reactor_s, to_database)

        def to_database() -> None:
            self._process.transaction(steps, True, lambda: self._process.turn(0.0, ended))

        def ended() -> None:
            end_s = self._agenda.now_s
            self._sizing.record(items, began_s, end_s)
            self._record.batches.append(Batch(now_s, end_s, items, decision.target_ms))
            self._throttle.finish(DATABASE, model.name, end_s, items, failed=False)
            self._proved_s = end_s
            if self._sizing.total_items < model.items:
                self._iteration()
            else:
                self._record.finished_s = end_s

        self._process.transaction([overhead], True, lambda: self._process.turn(0.0, handler))

    def _in_reactor(self, work_s: float, done: Action) -> None:
        slice_s = min(work_s, self._model.reactor_slice_s)
        rest_s = work_s - slice_s
        then: Action = (lambda: self._in_reactor(rest_s, done)) if rest_s > 0 else done
        self._process.turn(slice_s, then)

    def _units(self, items: int) -> float:
        """The cost of these items, in items of the present mean cost."""
        model = self._model
        dear = _binomial(items, model.dear_share, self._draw) if model.dear_share else 0
        units = items + dear * (model.dear_factor - 1)
        return units * model.cost_factor(self._agenda.now_s)


def _binomial(trials: int, share: float, draw: Uniform) -> int:
    """Number of successful trials: the gaps between successes are geometric."""
    successes, at = 0, 0
    while True:
        at += 1 + int(math.log(1 - draw()) / math.log(1 - share))
        if at > trials:
            return successes
        successes += 1
