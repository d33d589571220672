"""Calls that are to come, and that come although the clock on the wall is set back.

Twisted's reactor goes by that clock (`time.time`). Set back by an hour, it makes an hour later all
that it was to call: whoever calls `call_overdue` meanwhile has it called at once.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

# Less does no harm, and clocks that are kept by NTP are set back by less.
OVERDUE_S = 1.0

Process = Callable[[], Awaitable[None]]


class DelayedCall(Protocol):
    """Twisted's."""

    def active(self) -> bool: ...

    def cancel(self) -> None: ...


@attrs.define(eq=False)
class Timer:
    """A call that is to come.

    Attributes:
        due_s: when it is (monotonic).
        due_wall_s: and by the clock on the wall, as it was when this was made.
    """

    description: str
    process: Process
    due_s: float
    due_wall_s: float
    call: DelayedCall | None = None

    def late_s(self, now_s: float, wall_s: float) -> float:
        """How late the reactor calls it now; not counting what that clock was set back by."""
        return max(min(now_s - self.due_s, wall_s - self.due_wall_s), 0.0)

    def active(self) -> bool:
        """Whether it is still to come."""
        return self.call is not None and self.call.active()

    def cancel(self) -> None:
        if self.call is not None:
            self.call.cancel()


class Timers:
    """Those of one server.

    Args:
        delayed: has the process called in so many seconds, or raises; None: it cannot be told.
        now_s: the monotonic clock.
        wall_s: the clock on the wall.
    """

    def __init__(
        self,
        delayed: Callable[[float, str, Process], DelayedCall | None],
        now_s: Callable[[], float],
        wall_s: Callable[[], float],
    ) -> None:
        self._delayed = delayed
        self._now_s = now_s
        self._wall_s = wall_s
        self._pending: list[Timer] = []

    def call_later(self, delay_s: float, description: str, process: Process) -> Timer | None:
        """Have it called; whatever `delayed` raises is raised."""
        due_s, due_wall_s = self._now_s() + delay_s, self._wall_s() + delay_s
        timer = Timer(description, process, due_s, due_wall_s)
        self._pending.append(timer)
        # Last: what fails before leaves no call that nobody knows of.
        timer.call = self._delayed(delay_s, description, process)
        return None if timer.call is None else timer

    def call_overdue(self) -> None:
        """Have those called now that the clock on the wall, set back, keeps from being called.

        Not those that are late because the reactor is: it calls them next.
        """
        now_s, wall_s = self._now_s(), self._wall_s()
        self._pending = [timer for timer in self._pending if timer.active()]
        for timer in self._pending:
            if now_s - timer.due_s > OVERDUE_S and timer.due_wall_s > wall_s:
                call = self._delayed(0, timer.description, timer.process)
                if call is not None:  # from here on the one before must not come too
                    timer.cancel()
                    timer.call, timer.due_s, timer.due_wall_s = call, now_s, wall_s
