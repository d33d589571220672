"""What administrators put in force, and what they did."""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Lever:
    """Something that an administrator put in force until a given time.

    Attributes:
        id: of this lever.
        kind: `pause`, `override` or `release`.
        update: the pattern of names that it is about.
        database: None: all.
        settings: of an override, as given.
        reason: as given.
        author: who.
        created_ms, ends_ms: since the epoch.
        used_ms: when a release let its update go; None: not yet.
    """

    id: str = ""
    kind: str = ""
    update: str = "*"
    database: str | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    reason: str = ""
    author: str = ""
    created_ms: int | None = None
    ends_ms: int | None = None
    used_ms: int | None = None


@attrs.frozen
class LeverAnswer:
    """What the use of a lever changed.

    Attributes:
        made: levers that are new.
        ended: levers that are no longer in force.
        in_force: all that are, afterwards.
        notes: what else is to be known, such as what still holds an update; for people.
    """

    made: tuple[Lever, ...] = ()
    ended: tuple[Lever, ...] = ()
    in_force: tuple[Lever, ...] = ()
    notes: tuple[str, ...] = ()


@attrs.frozen
class Use:
    """One use of a lever by somebody.

    Attributes:
        at_ms: since the epoch.
        author: who.
        action: `pause`, `resume`, `release`, `override` or `reset`.
        update: the pattern of names.
        database: None: all.
        reason: as given.
        settings: of an override.
        ends_ms: since the epoch; None: it was an end.
    """

    at_ms: int = 0
    author: str = ""
    action: str = ""
    update: str = ""
    database: str | None = None
    reason: str = ""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    ends_ms: int | None = None


@attrs.frozen
class Uses:
    """Uses of levers, newest first."""

    uses: tuple[Use, ...] = ()
