"""What an administrator asks for at run time, read from JSON, or all of its problems at once."""

import enum
import fnmatch
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from synapse_bgthrottle.core.config.keys import SETTING_KEYS
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import parse_settings
from synapse_bgthrottle.core.config.problems import (
    LONGEST_NAME,
    InvalidConfigError,
    Path,
    Problem,
    missing,
    refused,
    text,
    unknown_keys,
)
from synapse_bgthrottle.core.units import parse_duration_ms

LONGEST_REASON = 500
SHORTEST_MS = 1000
LONGEST_MS = 30 * 86_400_000
DEFAULT_MS = 86_400_000

# Approval is what a release lifts, in sight of whoever looks; an override must not do it aside.
OVERRIDE_KEYS = tuple(key for key in SETTING_KEYS if key != "approval")

# What tells the reader something else than it says: control characters, what turns the direction
# of writing or is not seen, halves of characters, ends of lines.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Far more than anybody writes, and few enough to tell what is wrong with each in no time.
_MOST_KEYS = 50
_MOST_WINDOWS = 100
# As JSON. A status states up to a hundred overrides, every few seconds; a thousand uses are kept.
_LARGEST_SETTINGS_BYTES = 4096


class NothingMatchesError(Exception):
    """No lever in force, or no pending update, is what the request is about."""


class TooManyLeversError(Exception):
    """As many levers are in force as may be."""


class StoreUnavailableError(Exception):
    """The database does not answer; nothing has changed, or it is not known: it says which.

    Attributes:
        may_be_done: what was asked for may have been done, or still be.
    """

    def __init__(self, message: str = "", *, may_be_done: bool = False) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class Action(enum.Enum):
    """What is done: the last part of the path that asks for it."""

    PAUSE = "pause"
    RESUME = "resume"
    RELEASE = "release"
    OVERRIDE = "override"
    RESET = "reset"


# Those that end levers end them at once, and for all; the others make one that lasts.
_ENDING = frozenset({Action.RESUME, Action.RESET})
# Those that let updates go faster are meant for some, so which must be said.
_NEEDS_UPDATE = frozenset({Action.RELEASE, Action.OVERRIDE})


@attrs.frozen
class LeverRequest:
    """A request, checked.

    Attributes:
        action: what is asked for.
        update: a name of updates, or a glob.
        database: the only one that it is about; None: all.
        duration_ms: how long the lever made holds; 0 where none is made.
        reason: for people; may be empty.
        settings: an override's, as given; empty otherwise.
        parsed: the same, as the configuration reads them.
    """

    action: Action
    update: str
    database: str | None = None
    duration_ms: float = 0.0
    reason: str = ""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    parsed: Settings = attrs.field(factory=Settings)


def is_printable(value: str) -> bool:
    """Whether people see all of it, as it is, in one line."""
    return not any(unicodedata.category(character) in _UNPRINTABLE for character in value)


def escaped(value: str) -> str:
    """The text with what people would not see as it is written as in Python: `\\n`, `\\u202e`."""
    return "".join(
        character if is_printable(character) else repr(character)[1:-1] for character in value
    )


def is_glob(value: object) -> bool:
    """Whether it can name updates: 1 to `LONGEST_NAME` printable characters, and a valid glob."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    try:
        re.compile(fnmatch.translate(value))
    except re.error:  # Python before 3.10.5 takes `[z-a]` for a range
        return False
    return is_printable(value)


def is_name(value: object) -> bool:
    """Whether it can be the name of a database: 1 to `LONGEST_NAME` printable characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and is_printable(value)


def accepted_keys(action: Action) -> tuple[str, ...]:
    """The keys that a request for it may have."""
    keys = ["update", "database"]
    if action is Action.OVERRIDE:
        keys.append("settings")
    if action not in _ENDING:
        keys.append("for")
    return (*keys, "reason")


