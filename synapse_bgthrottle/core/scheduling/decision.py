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
    """The moment of a decision."""

    now_s: float
    wall_s: float  # seconds since the epoch
    enabled: bool = True  # Synapse's own switch for background updates
    silent_since_s: float | None = None  # since when the database does not answer, monotonic
    complaint: str = ""  # the error that it gives instead
    active_requests: int | None = None  # requests in progress; None: unknown
    requests_answered: int = 0  # requests answered since the start, without long polls


@attrs.frozen
class Verdict:
    """What one rule says."""

    cause: Cause
    # Until this can change by itself; 0: run the batch now; inf: an administrator or the server.
    wait_s: float
    reason: str  # the cause for people, with the measured value and the threshold
    may_be_let_go: bool = False  # whether `max_hold` ends it
    subject: str = ""  # what it is about, where a cause may concern several things


@attrs.frozen
class Decision(Verdict):
    """What one iteration should do now."""

    target_ms: float = attrs.field(kw_only=True)  # how long the batch is to take
    items: int = attrs.field(kw_only=True)  # its exact size
