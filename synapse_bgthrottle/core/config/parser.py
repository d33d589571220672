"""Reads the configuration: from YAML's dict to a frozen `Config`, or all its problems at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.core.config.keys import (
    KEYS,
    MATCH_KEYS,
    MATCH_ONLY_KEYS,
    SETTING_KEYS,
    TOP_KEYS,
    TOP_ONLY_KEYS,
    WINDOW_KEYS,
    Key,
    is_off,
)
from synapse_bgthrottle.core.config.limits import (
    DutyCycle,
    EarlierRules,
    FixedSleep,
    Rule,
    Settings,
    with_pace,
)
from synapse_bgthrottle.core.config.problems import (
    LONGEST_NAME,
    InvalidConfigError,
    Path,
    Problem,
    found,
    refused,
    text,
    unknown_keys,
)
from synapse_bgthrottle.core.config.signal_settings import NESTED_KEYS, SIGNAL_KEYS, SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.signals import SIGNALS
from synapse_bgthrottle.core.units import MINUTES_PER_DAY, format_ratio

# Keys that may be empty: a section whose lines are all commented out counts as left out.
SECTIONS = ("signals", "rules", "windows")

_WINDOW = 'days (such as mon-fri), start and end (such as "22:00")'
_NOT_EMPTY = (
    'a time that differs from start\'s, or this window is empty (a whole day is "00:00" to "24:00")'
)


@attrs.frozen
class Config:
    """The module's whole configuration."""

    settings: Settings = attrs.field(factory=Settings)
    rules: tuple[Rule, ...] = ()  # the first that matches comes before the top level
    signals: SignalSettings = attrs.field(factory=SignalSettings)
    api_path: str | None = "/_synapse/bgthrottle"  # path of the HTTP API; None: off
    # First wait from Synapse's abort to the module's restart; None: never.
    restart_aborted_s: float | None = 3600.0
    # Accepted values that are probably mistakes, such as `sleep: 1`, which is 1 ms.
    doubts: tuple[Problem, ...] = attrs.field(default=(), eq=False)


def parse(raw: object) -> Config:
    """The configuration, checked. Raises InvalidConfigError with all problems, in its order."""
    reader = _Reader()
    config = reader.config(raw)
    if reader.problems:
        raise InvalidConfigError(_in_order(raw, reader.problems))
    return attrs.evolve(config, doubts=tuple(_in_order(raw, reader.doubts)))


def _in_order(raw: object, problems: Sequence[Problem]) -> list[Problem]:
    """The problems in the order in which their places come in the configuration."""
    numbers: dict[int, dict[str, int]] = {}

    def place(problem: Problem) -> tuple[int, ...]:
        at, node = [], raw
        for name in problem.path:
            if isinstance(node, dict):
                if id(node) not in numbers:
                    keys = (text(key)[:LONGEST_NAME] for key in node)
                    numbers[id(node)] = {key: number for number, key in enumerate(keys)}
                at.append(numbers[id(node)].get(name, -1))
                node = node.get(name)
            elif isinstance(node, list) and name.startswith("<item "):
                at.append(int(name[6:-1]))
                node = node[at[-1]]
        return tuple(at)

    return sorted(problems, key=place)


def parse_settings(raw: object, path: Path, keys: Sequence[str] = SETTING_KEYS) -> Settings:
    """Settings from outside the configuration, checked like a level of it, at `path`.

    Raises InvalidConfigError with all problems.
    """
    reader = _Reader()
    settings = reader.settings(raw, path, keys)
    if reader.problems:
        raise InvalidConfigError(reader.problems)
    return settings


