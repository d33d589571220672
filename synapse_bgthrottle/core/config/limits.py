"""The limits of an update: settings of each level, the first matching rule, the merged result."""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from datetime import timezone, tzinfo
from re import Pattern
from typing import Any

import attrs

from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.units import format_duration_ms, format_ratio


@attrs.frozen
class DutyCycle:
    """Rest in proportion to the duration of the batch, so that `ratio` of the time is work."""

    ratio: float

    def __str__(self) -> str:
        return f"duty cycle {format_ratio(self.ratio)}"


@attrs.frozen
class FixedSleep:
    """Rest the same time after every batch, as stock Synapse does. 0 never rests."""

    duration_ms: float

    def __str__(self) -> str:
        return f"sleep {format_duration_ms(self.duration_ms)}"


@attrs.frozen
class Adaptive:
    """Rest as the adaptive pace decides (`adaptive`)."""

    def __str__(self) -> str:
        return "duty cycle adaptive"


Pace = DutyCycle | FixedSleep | Adaptive


@attrs.frozen(kw_only=True)
class Settings:
    """What one level of the configuration sets; None: it leaves that to another level."""

    target_duration_ms: float | None = None  # wanted duration of one batch
    pace: Pace | None = None  # how long to rest between batches
    profile: str | None = None  # how careful the adaptive pace is, a name from `profiles.PROFILES`
    min_duty_ratio: float | None = None  # least duty cycle of the adaptive pace
    max_duty_ratio: float | None = None  # greatest duty cycle of the adaptive pace
    max_items_per_second: float | None = None  # hard limit of the rate; inf: no limit
    default_batch_items: int | None = None  # size of an update's first batch
    min_batch_items: int | None = None  # least size of a later batch
    max_batch_items: float | None = None  # hard limit of a batch's size; inf: no limit
    windows: tuple[Window, ...] | None = None  # in which updates may run; empty: always
    time_zone: tzinfo | None = None
    max_hold_ms: float | None = None  # how long closed windows and budgets may hold an update
    needs_approval: bool | None = None  # whether it waits until an administrator releases it


def with_pace(settings: Settings) -> Settings:
    """The settings, with the adaptive pace if they set something of it and no other pace.

    Whoever sets a profile wants its pace, even if a level above sets a fixed one.
    """
    adaptive_only = (settings.profile, settings.min_duty_ratio, settings.max_duty_ratio)
    if settings.pace is None and any(value is not None for value in adaptive_only):
        return attrs.evolve(settings, pace=Adaptive())
    return settings


@attrs.frozen(kw_only=True)
class Limits:
    """What applies to an update: its levels merged, so that everything has a value.

    For the attributes see `Settings`. A default applies where no level sets anything.
    """

    target_duration_ms: float = 100.0
    pace: Pace = Adaptive()
    profile: str = "balanced"
    min_duty_ratio: float = 0.01
    max_duty_ratio: float = 1.0
    max_items_per_second: float = float("inf")
    default_batch_items: int = 1
    min_batch_items: int = 1
    max_batch_items: float = float("inf")
    windows: tuple[Window, ...] = ()
    time_zone: tzinfo = timezone.utc
    max_hold_ms: float = 7 * 86_400_000.0
    needs_approval: bool = False


_FIELDS = tuple(field.name for field in attrs.fields(Settings))


def merge(levels: Iterable[Settings], floor_items: int = 1) -> Limits:
    """Each setting from the first level that has it, otherwise the default of `Limits`.

    Where bounds contradict, the maximum takes precedence over the minimum, and the minimum over the
    default. `floor_items` takes precedence over all three.
    """
    found: dict[str, Any] = {}
    for level in levels:
        for name in _FIELDS:
            value = getattr(level, name)
            if value is not None:
                found.setdefault(name, value)
    limits = Limits(**found)
    maximum = max(limits.max_batch_items, floor_items)
    minimum = int(min(max(limits.min_batch_items, floor_items), maximum))
    default = int(min(max(limits.default_batch_items, minimum), maximum))
    return attrs.evolve(
        limits,
        max_batch_items=maximum,
        min_batch_items=minimum,
        default_batch_items=default,
        min_duty_ratio=min(limits.min_duty_ratio, limits.max_duty_ratio),
    )


