"""What administrators put in force, and what they did."""

from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from synapse_bgthrottle.schema.codec import EpochMs, NeverNull, OneOf

Glob = Annotated[str, "The name of an update, or a glob such as `event_*`."]
OnlyDatabase = Annotated[str | None, "The only database that it is about; null: all."]


@attrs.frozen(kw_only=True)
class Lever:
    """Something that an administrator put in force until a given time."""

    id: Annotated[str, "Tells it from all others."] = ""
    kind: Annotated[str, OneOf("pause", "override", "release")] = ""
    update: Glob = "*"
    database: OnlyDatabase = None
    settings: Annotated[Mapping[str, Any], "As given; empty but for overrides."] = attrs.field(
        factory=dict
    )
    reason: Annotated[str, "As given; may be empty."] = ""
    author: Annotated[str, "The administrator's full user ID."] = ""
    created_ms: Annotated[EpochMs | None, NeverNull()] = None
    ends_ms: Annotated[EpochMs | None, NeverNull()] = None
    used_ms: Annotated[EpochMs | None, "When a release let its update go; null: not yet."] = None


@attrs.frozen(kw_only=True)
class LeverAnswer:
    """What the use of a lever changed."""

    made: Annotated[tuple[Lever, ...], "Levers that are new."] = ()
    ended: Annotated[tuple[Lever, ...], "Levers that are no longer in force."] = ()
    in_force: Annotated[tuple[Lever, ...], "All that are, afterwards."] = ()
    notes: Annotated[
        tuple[str, ...],
        "What else is to be known, for people: that nothing pending matches now, what still holds"
        " or limits an update, what it waits behind.",
    ] = ()


@attrs.frozen(kw_only=True)
class Use:
    """One use of a lever by somebody."""

    at_ms: EpochMs = 0
    author: Annotated[str, "The administrator's full user ID."] = ""
    action: Annotated[str, OneOf("pause", "resume", "release", "override", "reset", "restart")] = ""
    update: Glob = ""
    database: OnlyDatabase = None
    reason: Annotated[str, "As given; may be empty."] = ""
    settings: Annotated[Mapping[str, Any], "Of an override, as given."] = attrs.field(factory=dict)
    ends_ms: Annotated[EpochMs | None, "When what it made ends; null: it made nothing."] = None


@attrs.frozen(kw_only=True)
class Uses:
    """Uses of levers, newest first."""

    uses: tuple[Use, ...] = ()
