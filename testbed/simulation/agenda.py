"""Virtual time: scheduled actions. The same actions in the same order give the same run."""

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Agenda:
    """Actions in order of time. At the same instant, the one scheduled first comes first.

    Attributes:
        now_s: the time. It starts at 0 and only moves in `run_until`.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._noted = 0
        self._actions: list[tuple[float, int, Action]] = []

    def after(self, delay_s: float, action: Action) -> None:
        """Schedule an action in `delay_s`; it cannot be cancelled."""
        self._noted += 1
        heapq.heappush(self._actions, (self.now_s + max(delay_s, 0.0), self._noted, action))

    def run_until(self, end_s: float) -> None:
        """Run all actions until then, with those that they schedule."""
        while self._actions and self._actions[0][0] <= end_s:
            self.now_s, _, action = heapq.heappop(self._actions)
            action()
        self.now_s = max(self.now_s, end_s)
