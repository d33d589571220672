"""Reads an administrator's request from JSON, or finds all problems in it."""

import enum
import fnmatch
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from synapse_bgthrottle.core.config.keys import SETTING_KEYS, within
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
from synapse_bgthrottle.core.levers.lever import LeverKind
from synapse_bgthrottle.core.units import parse_duration_ms

LONGEST_REASON = 500
SHORTEST_MS = 1000
LONGEST_MS = 30 * 86_400_000
DEFAULT_MS = 86_400_000

# Only a release gives approval, so that everybody sees it. An override must not do it.
OVERRIDE_KEYS = tuple(key for key in SETTING_KEYS if key != "approval")

# Unicode categories of characters that mislead a reader: control characters, invisible ones, those
# that change the direction of text, half characters, and line ends.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Far more than anybody needs, and few enough to check each quickly.
_MOST_KEYS = 50
_MOST_WINDOWS = 100
# Size as JSON. A status has up to a hundred overrides, and a thousand uses are kept.
_LARGEST_SETTINGS_BYTES = 4096


class NothingMatchesError(Exception):
    """The request matches no pending update, or no lever in force."""


class TooManyLeversError(Exception):
    """The largest number of levers is in force."""


class StoreUnavailableError(Exception):
    """The database does not answer. The message says whether anything has changed."""

    def __init__(self, message: str = "", *, may_be_done: bool = False) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done  # the change may have been made, or may still be made


class Action(enum.Enum):
    """What a request does. The value is the last part of its path."""

    PAUSE = "pause"
    RESUME = "resume"
    RELEASE = "release"
    OVERRIDE = "override"
    RESET = "reset"

    @property
    def kind(self) -> LeverKind | None:
        """The kind of lever that it makes; None: it makes none, but ends levers."""
        return None if self in (Action.RESUME, Action.RESET) else LeverKind(self.value)


# These let updates run faster, so the request must name the updates.
_NEEDS_UPDATE = frozenset({Action.RELEASE, Action.OVERRIDE})


@attrs.frozen
class LeverRequest:
    """A valid request."""

    action: Action
    update: str  # name of an update, or a glob
    database: str | None = None  # the only database that it concerns; None: all
    duration_ms: float = 0.0  # how long the new lever lasts; 0: no lever is made
    reason: str = ""
    settings: Settings = attrs.field(factory=Settings)  # what an override sets, checked
    written: Mapping[str, Any] = attrs.field(factory=dict)  # the same, as it was written


def is_printable(value: str) -> bool:
    """Whether people see the whole text as it is, in one line."""
    return not any(unicodedata.category(character) in _UNPRINTABLE for character in value)


def escaped(value: str) -> str:
    """The text with characters that people cannot see escaped as in Python: `\\n`, `\\u202e`."""
    return "".join(
        character if is_printable(character) else repr(character)[1:-1] for character in value
    )


def is_glob(value: object) -> bool:
    """Whether it is a valid glob of 1 to `LONGEST_NAME` printable characters."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    try:
        re.compile(fnmatch.translate(value))
    except re.error:  # Python before 3.10.5 takes `[z-a]` as a range
        return False
    return is_printable(value)


def is_name(value: object) -> bool:
    """Whether it can be a database name: 1 to `LONGEST_NAME` printable characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and is_printable(value)


def accepted_keys(action: Action) -> tuple[str, ...]:
    """The keys that a request for this action may have."""
    keys = ["update", "database"]
    if action is Action.OVERRIDE:
        keys.append("settings")
    if action.kind is not None:
        keys.append("for")
    return (*keys, "reason")


def parse_lever_request(action: Action, raw: object) -> LeverRequest:
    """The request in this JSON, checked. Raises InvalidConfigError with all problems."""
    keys = accepted_keys(action)
    if not isinstance(raw, dict):
        accepted = f"an object with any of the keys {', '.join(keys)}"
        raise InvalidConfigError([refused((), raw, accepted)])
    problems = [
        *_unknown_keys(raw, keys),
        *_unprintable(raw.get("settings"), ("settings",)),
        *_names_problems(raw, action),
    ]
    duration_ms, settings = 0.0, Settings()
    try:
        if "for" in keys:
            asked_ms = parse_duration_ms(raw.get("for", DEFAULT_MS))
            duration_ms = float(within(asked_ms, SHORTEST_MS, LONGEST_MS))
    except ValueError:
        accepted = "a duration from 1s to 30d, such as 30m, 24h, 7d, or a whole number of ms"
        problems.append(refused(("for",), raw["for"], accepted))
    try:
        if "settings" in keys:
            settings = _settings(raw)
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
        settings,
        dict(raw["settings"]) if "settings" in keys else {},
    )


def _names_problems(raw: Mapping[str, Any], action: Action) -> Iterator[Problem]:
    """Problems of the names: updates, database, reason."""
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
    """The first text in the settings that contains misleading characters.

    The parsers accept white space around numbers and times of day, even line ends.
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
