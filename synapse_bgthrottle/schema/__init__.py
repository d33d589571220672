"""What the HTTP API says, as records: the server makes them, and the client gets them back.

Below everything else: it imports nothing of ours. `codec` makes JSON of records and records of
JSON. `make openapi` describes the API by them.
"""

from synapse_bgthrottle.schema.codec import MismatchError, decode, to_json
from synapse_bgthrottle.schema.errors import ErrorAnswer, Problem
from synapse_bgthrottle.schema.explanation import (
    DAYS,
    Explanation,
    HeldBy,
    LimitValues,
    WindowValues,
)
from synapse_bgthrottle.schema.history import History, HistoryEntry, Load, SeenHour
from synapse_bgthrottle.schema.levers import Lever, LeverAnswer, Use, Uses
from synapse_bgthrottle.schema.status import (
    CurrentUpdate,
    DatabaseStatus,
    Enabled,
    IndexBuild,
    LastFailure,
    MissingDetail,
    PendingUpdate,
    Progress,
    Restart,
    RunningUpdate,
    StatedDecision,
    StatedPace,
    StatedProblem,
    StatedRange,
    StatedSignal,
    ThrottleStatus,
    TimeLeft,
    UpdatesStatus,
)

__all__ = [
    "DAYS",
    "CurrentUpdate",
    "DatabaseStatus",
    "Enabled",
    "ErrorAnswer",
    "Explanation",
    "HeldBy",
    "History",
    "HistoryEntry",
    "IndexBuild",
    "LastFailure",
    "Lever",
    "LeverAnswer",
    "LimitValues",
    "Load",
    "MismatchError",
    "MissingDetail",
    "PendingUpdate",
    "Problem",
    "Progress",
    "Restart",
    "RunningUpdate",
    "SeenHour",
    "StatedDecision",
    "StatedPace",
    "StatedProblem",
    "StatedRange",
    "StatedSignal",
    "ThrottleStatus",
    "TimeLeft",
    "UpdatesStatus",
    "Use",
    "Uses",
    "WindowValues",
    "decode",
    "to_json",
]