def parse_lever_request(action: Action, raw: object) -> LeverRequest:
    """The request as its JSON says it, checked.

    Raises:
        InvalidConfigError: something is wrong with it; tells everything that is.
    """
    keys = accepted_keys(action)
    if not isinstance(raw, dict):
        accepted = f"an object with any of the keys {', '.join(keys)}"
        raise InvalidConfigError([refused((), raw, accepted)])
    problems = [
        *_unknown_keys(raw, keys),
        *_unprintable(raw.get("settings"), ("settings",)),
        *_names_problems(raw, action),
    ]
    duration_ms, parsed = 0.0, Settings()
    try:
        if "for" in keys:
            duration_ms = _duration_ms(raw.get("for", DEFAULT_MS))
    except ValueError:
        accepted = "a duration from 1s to 30d, such as 30m, 24h, 7d, or a whole number of ms"
        problems.append(refused(("for",), raw["for"], accepted))
    try:
        if "settings" in keys:
            parsed = _settings(raw)
    except InvalidConfigError as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidConfigError(problems)
    return LeverRequest(
        action,
        raw.get("update", "*"),
        raw.get("database"),
        duration_ms,
        raw.get("reason", ""),
        dict(raw["settings"]) if "settings" in keys else {},
        parsed,
    )


def _names_problems(raw: Mapping[str, Any], action: Action) -> Iterator[Problem]:
    """What is wrong with what is named: the updates, the database, the reason."""
    update = raw.get("update", "*")
    if "update" not in raw and action in _NEEDS_UPDATE:
        yield missing(("update",), "an update's name, or a glob such as '*'")
    elif not is_glob(update):
        accepted = f"an update's name or a glob, of 1 to {LONGEST_NAME} printable characters"
        yield refused(("update",), update, accepted)
    database = raw.get("database")
    if database is not None and not is_name(database):
        accepted = "the name of a database, such as master, or null for all"
        yield refused(("database",), database, accepted)
    reason = raw.get("reason", "")
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON or not is_printable(reason):
        accepted = f"text of at most {LONGEST_REASON} printable characters, in one line"
        yield refused(("reason",), reason, accepted)


def _unknown_keys(raw: Mapping[str, Any], keys: tuple[str, ...]) -> list[Problem]:
    if len(raw) > _MOST_KEYS:
        return [Problem((), f"found {len(raw)} keys; accepted are {', '.join(keys)}")]
    return unknown_keys((), raw, keys)


def _duration_ms(raw: object) -> float:
    duration_ms = parse_duration_ms(raw)
    if not SHORTEST_MS <= duration_ms <= LONGEST_MS:
        raise ValueError("out of range")
    return float(duration_ms)


def _settings(raw: Mapping[str, Any]) -> Settings:
    path = ("settings",)
    accepted = f"an object with at least one of the keys {', '.join(OVERRIDE_KEYS)}"
    if "settings" not in raw:
        raise InvalidConfigError([missing(path, accepted)])
    settings = raw["settings"]
    if isinstance(settings, dict) and len(settings) > _MOST_KEYS:
        raise InvalidConfigError(
            [Problem(path, f"found {len(settings)} keys; accepted is {accepted}")]
        )
    windows = settings.get("windows") if isinstance(settings, dict) else None
    if isinstance(windows, list):
        keys = sum(len(window) for window in windows if isinstance(window, dict))
        if len(windows) > _MOST_WINDOWS or keys > _MOST_KEYS * 10:
            message = f"found {len(windows)} with {keys} keys; accepted are {_MOST_WINDOWS} windows"
            raise InvalidConfigError([Problem((*path, "windows"), message)])
    size_bytes = len(json.dumps(settings))
    if size_bytes > _LARGEST_SETTINGS_BYTES:
        message = f"found {size_bytes} bytes of JSON; accepted are {_LARGEST_SETTINGS_BYTES}"
        raise InvalidConfigError([Problem(path, message)])
    return parse_settings(settings, path, OVERRIDE_KEYS)


def _unprintable(value: object, path: Path) -> Iterator[Problem]:
    """The first text in the settings that people would not see as it is.

    Numbers and times of day are read with white space around them, ends of lines too.
    """
    todo: list[tuple[object, Path]] = [(value, path)]
    while todo:
        item, at = todo.pop()
        if isinstance(item, str) and not is_printable(item):
            yield refused(at, item, "text of printable characters")
            return
        if isinstance(item, dict):
            todo += [(inner, (*at, text(key)[:LONGEST_NAME])) for key, inner in item.items()]
        elif isinstance(item, list):
            todo += [(inner, (*at, f"<item {number}>")) for number, inner in enumerate(item)]
