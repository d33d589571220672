"""What was decided for one iteration, and why."""

import enum

import attrs


class Cause(enum.Enum):
    """Why an iteration waits or runs, in the order in which causes take precedence."""

    DISABLED = "disabled"
    DATABASE = "database"
    LEVERS = "levers"
    PAUSED = "paused"
    BACKOFF = "backoff"
    APPROVAL = "approval"
    WINDOW = "window"
    BUDGET = "budget"
    CALM = "calm"
    PANIC = "panic"
    PACE = "pace"
    RATE = "rate"
    COMPARE = "compare"
    GAP = "gap"
    RUN = "run"

    @property
    def is_hold(self) -> bool:
        """Whether it stops the update and all behind it; other causes only space batches."""
        return self.comes_before(Cause.PANIC)

    @property
    def is_unmeasured(self) -> bool:
        """Whether it is a hold that no measurement can end. Such a hold may last for months."""
        return self in _UNMEASURED

    def comes_before(self, other: "Cause") -> bool:
        """Whether it takes precedence over another cause."""
        return _ORDER[self] < _ORDER[other]

    @property
    def is_of_signals(self) -> bool:
        """Whether it is not one of the holds that come before all measurements."""
        return not self.comes_before(Cause.BUDGET)


_ORDER = {cause: place for place, cause in enumerate(Cause)}
_UNMEASURED = frozenset({Cause.DISABLED, Cause.PAUSED, Cause.APPROVAL, Cause.WINDOW})


@attrs.frozen
class Conditions:
    """The moment of a decision.

    Attributes:
        now_s: the time, monotonic.
        wall_s: seconds since the epoch.
        enabled: Synapse's own switch for background updates.
        silent_since_s: since when the database does not answer, monotonic; None: it answers.
        complaint: the error that it gives instead.
        active_requests: requests in progress; None: unknown.
        requests_answered: requests answered since the start, without long polls.
    """

    now_s: float
    wall_s: float
    enabled: bool = True
    silent_since_s: float | None = None
    complaint: str = ""
    active_requests: int | None = None
    requests_answered: int = 0


@attrs.frozen
class Verdict:
    """What one rule says.

    Attributes:
        cause: why.
        wait_s: seconds until this can change by itself.
        reason: the cause for people.
        may_be_let_go: whether `max_hold` ends it.
        subject: what it is about, where a cause may concern several things.
    """

    cause: Cause
    wait_s: float
    reason: str
    may_be_let_go: bool = False
    subject: str = ""


@attrs.frozen
class Decision:
    """What one iteration should do now.

    Attributes:
        cause: why.
        reason: the cause for people, with the measured value and the threshold.
        wait_s: seconds until this decision can change by itself. 0 runs the batch now; inf waits
            for an administrator or the server.
        target_ms: how long the batch is to take.
        items: its exact size.
        subject: what the cause is about, where it may concern several things.
    """

    cause: Cause
    reason: str
    wait_s: float
    target_ms: float
    items: int
    subject: str = ""
