"""Warnings about a valid configuration on this server. Pure."""

import fnmatch
import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet

from synapse_bgthrottle.core.config.limits import Limits, Rule, Settings, merge
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.problems import Problem, did_you_mean
from synapse_bgthrottle.core.config.signal_settings import secret_in
from synapse_bgthrottle.core.config.windows import skipped_days
from synapse_bgthrottle.core.scheduling.effective_limits import LEAST_BATCH_ITEMS
from synapse_bgthrottle.core.signals import SIGNALS
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import SignalClass
from synapse_bgthrottle.core.units import format_duration_ms

# To compare a name with all known names takes time.
_MOST_HINTS = 50

LimitsOf = Callable[[str, str, bool], tuple[Rule | None, Limits]]


def unknown_names(
    config: Config, known_updates: AbstractSet[str], who: str = "this server"
) -> Iterator[Problem]:
    """Rules' update names that `who` does not know. Without known names there are no warnings."""
    hints = _MOST_HINTS
    for rule in config.rules if known_updates else ():
        for pattern in rule.patterns:
            if _is_known(pattern, known_updates):
                continue
            hint = did_you_mean(pattern, known_updates) if hints else ""
            hints = max(0, hints - 1)
            yield Problem(
                ("rules", f"<item {rule.number}>", "update"),
                f"{who} knows no update called {pattern}{hint}",
            )


def unknown_databases(config: Config, databases: AbstractSet[str]) -> Iterator[Problem]:
    """Rules' databases that the server lacks. Without known databases there are no warnings."""
    for rule in config.rules if databases else ():
        if rule.database is not None and rule.database not in databases:
            yield Problem(
                ("rules", f"<item {rule.number}>", "database"),
                f"this server has no database {rule.database}, but {', '.join(sorted(databases))}"
                f"{did_you_mean(rule.database, databases)}",
            )


def _is_known(pattern: str, known_updates: AbstractSet[str]) -> bool:
    if pattern in known_updates:
        return True
    if not set(pattern) & set("*?["):
        return False
    matches = re.compile(fnmatch.translate(pattern)).match
    return any(map(matches, known_updates))


def too_small(config: Config, limits_of: LimitsOf, database_name: str) -> Iterator[str]:
    """Configured batch sizes that are not used, because they could make updates skip rows."""
    not_kept: dict[str, list[str]] = {}
    for update_name, least_items in LEAST_BATCH_ITEMS.items():
        rule, _ = limits_of(update_name, database_name, False)
        levels = (rule.settings, config.settings) if rule is not None else (config.settings,)
        for key, name in (
            ("max_batch_size", "max_batch_items"),
            ("default_batch_size", "default_batch_items"),
        ):
            asked = next((v for v in (getattr(s, name) for s in levels) if v is not None), None)
            if asked is not None and asked < least_items:
                not_kept.setdefault(f"{key} {asked}", []).append(f"{update_name} ({least_items})")
    for setting, names in not_kept.items():
        yield (
            f"{setting} is too small for these updates, which could skip rows or never end. Their"
            f" batches have at least the number in brackets: {', '.join(names)}"
        )


def unobservable_on_sqlite(config: Config) -> Iterator[str]:
    """Configured budgets that hold everything, because only PostgreSQL has their signals."""
    for name, threshold in config.signals.thresholds.items():
        signal = SIGNALS[name]
        is_budget = signal.signal_class is SignalClass.BUDGET
        if threshold is not None and is_budget and signal.source is DatabaseSample:
            yield (
                f"signals.{name} cannot be observed on SQLite. A configured budget that cannot be"
                " observed holds updates: leave it out"
            )


def secrets(config: Config) -> Iterator[str]:
    """Values that look like secrets, although more people can read them than should."""
    url = config.signals.http_url
    secret = None if url is None else secret_in(url)
    if secret is not None:
        yield (
            f"signals.http: the address seems to contain a secret ({secret}). Who reads the"
            " configuration, or the log of that endpoint, can read it. Use an address without a"
            " secret that only this server reaches, such as 127.0.0.1"
        )


def skipped(config: Config, wall_s: float) -> Iterator[str]:
    """Windows that a clock change skips on some day of the coming year."""
    days = set()
    for level in (config.settings, *(rule.settings for rule in config.rules)):
        limits = merge((level, config.settings))
        for window in limits.windows:
            for day in skipped_days(window, limits.time_zone, wall_s):
                days.add((day, f"{window} {limits.time_zone}"))
    for day, window_name in sorted(days):
        yield f"the window {window_name} does not open on {day}, when clocks change"


def taken_over(tuned: Settings) -> Iterator[str]:
    """Settings taken over from Synapse's own `background_updates:` section."""
    if tuned.target_duration_ms is not None:
        yield f"target duration {format_duration_ms(tuned.target_duration_ms)}"
    if tuned.pace is not None:
        yield str(tuned.pace)
    if tuned.default_batch_items is not None:
        yield f"default batch size {tuned.default_batch_items}"
    if tuned.min_batch_items is not None:
        yield f"min batch size {tuned.min_batch_items}"