@attrs.frozen
class Rule:
    """Settings for the updates that it matches."""

    number: int  # its place in the configuration's list, from 0
    patterns: tuple[str, ...] = ()  # names or globs of updates; empty: every name
    database: str | None = None  # name of the only database that it matches; None: every one
    one_shot: bool | None = None  # True: only one-shots; False: only the others; None: both
    settings: Settings = attrs.field(factory=Settings)
    _regex: Pattern[str] = attrs.field(init=False, eq=False, repr=False)

    @_regex.default
    def _compile(self) -> Pattern[str]:
        return re.compile("|".join(fnmatch.translate(p) for p in self.patterns or ("*",)))

    def matches(self, update_name: str, database_name: str, one_shot: bool) -> bool:
        return (
            self.database in (None, database_name)
            and self.one_shot in (None, one_shot)
            and self._regex.match(update_name) is not None
        )

    def __str__(self) -> str:
        matched = [", ".join(self.patterns)] if self.patterns else []
        if self.database is not None:
            matched.append(f"database {self.database}")
        if self.one_shot is not None:
            matched.append("one-shots" if self.one_shot else "no one-shots")
        return f"rule {self.number} ({'; '.join(matched) or 'everything'})"


def first_match(
    rules: Sequence[Rule], update_name: str, database_name: str, one_shot: bool
) -> Rule | None:
    """The first matching rule; None: none matches."""
    return next((r for r in rules if r.matches(update_name, database_name, one_shot)), None)


# Stands for a wildcard of the later pattern: a character that no literal matches.
_ANYTHING = "\0"
_WILDCARD = re.compile(r"\[!?\]?[^\]]*\]|\*|\?")


class EarlierRules:
    """Earlier rules, which may leave nothing for a later one to match.

    To stay fast with many rules, it finds candidates by database, kind and literal ends of the
    pattern. Others are not compared.
    """

    def __init__(self) -> None:
        self._prefixes: set[str] = set()
        self._suffixes: set[str] = set()
        self._patterns: dict[tuple[str | None, bool | None, str, str], dict[str, Pattern[str]]] = {}

    def add(self, rule: Rule) -> None:
        """Add a rule. It comes before all rules that are checked later."""
        for pattern in rule.patterns or ("*",):
            prefix, suffix = re.split(r"[*?[]", pattern)[0], re.split(r"[*?[\]]", pattern)[-1]
            self._prefixes.add(prefix)
            self._suffixes.add(suffix)
            alike = self._patterns.setdefault((rule.database, rule.one_shot, prefix, suffix), {})
            alike[pattern] = re.compile(fnmatch.translate(pattern))

    def shadow(self, rule: Rule) -> bool:
        """Whether the earlier rules certainly match everything that this rule can match."""
        kinds = (True, False) if rule.one_shot is None else (rule.one_shot,)
        return all(
            any(
                self._take(pattern, database, one_shot)
                for database in {None, rule.database}
                for one_shot in (None, kind)
            )
            for pattern in rule.patterns or ("*",)
            for kind in kinds
        )

    def _take(self, pattern: str, database: str | None, one_shot: bool | None) -> bool:
        """Whether one of them certainly matches everything that this pattern matches."""
        # A `*` matches anything that a later wildcard may stand for; `?` and `[...]` do not. So a
        # pattern with those counts only if the later pattern is a plain name.
        stand_in = _WILDCARD.sub(_ANYTHING, pattern)
        places = range(len(stand_in) + 1)
        prefixes = self._prefixes.intersection(stand_in[:place] for place in places)
        suffixes = self._suffixes.intersection(stand_in[place:] for place in places)
        return any(
            (stand_in == pattern or not set(taker) & set("?[")) and regex.match(stand_in)
            for prefix in prefixes
            for suffix in suffixes
            for taker, regex in self._patterns.get((database, one_shot, prefix, suffix), {}).items()
        )
