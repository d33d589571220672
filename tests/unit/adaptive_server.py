"""A server in virtual time under the adaptive pace, with clients or without."""

from typing import Any

from synapse_bgthrottle.config import parse
from synapse_bgthrottle.decision import Conditions, Decision
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.signals.samples import ProcessSample
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.throttle import Throttle

DB, NAME = "master", "work"


class Server:
    """A server in virtual time, with a request at every quarter of a second where it is busy."""

    def __init__(
        self, raw: Any = None, facts: Facts | None = None, *, one_shot: bool = False
    ) -> None:
        self.throttle = Throttle(parse(raw or {}), Settings(), facts)
        self.now_s = 0.0
        self.received = 0
        self.active: int | None = 0
        self.late_s = 0.0
        self._next_look_s = 0.0
        self._one_shot = one_shot
        self._responses: dict[str, tuple[float, float]] = {}
        self.begin()

    @property
    def update(self) -> Any:
        return self.throttle.updates[DB, NAME]

    def begin(self) -> None:
        self.throttle.begin(DB, NAME, self._one_shot, self.now_s)

    def decide(self) -> Decision:
        at = Conditions(
            self.now_s, self.now_s, active_requests=self.active, requests_answered=self.received
        )
        return self.throttle.decide(DB, NAME, at)

    def pass_time(self, seconds: float, *, busy: bool = False, looks: bool = True) -> None:
        end_s = self.now_s + seconds
        while self._next_look_s <= end_s:
            self.now_s = self._next_look_s
            self._next_look_s += 0.25
            self.received += busy
            if looks:
                self.throttle.observe(None, self.sample())
            self.decide()
        self.now_s = end_s

    def answer(self, requests: int, took_s: float) -> None:
        """So many requests of one kind are answered, each after so long."""
        self.received += requests
        total_s, count = self._responses.get("send", (0.0, 0.0))
        self._responses["send"] = (total_s + requests * took_s, count + requests)

    def sample(self) -> ProcessSample:
        return ProcessSample(
            at_s=self.now_s,
            timer_late_s=self.late_s,
            responses=dict(self._responses),
            active_requests=self.active,
            requests_answered=self.received,
        )

    def batch(self, took_s: float, items: int | None = None) -> None:
        self.throttle.start(DB, NAME, self.now_s)
        self.now_s += took_s
        self.throttle.finish(DB, NAME, self.now_s, items, failed=False)
        self.begin()