class _Reader:
    """Continues after a problem, so that all are found at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []

    def _refuse(self, path: Path, value: object, accepted: str) -> None:
        self.problems.append(refused(path, value, accepted))

    def config(self, raw: object) -> Config:
        given = self._mapping(raw, (), TOP_KEYS) or {}
        # An empty section counts as left out.
        mapping = {key: v for key, v in given.items() if v is not None or key not in SECTIONS}
        settings = self._settings(mapping, (), Settings())
        signals = self._signals(mapping.get("signals", {}))
        rules = self._rules(mapping.get("rules", []), settings)
        return Config(settings, tuple(rules), signals, **self._read(mapping, (), TOP_ONLY_KEYS))

    def settings(self, raw: object, path: Path, keys: Sequence[str]) -> Settings:
        mapping = self._mapping(raw, path, keys)
        if mapping is None:
            return Settings()
        if not mapping:
            self._refuse(path, raw, f"at least one of {', '.join(keys)}")
        return self._settings(mapping, path, Settings())

    def _mapping(self, raw: object, path: Path, keys: Sequence[str]) -> Mapping[str, Any] | None:
        if not isinstance(raw, dict):
            self._refuse(path, raw, f"a mapping with any of the keys {', '.join(keys)}")
            return None
        self.problems.extend(unknown_keys(path, raw, keys))
        return raw

    def _settings(self, raw: Mapping[str, Any], path: Path, above: Settings) -> Settings:
        """The settings of one level; `above` is the level that completes it."""
        read = self._read(raw, path, KEYS)
        if "windows" in raw:
            read["windows"] = self._windows(raw["windows"], (*path, "windows"))
        settings = Settings(**read)
        for name, message in _contradictions(raw, settings, above):
            self.problems.append(Problem((*path, name), message))
        return with_pace(settings)

    def _read(self, raw: Mapping[str, Any], path: Path, keys: Mapping[str, Key]) -> dict[str, Any]:
        """The values of these keys, by the names of their settings."""
        read: dict[str, Any] = {}
        for name, key in keys.items():
            if name in raw:
                try:
                    read.setdefault(key.setting, key.parse(raw[name]))
                except ValueError:
                    self._refuse((*path, name), key.shown(raw[name]), key.accepted)
                    continue
                if doubt := key.doubt(raw[name]):
                    self.doubts.append(Problem((*path, name), doubt))
        return read

    def _windows(self, raw: object, path: Path) -> tuple[Window, ...]:
        if raw == "always":
            return ()
        if not isinstance(raw, list) or not raw:
            self._refuse(path, raw, f"always, or a list of windows, each with any of {_WINDOW}")
            return ()
        return tuple(self._window(raw[n], (*path, f"<item {n}>")) for n in range(len(raw)))

    def _window(self, raw: object, path: Path) -> Window:
        mapping = self._mapping(raw, path, tuple(WINDOW_KEYS))
        read = self._read(mapping or {}, path, WINDOW_KEYS)
        start, end = read.get("start_minutes", 0), read.get("end_minutes", MINUTES_PER_DAY)
        if mapping == {}:
            self._refuse(path, raw, f"at least one of {_WINDOW}")
        # A wrong start is a problem already.
        elif mapping and start == end and ("start_minutes" in read or "start" not in mapping):
            self._refuse((*path, "end"), mapping["end"], _NOT_EMPTY)
        return Window(tuple(read.get("days", range(7))), start, end or MINUTES_PER_DAY)

    def _signals(self, raw: object) -> SignalSettings:
        mapping = self._mapping(raw, ("signals",), tuple(SIGNALS)) or {}
        thresholds: dict[str, float | None] = {}
        own: dict[str, str] = {}
        for name in (name for name in SIGNALS if name in mapping):
            if is_off(mapping[name]):
                thresholds[name] = None
            elif mapping[name] is not None or name not in NESTED_KEYS:
                read = self._signal(name, mapping)
                if read:  # a path or a URL switches its signal on
                    thresholds[name] = read.pop("threshold", SIGNALS[name].threshold or 1.0)
                own |= read
        return SignalSettings(thresholds=thresholds, **own)

    def _signal(self, name: str, signals: Mapping[str, Any]) -> dict[str, Any]:
        """The threshold, or what else is set for this signal."""
        value, path = signals[name], ("signals", name)
        keys = NESTED_KEYS.get(name, {})
        if isinstance(value, dict) and keys:
            self.problems.extend(unknown_keys(path, value, tuple(keys)))
        elif name != "sql":
            return self._read(signals, ("signals",), {name: SIGNAL_KEYS[name]})
        if name == "sql" and not (isinstance(value, dict) and keys.keys() <= value.keys()):
            self._refuse(path, value, "a mapping with both query and threshold, or off")
            return {}
        if not value:
            self._refuse(path, value, "a mapping with threshold, path, or both")
        return self._read(value, path, keys)

    def _rules(self, raw: object, top: Settings) -> list[Rule]:
        if not isinstance(raw, list):
            self._refuse(("rules",), raw, "a list of rules")
            return []
        rules: list[Rule] = []
        earlier = EarlierRules()
        for number, item in enumerate(raw):
            path = ("rules", f"<item {number}>")
            keys = (*MATCH_KEYS, *SETTING_KEYS)
            mapping = self._mapping(item, path, keys)
            if mapping is None:
                continue
            if mapping.get("windows", ...) is None:
                mapping = {key: value for key, value in mapping.items() if key != "windows"}
            if not mapping:
                self._refuse(path, item, f"at least one of {', '.join(keys)}")
                continue
            before = len(self.problems)
            rule = Rule(
                number,
                patterns=self._patterns(mapping, path),
                settings=self._settings(mapping, path, top),
                **self._read(mapping, path, MATCH_ONLY_KEYS),
            )
            if len(self.problems) > before:
                continue  # with a problem, it is unknown what the rule would match
            if earlier.shadow(rule):
                message = (
                    f"{rule} can never match, because earlier rules match all that it could;"
                    " accepted is to move it up, or to leave it out"
                )
                self.problems.append(Problem(path, message))
            rules.append(rule)
            earlier.add(rule)
        return rules

    def _patterns(self, raw: Mapping[str, Any], path: Path) -> tuple[str, ...]:
        if "update" not in raw:
            return ()
        value = raw["update"]
        names = value if isinstance(value, list) and value else [value]
        for number, name in enumerate(names):
            if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
                at = (*path, "update", *((f"<item {number}>",) if names is value else ()))
                self._refuse(
                    at, name, "an update's name, a glob such as 'event_*', or a list of them"
                )
        return tuple(name for name in names if isinstance(name, str))


# The smaller key, the larger key, and how to write their values.
_BOUNDS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("min_duty_cycle", "max_duty_cycle", format_ratio),
    ("min_batch_size", "max_batch_size", str),
    ("default_batch_size", "max_batch_size", str),
    ("min_batch_size", "default_batch_size", str),
)
_ADAPTIVE_ONLY = ("profile", "min_duty_cycle", "max_duty_cycle")


def _contradictions(
    raw: Mapping[str, Any], own: Settings, above: Settings
) -> Iterator[tuple[str, str]]:
    """The key and a message for each contradiction.

    `raw` is the level as written, `own` its parsed settings, `above` the level that completes it.
    """
    if "duty_cycle" in raw and "sleep" in raw:
        yield (
            "sleep",
            f"found {found(raw['sleep'])} beside duty_cycle {found(raw['duty_cycle'])};"
            " accepted is one of the two",
        )
    yield from _without_effect(raw, own)
    yield from _out_of_order(own, above)


def _without_effect(raw: Mapping[str, Any], own: Settings) -> Iterator[tuple[str, str]]:
    if not isinstance(own.pace, (DutyCycle, FixedSleep)):
        return
    fixed = "duty_cycle" if isinstance(own.pace, DutyCycle) else "sleep"
    for key in _ADAPTIVE_ONLY:
        if key in raw:
            yield (
                key,
                f"found {found(raw[key])}, which has no effect beside {fixed} {found(raw[fixed])};"
                f" accepted is {key} with duty_cycle: adaptive, or {fixed} alone",
            )


def _out_of_order(own: Settings, above: Settings) -> Iterator[tuple[str, str]]:
    for small, large, show in _BOUNDS:
        low_field, high_field = KEYS[small].setting, KEYS[large].setting
        own_small, own_large = getattr(own, low_field), getattr(own, high_field)
        low = own_small or getattr(above, low_field)
        high = own_large or getattr(above, high_field)
        if not (own_small or own_large) or low is None or high is None or low <= high:
            continue
        at, other = (small, large) if own_small else (large, small)
        value, bound = (low, high) if own_small else (high, low)
        where = " from the top level" if not (own_small and own_large) else ""
        relation = "at most" if own_small else "at least"
        yield (
            at,
            f"found {show(value)}; accepted is {relation} {other}, which is {show(bound)}{where}",
        )
