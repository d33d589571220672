"""Bodies and parameters that requests to the HTTP API may have.

`core.levers.request` and `api.request_parsing` check them; a test compares both with this.
"""

from typing import Annotated, Any

import attrs

from synapse_bgthrottle.codec import Key, LeftOut, OneOf, Shape, Within

_PRINTABLE = r"[^\u0000-\u001f\u007f-\u009f]"
_NAME = Shape({"minLength": 1, "maxLength": 200, "pattern": f"^{_PRINTABLE}+$"})
_DURATION = {
    "type": "string",
    "pattern": "^([0-9]{1,15}|(?=[0-9])"
    + " ?".join(f"([0-9]{{1,15}}{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
    + ")$",
}
_RATIO = (
    {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,6})? ?%$"},
    {"type": "number", "minimum": 0.001, "maximum": 1},
)
_MOST = 2**31 - 1
_OFF = {"enum": ["off", False]}
_MINUTES = {"type": "integer", "minimum": 0, "maximum": 1440}

Name = Annotated[str, _NAME]
Update = Annotated[
    str,
    "The name of an update, or a glob such as `event_*`. 1 to 200 printable characters: no control,"
    " format or direction characters.",
    _NAME,
]
Database = Annotated[
    str | None, "The name of the only database that it is about; null: all.", _NAME
]
For = Annotated[
    Any,
    Key("for"),
    "How long it lasts: a duration such as `30m`, `24h`, `7d`, or a whole number of ms; from 1 s to"
    " 30 d.",
    Shape({"oneOf": [_DURATION, {"type": "integer", "minimum": 1000, "maximum": 30 * 86_400_000}]}),
]
Reason = Annotated[
    str,
    "Why, for other administrators. At most 500 printable characters, in one line.",
    Shape({"maxLength": 500, "pattern": f"^{_PRINTABLE}*$"}),
]
Duration = Annotated[
    Any, LeftOut(), Shape({"oneOf": [_DURATION, {"type": "integer", "minimum": 0}]})
]
Share = Annotated[Any, LeftOut(), Shape({"oneOf": list(_RATIO)})]
Size = Annotated[int | None, LeftOut(), Within(1, _MOST)]


@attrs.frozen(kw_only=True)
class Settings:
    """What a rule of the configuration may set, by the same names, except `approval`.

    docs/configuration.md explains them.
    """

    target_duration: Annotated[Duration, "How long a batch should take, 1 ms to 1 h."] = None
    duty_cycle: Annotated[
        Any,
        LeftOut(),
        "The share of the time that is work, or `adaptive`. Not beside `sleep`.",
        Shape({"oneOf": [*_RATIO, {"enum": ["adaptive"]}]}),
    ] = None
    sleep: Annotated[
        Duration, "A fixed rest after each batch, up to 1 d. Not beside `duty_cycle`."
    ] = None
    profile: Annotated[
        str | None,
        LeftOut(),
        "How careful the adaptive pace is.",
        OneOf("gentle", "balanced", "fast", "finish"),
    ] = None
    min_duty_cycle: Annotated[Share, "Least share of the adaptive pace."] = None
    max_duty_cycle: Annotated[Share, "Greatest share of the adaptive pace."] = None
    max_items_per_second: Annotated[
        Any,
        LeftOut(),
        "Hard limit of the rate, or `off`.",
        Shape({"oneOf": [{"type": "number", "minimum": 0.001, "maximum": _MOST}, _OFF]}),
    ] = None
    default_batch_size: Annotated[Size, "Size of the first batch."] = None
    min_batch_size: Annotated[Size, "Least size of a later batch."] = None
    max_batch_size: Annotated[
        Any,
        LeftOut(),
        "Hard limit of a batch's size, or `off`.",
        Shape({"oneOf": [{"type": "integer", "minimum": 1, "maximum": _MOST}, _OFF]}),
    ] = None
    time_zone: Annotated[
        str | None,
        LeftOut(),
        "In which the windows are read, such as `Europe/Berlin`.",
        Shape({"minLength": 1, "maxLength": 200}),
    ] = None
    max_hold: Annotated[Duration, "How long closed windows may hold, 1 m to 1 y."] = None
    windows: Annotated[
        Any,
        LeftOut(),
        "`always`, or when updates may run: `days` such as `mon-fri` or `sat,sun`; `start` and"
        " `end` such as `22:00`, or in minutes since midnight.",
        Shape(
            {
                "oneOf": [
                    {"const": "always"},
                    {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 100,
                        "items": {
                            "type": "object",
                            "properties": {
                                "days": {"type": "string"},
                                "start": {"oneOf": [{"type": "string"}, _MINUTES]},
                                "end": {"oneOf": [{"type": "string"}, _MINUTES]},
                            },
                            "additionalProperties": False,
                        },
                    },
                ]
            }
        ),
    ] = None


@attrs.frozen(kw_only=True)
class Pause:
    """An empty body is an empty object: all updates, for a day."""

    update: Update = "*"
    database: Database = None
    for_: For = "24h"
    reason: Reason = ""


@attrs.frozen(kw_only=True)
class Ending:
    """An empty body is an empty object: all."""

    update: Update = "*"
    database: Database = None
    reason: Reason = ""


@attrs.frozen(kw_only=True)
class Release:
    """Which updates are let go."""

    update: Update
    database: Database = None
    for_: For = "24h"
    reason: Reason = ""


@attrs.frozen(kw_only=True)
class Override:
    """Which updates get other settings."""

    update: Update
    database: Database = None
    settings: Settings
    for_: For = "24h"
    reason: Reason = ""


Limit = Annotated[int, "How many at most.", Within(1, 1000)]


@attrs.frozen(kw_only=True)
class HistoryQuery:
    """Which part of the history."""

    limit: Limit = 100
    update: Annotated[Name | None, LeftOut(), "Only updates that this glob matches."] = None
    database: Annotated[Name | None, LeftOut(), "Only this database."] = None


@attrs.frozen(kw_only=True)
class UsesQuery:
    """How many uses."""

    limit: Limit = 100


@attrs.frozen(kw_only=True)
class ExplainQuery:
    """Which update."""

    update: Annotated[Name, "Its name."]
    database: Annotated[Name, "Of its database."] = "master"
    one_shot: Annotated[bool, "Whether it runs in one go."] = False
