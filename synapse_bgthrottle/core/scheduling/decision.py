"""What was decided for one iteration, and why. Everyone who tells or acts reads this."""

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
        """Whether it stops the update, and all behind it in the database; a pace only spaces."""
        return self in _HOLDS

    @property
    def is_unmeasured(self) -> bool:
        """Whether it is a hold that no measurement ends, and that may last for months."""
        return self in _UNMEASURED

    def comes_before(self, other: "Cause") -> bool:
        """Whether it takes precedence over another one."""
        return _ORDER[self] < _ORDER[other]

    @property
    def is_of_signals(self) -> bool:
        """Whether measurements have a say in it: what comes before them does not hold it."""
        return self not in _BEFORE_SIGNALS


_ORDER = {cause: place for place, cause in enumerate(Cause)}
_HOLDS = frozenset(
    {
        Cause.DISABLED,
        Cause.DATABASE,
        Cause.LEVERS,
        Cause.PAUSED,
        Cause.BACKOFF,
        Cause.APPROVAL,
        Cause.WINDOW,
        Cause.BUDGET,
        Cause.CALM,
    }
)
_UNMEASURED = frozenset({Cause.DISABLED, Cause.PAUSED, Cause.APPROVAL, Cause.WINDOW})
_BEFORE_SIGNALS = _HOLDS - {Cause.BUDGET, Cause.CALM}


@attrs.frozen
class Conditions:
    """What a decision needs to know of the moment.

    Attributes:
        now_s: monotonic.
        wall_s: seconds since the epoch.
        enabled: the server's own switch for background updates.
        silent_since_s: since when (monotonic) the database gives no answer; None: it answers.
        complaint: what it says instead.
        active_requests: requests that somebody waits for; None: unknown.
        requests_answered: how many have ever been answered, but long polls.
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
        wait_s: until this can change by itself.
        reason: the same for people.
        may_be_let_go: whether `max_hold` ends it.
        subject: what it is about, where one cause has several.
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
        reason: the same for people, with the value observed and the threshold.
        wait_s: seconds until this decision can change by itself; 0 runs the batch now, inf waits
            for somebody else.
        target_ms: how long the batch is to take.
        items: its size, exactly.
        subject: what the cause is about, where it may be about several things.
    """

    cause: Cause
    reason: str
    wait_s: float
    target_ms: float
    items: int
    subject: str = ""
