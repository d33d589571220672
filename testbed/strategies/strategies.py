"""Hypothesis strategies for several files: windows, zones, moments, levels, configurations."""

from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.levers.request import OVERRIDE_KEYS, Action
from synapse_bgthrottle.core.signals import SIGNALS, Unit

ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Nuuk",  # clocks jump from 23:00 to midnight
        "America/Santiago",  # clocks jump from midnight to 01:00
        "Antarctica/Troll",  # clocks jump by two hours
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",  # clocks jump by half an hour
    )
)

# Two plain updates, one that needs 100 items a batch, and a one-shot without the flag.
UPDATES = ("populate_stats", "current_state_events", "event_search", "user_ips_analyze")
DATABASES = ("master", "state")


def utc_s(text: str) -> float:
    """`2026-03-29 01:00` in UTC, as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def utc_text(wall_s: float | None) -> str | None:
    """The inverse of `utc_s`."""
    if wall_s is None:
        return None
    return f"{datetime.fromtimestamp(wall_s, timezone.utc):%Y-%m-%d %H:%M}"


def zones() -> st.SearchStrategy[ZoneInfo]:
    return st.sampled_from(ZONES)


def moments_s() -> st.SearchStrategy[float]:
    """Moments of 2026, more than half of them within days of a zone's clock change."""
    changes = ("03-08", "03-28", "03-29", "04-04", "04-05", "09-06", "10-04", "10-24", "11-01")
    near = st.tuples(st.sampled_from(changes), st.integers(-3 * 86400, 2 * 86400)).map(
        lambda drawn: utc_s(f"2026-{drawn[0]} 00:00") + drawn[1]
    )
    whole_year = st.floats(utc_s("2026-01-01 00:00"), utc_s("2027-01-01 00:00"))
    return near | whole_year


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any window; many start or end where clocks change."""
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    near_change = st.sampled_from((0, 30, 60, 90, 120, 150, 180, 23 * 60))
    start = draw(st.integers(0, 1439) | near_change)
    end = draw((st.integers(1, 1440) | near_change).filter(lambda end: end not in (0, start)))
    return Window(tuple(sorted(days)), start, end)


def paces() -> st.SearchStrategy[DutyCycle | FixedSleep]:
    return st.builds(DutyCycle, st.floats(0.001, 1)) | st.builds(
        FixedSleep, st.integers(0, 86_400_000)
    )


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def settings() -> st.SearchStrategy[Settings]:
    """Any accepted level, and combinations of bounds that are refused."""
    counts = st.integers(1, 2**31 - 1) | st.integers(1, 300)
    return st.builds(
        Settings,
        target_duration_ms=_optional(st.integers(1, 3_600_000)),
        pace=_optional(paces()),
        profile=_optional(st.sampled_from(sorted(PROFILES))),
        min_duty_ratio=_optional(st.floats(0.001, 1)),
        max_duty_ratio=_optional(st.floats(0.001, 1)),
        max_items_per_second=_optional(st.floats(0.001, 2**31 - 1) | st.just(float("inf"))),
        default_batch_items=_optional(counts),
        min_batch_items=_optional(counts),
        max_batch_items=_optional(counts | st.just(float("inf"))),
        windows=_optional(st.lists(windows(), max_size=2).map(tuple)),
        time_zone=_optional(zones()),
        max_hold_ms=_optional(st.integers(60_000, 365 * 86_400_000)),
        needs_approval=_optional(st.booleans()),
    )


def signal_settings() -> st.SearchStrategy[SignalSettings]:
    """Any thresholds, without the administrator's checks."""
    by_name: dict[str, st.SearchStrategy[float | None]] = {
        name: _optional(st.just(1.0) if signal.unit is Unit.YES_NO else st.floats(1.001, 1e15))
        for name, signal in SIGNALS.items()
        if name not in ("pause_file", "http", "sql")
    }
    thresholds = st.fixed_dictionaries({}, optional=by_name)
    return st.builds(SignalSettings, thresholds=thresholds)


def configs() -> st.SearchStrategy[Config]:
    """Any configuration, as the throttle receives it."""
    rules = st.lists(
        st.builds(
            Rule,
            st.just(0),
            patterns=st.lists(st.sampled_from((*UPDATES, "*_s*", "event_?earch")), max_size=2).map(
                tuple
            ),
            database=_optional(st.sampled_from(DATABASES)),
            one_shot=_optional(st.booleans()),
            settings=settings(),
        ),
        max_size=3,
    ).map(tuple)
    return st.builds(Config, settings(), rules, signal_settings())


