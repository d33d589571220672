"""Timers that fire even if the wall clock is set back.

Twisted's reactor uses that clock (`time.time`). If it is set back by an hour, all timers fire an
hour late. `call_overdue` fires them at once.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

logger = logging.getLogger(__name__)

# A smaller step back does no harm, and NTP makes only smaller ones.
OVERDUE_S = 1.0

Process = Callable[[], Awaitable[None]]


@attrs.define(eq=False)
class Timer:
    """A scheduled call."""

    description: str
    process: Process
    due_s: float  # when it is due, monotonic
    due_wall_s: float  # the same by the wall clock, as it was when the timer was made
    call: Any = None  # Twisted's; None: not scheduled

    def late_s(self, now_s: float, wall_s: float) -> float:
        """How late the reactor calls it now, without the step back of the wall clock."""
        return max(min(now_s - self.due_s, wall_s - self.due_wall_s), 0.0)

    def active(self) -> bool:
        """Whether it has not been called yet."""
        return self.call is not None and bool(self.call.active())

    def cancel(self) -> None:
        if self.call is not None:
            self.call.cancel()


@attrs.define
class Timers:
    """The timers of one server.

    `delayed` schedules a process in so many seconds, or raises; it returns None if that is unknown.
    """

    _delayed: Callable[[float, str, Process], Any]
    _now_s: Callable[[], float]
    _wall_s: Callable[[], float]
    _pending: list[Timer] = attrs.field(factory=list, init=False)

    def call_later(self, delay_s: float, description: str, process: Process) -> Timer | None:
        """Run it later, in its own log context; None: impossible, or the server shuts down."""
        self.call_overdue()
        try:
            due_s, due_wall_s = self._now_s() + delay_s, self._wall_s() + delay_s
            timer = Timer(description, process, due_s, due_wall_s)
            self._pending.append(timer)
            # Last, so that a failure above leaves no call that cannot be cancelled.
            timer.call = self._delayed(delay_s, description, process)
        except Exception as error:  # the clock of a server that shuts down accepts no calls
            logger.debug("Could not schedule %s: %r", description, error)
            return None
        return None if timer.call is None else timer

    def call_overdue(self) -> None:
        """Call at once what is overdue because the wall clock was set back.

        Everything that starts work calls this; nothing else would notice in time. Timers that are
        late because the reactor is busy are left alone: they come next.
        """
        try:
            now_s, wall_s = self._now_s(), self._wall_s()
            self._pending = [timer for timer in self._pending if timer.active()]
            for timer in self._pending:
                if now_s - timer.due_s > OVERDUE_S and timer.due_wall_s > wall_s:
                    call = self._delayed(0, timer.description, timer.process)
                    if call is not None:  # the earlier call must not come too
                        timer.cancel()
                        timer.call, timer.due_s, timer.due_wall_s = call, now_s, wall_s
        except Exception as error:  # as above
            logger.debug("Could not call overdue timers: %r", error)
