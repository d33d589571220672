"""Timers that fire even if the wall clock is set back.

Twisted's reactor uses that clock (`time.time`). If it is set back by an hour, all timers fire an
hour late. `call_overdue` fires them at once.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

# A smaller step back does no harm, and NTP makes only smaller ones.
OVERDUE_S = 1.0

Process = Callable[[], Awaitable[None]]


class DelayedCall(Protocol):
    """A call scheduled with Twisted."""

    def active(self) -> bool: ...

    def cancel(self) -> None: ...


@attrs.define(eq=False)
class Timer:
    """A scheduled call.

    Attributes:
        due_s: when it is due, monotonic.
        due_wall_s: the same by the wall clock, as it was when the timer was made.
    """

    description: str
    process: Process
    due_s: float
    due_wall_s: float
    call: DelayedCall | None = None

    def late_s(self, now_s: float, wall_s: float) -> float:
        """How late the reactor calls it now, without the step back of the wall clock."""
        return max(min(now_s - self.due_s, wall_s - self.due_wall_s), 0.0)

    def active(self) -> bool:
        """Whether it has not been called yet."""
        return self.call is not None and self.call.active()

    def cancel(self) -> None:
        if self.call is not None:
            self.call.cancel()


class Timers:
    """The timers of one server.

    `delayed` schedules a process in so many seconds, or raises; it returns None if that is unknown.
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
        """Schedule a call. Raises what `delayed` raises."""
        due_s, due_wall_s = self._now_s() + delay_s, self._wall_s() + delay_s
        timer = Timer(description, process, due_s, due_wall_s)
        self._pending.append(timer)
        # Last, so that a failure above leaves no call that cannot be cancelled.
        timer.call = self._delayed(delay_s, description, process)
        return None if timer.call is None else timer

    def call_overdue(self) -> None:
        """Call at once what is overdue because the wall clock was set back.

        Timers that are late because the reactor is busy are left alone: they come next.
        """
        now_s, wall_s = self._now_s(), self._wall_s()
        self._pending = [timer for timer in self._pending if timer.active()]
        for timer in self._pending:
            if now_s - timer.due_s > OVERDUE_S and timer.due_wall_s > wall_s:
                call = self._delayed(0, timer.description, timer.process)
                if call is not None:  # the earlier call must not come too
                    timer.cancel()
                    timer.call, timer.due_s, timer.due_wall_s = call, now_s, wall_s