def _raw_durations(low_ms: int, high_ms: int) -> st.SearchStrategy[int | str]:
    ms = st.integers(low_ms, high_ms)
    whole_s = st.integers(-(-low_ms // 1000), high_ms // 1000)
    return ms | ms.map(str) | ms.map("{}ms".format) | whole_s.map("{}s".format)


@st.composite
def _raw_windows(draw: st.DrawFn) -> dict[str, object]:
    day = st.sampled_from(("mon", "Tuesday", "wed-fri", "sat-mon", " SUN "))
    start = draw(st.integers(0, 1438))
    end = draw(st.integers(start + 1, 1440))
    written = {
        "days": draw(day | st.lists(day, min_size=1, max_size=3) | st.just("mon,wed,fri")),
        "start": draw(st.sampled_from((start, f"{start // 60:02}:{start % 60:02}"))),
        "end": draw(st.sampled_from((end, f"{end // 60}:{end % 60:02}"))),
    }
    kept = draw(st.sets(st.sampled_from(("days", "start", "end")), min_size=1))
    return {key: value for key, value in written.items() if key in kept}


@st.composite
def _raw_levels(draw: st.DrawFn) -> dict[str, Any]:
    off = st.sampled_from(("off", False))
    by_key: dict[str, st.SearchStrategy[Any]] = {
        "target_duration": _raw_durations(1, 3_600_000),
        "duty_cycle": st.floats(0.001, 1)
        | st.integers(1, 100).map("{}%".format)
        | st.just("adaptive"),
        "sleep": _raw_durations(0, 86_400_000),
        "profile": st.sampled_from(sorted(PROFILES)),
        "min_duty_cycle": st.floats(0.001, 0.1) | st.integers(1, 10).map("{}%".format),
        "max_duty_cycle": st.floats(0.1, 1) | st.integers(10, 100).map("{}%".format),
        "max_items_per_second": st.floats(0.001, 2**31 - 1) | st.integers(1, 2**31 - 1) | off,
        "min_batch_size": st.integers(1, 10),
        "default_batch_size": st.integers(11, 100),
        "max_batch_size": st.integers(101, 2**31 - 1) | off,
        "windows": st.just("always") | st.lists(_raw_windows(), min_size=1, max_size=2),
        "time_zone": zones().map(str),
        "max_hold": _raw_durations(60_000, 365 * 86_400_000),
        "approval": st.just("required") | off,
    }
    keys = draw(st.sets(st.sampled_from(sorted(by_key))))
    if "duty_cycle" in keys:
        keys.discard("sleep")
    level = {key: draw(by_key[key]) for key in sorted(keys)}
    if "sleep" in level or level.get("duty_cycle", "adaptive") != "adaptive":
        for key in ("profile", "min_duty_cycle", "max_duty_cycle"):
            level.pop(key, None)
    return level


_RAW_THRESHOLDS: dict[Unit, st.SearchStrategy[Any]] = {
    Unit.DURATION: _raw_durations(1, 86_400_000),
    Unit.COUNT: st.integers(1, 10**9) | st.floats(0.001, 1e9),
    Unit.SIZE: st.integers(1, 2**63 - 1) | st.integers(1, 8 * 10**6).map("{}TiB".format),
    Unit.RATE: st.integers(1, 10**12).map("{} kB/s".format),
    Unit.FACTOR: st.integers(2, 100) | st.floats(1.001, 100),
    Unit.YES_NO: st.sampled_from((True, "on")),
}


def raw_signals() -> st.SearchStrategy[dict[str, Any]]:
    """Valid `signals:` as written."""
    off = st.sampled_from(("off", False))
    paths = st.sampled_from(("/", "/var/lib/postgresql", "/run/a pause"))
    by_name = {name: _RAW_THRESHOLDS[signal.unit] | off for name, signal in SIGNALS.items()}
    size, number = _RAW_THRESHOLDS[Unit.SIZE], _RAW_THRESHOLDS[Unit.COUNT]
    by_name["disk_free"] |= st.fixed_dictionaries({"path": paths}, optional={"threshold": size})
    by_name["pause_file"] = paths | off
    by_name["http"] = st.sampled_from(("http://localhost", "https://[::1]:8080/go?a=b")) | off
    by_name["sql"] = off | st.fixed_dictionaries(
        {"query": st.sampled_from(("SELECT 1", "x" * 10_000)), "threshold": number}
    )
    return st.fixed_dictionaries({}, optional=by_name)


@st.composite
def raw_configs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid configurations as written."""
    raw = draw(_raw_levels())
    rules: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 3))):
        rule = draw(_raw_levels())
        # Each rule has its own names, so that none shadows a later one.
        names = st.sampled_from((f"rule{number}", f"rule{number}_*", f"rule{number}_[ab]?"))
        rule["update"] = draw(names | st.lists(names, min_size=1, max_size=2))
        if draw(st.booleans()):
            rule["database"] = draw(st.sampled_from(DATABASES))
        if draw(st.booleans()):
            rule["one_shot"] = draw(st.booleans())
        rules.append(rule)
    if draw(st.booleans()):
        raw["signals"] = draw(raw_signals())
    written_if_empty: bool = draw(st.booleans())
    if rules or written_if_empty:
        raw["rules"] = rules
    return raw


@st.composite
def raw_lever_requests(draw: st.DrawFn) -> tuple[Action, dict[str, Any]]:
    """Valid requests for levers as written."""
    action = draw(st.sampled_from(Action))
    raw: dict[str, Any] = {
        "update": draw(st.sampled_from((*UPDATES, "*", "event_?earch", "[ab]*")))
    }
    ending = action in (Action.RESUME, Action.RESET)
    by_key: dict[str, st.SearchStrategy[Any]] = {
        "database": st.none() | st.sampled_from(DATABASES),
        "reason": st.sampled_from(("", "Überlast ☃", "x" * 500)),
        **({} if ending else {"for": _raw_durations(1000, 30 * 86_400_000)}),
    }
    raw |= draw(st.fixed_dictionaries({}, optional=by_key))
    if action is Action.OVERRIDE:
        level = {key: value for key, value in draw(_raw_levels()).items() if key in OVERRIDE_KEYS}
        raw["settings"] = level or {"sleep": 0}
    elif action is not Action.RELEASE and draw(st.booleans()):
        del raw["update"]
    return action, raw
