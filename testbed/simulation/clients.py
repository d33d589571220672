"""Clients: requests in an open loop, each from its arrival to its answer."""

import math

import attrs

from testbed.simulation.agenda import Agenda
from testbed.simulation.model import ClientsModel, RequestKind, Uniform
from testbed.simulation.process import Process, Step
from testbed.simulation.record import Record, Request

# The server does not count requests in progress for longer than this.
_LONGEST_WAIT_S = 1.0

_LONG_POLL_LASTS_S = 30.0
_LONG_POLL_WORK_S = 0.001


@attrs.define
class Clients:
    """Sends requests, and keeps what the server itself can see of them.

    Attributes:
        answered: requests answered so far, without long polls.
        responses: total time and number of responses, by kind.
    """

    _agenda: Agenda
    _model: ClientsModel
    _process: Process
    _draw: Uniform
    _record: Record
    answered: int = 0
    responses: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    _seen_s: dict[int, float] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self._model.load.most_per_s > 0:
            self._next_arrival()
        for number in range(self._model.long_polls):
            begin_s = _LONG_POLL_LASTS_S * number / self._model.long_polls
            self._agenda.after(begin_s, self._long_poll)

    def young(self) -> int:
        """Requests in progress that the server counts."""
        after_s = self._agenda.now_s - _LONGEST_WAIT_S
        return sum(seen_s > after_s for seen_s in self._seen_s.values())

    def _exponential(self, mean: float) -> float:
        return -mean * math.log(1 - self._draw())

    def _erlang(self, shape: int) -> float:
        return sum(self._exponential(1 / shape) for _ in range(shape))

    def _next_arrival(self) -> None:
        # Thinning: arrivals come at the highest rate, and the right share is kept. All random
        # values are drawn here, so that the requests do not depend on the server.
        load = self._model.load
        gap_s = self._exponential(1 / load.most_per_s)
        kept, chosen = self._draw(), self._draw() * sum(kind.share for kind in self._model.kinds)
        kinds = iter(self._model.kinds)
        kind = next(kinds)
        while chosen >= kind.share:
            chosen -= kind.share
            kind = next(kinds)
        sizes = [1.0 if kind.exact else self._erlang(kind.shape) for _ in range(3)]

        def arrive() -> None:
            if kept * load.most_per_s < load.per_s(self._agenda.now_s):
                self._request(kind, sizes)
            self._next_arrival()

        self._agenda.after(gap_s, arrive)

    def _request(self, kind: RequestKind, sizes: list[float]) -> None:
        number = self._record.arrivals
        self._record.arrivals += 1
        came_s = self._agenda.now_s
        reactor_s = kind.reactor_s * sizes[0]

        def seen() -> None:
            self._seen_s[number] = self._agenda.now_s

        def to_database() -> None:
            step = Step(kind.thread_s * sizes[1], kind.database_s * sizes[2])
            self._process.transaction([step], False, from_database)

        def from_database() -> None:
            self._process.turn(reactor_s / 2, answered)

        def answered() -> None:
            now_s = self._agenda.now_s
            self.answered += 1
            sum_s, count = self.responses.get(kind.name, (0.0, 0.0))
            took_s = now_s - self._seen_s.pop(number)
            self.responses[kind.name] = (sum_s + took_s, count + 1)
            self._record.requests.append(Request(came_s, now_s - came_s, kind.name))

        if kind.has_transaction:
            self._process.turn(reactor_s / 2, to_database, begun=seen)
        else:
            self._process.turn(reactor_s, answered, begun=seen)

    def _long_poll(self) -> None:
        def wait() -> None:
            self._process.timer(_LONG_POLL_LASTS_S, _LONG_POLL_WORK_S, self._long_poll)

        self._process.turn(_LONG_POLL_WORK_S, wait)
