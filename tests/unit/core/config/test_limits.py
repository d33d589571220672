"""Levels of settings, and the merged result."""

import math
from datetime import timezone
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import (
    Adaptive,
    DutyCycle,
    FixedSleep,
    Limits,
    Settings,
    merge,
)
from synapse_bgthrottle.core.config.windows import Window
from testbed.strategies.strategies import settings

_BERLIN = ZoneInfo("Europe/Berlin")
_WINDOW = Window((6,), 0, 1440)

# For each setting three values, of which none is the built-in one.
_THREE_VALUES: dict[str, tuple[Any, Any, Any]] = {
    "target_duration_ms": (1, 2, 3),
    "pace": (DutyCycle(0.5), FixedSleep(0), DutyCycle(1.0)),
    "profile": ("gentle", "fast", "finish"),
    "min_duty_ratio": (0.02, 0.03, 0.04),
    "max_duty_ratio": (0.5, 0.6, 0.7),
    "max_items_per_second": (1.0, 2.0, math.inf),
    "default_batch_items": (1, 2, 3),
    "min_batch_items": (2, 3, 4),
    "max_batch_items": (1000, 2000, math.inf),
    "windows": ((_WINDOW,), (), (_WINDOW, _WINDOW)),
    "time_zone": (_BERLIN, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")),
    "max_hold_ms": (60_000, 70_000, 80_000),
    "needs_approval": (True, False, True),
}
# The others have room for them.
_ROOM = Settings(min_batch_items=1, default_batch_items=100)


def test_every_setting_has_a_built_in_value() -> None:
    """A setting that no level sets has the documented default."""
    assert {field.name for field in attrs.fields(Settings)} == set(_THREE_VALUES)
    assert [field.name for field in attrs.fields(Settings)] == [
        field.name for field in attrs.fields(Limits)
    ]
    assert all(value is None for value in attrs.asdict(Settings()).values())
    assert Limits() == Limits(
        target_duration_ms=100,
        pace=Adaptive(),
        profile="balanced",
        min_duty_ratio=0.01,
        max_duty_ratio=1.0,
        max_items_per_second=math.inf,
        default_batch_items=1,
        min_batch_items=1,
        max_batch_items=math.inf,
        windows=(),
        time_zone=timezone.utc,
        max_hold_ms=7 * 24 * 3600 * 1000,
        needs_approval=False,
    )


def test_merge_of_nothing_is_built_in() -> None:
    """No level, and levels that say nothing, change nothing."""
    assert Limits() == merge(())
    assert Limits() == merge((Settings(), Settings(), Settings()))


@pytest.mark.parametrize("name", sorted(_THREE_VALUES))
def test_first_level_that_has_a_setting_gives_it(name: str) -> None:
    """A rule goes before the top level, that before the server, and that before built-in."""
    rule, top, server = (Settings(**{name: value}) for value in _THREE_VALUES[name])
    nothing = Settings()
    by_rule, by_top, by_server = _THREE_VALUES[name]
    room = attrs.evolve(_ROOM, **{name: None})
    for expected, levels in (
        (by_rule, (rule, top, server)),
        (by_rule, (rule, nothing, nothing)),
        (by_rule, (nothing, rule, server)),
        (by_top, (nothing, top, server)),
        (by_top, (top, server)),
        (by_server, (nothing, nothing, server)),
    ):
        assert expected == getattr(merge((*levels, room)), name)


def test_levels_complete_each_other() -> None:
    """Each setting is looked up by itself: one level may give the pace, another the target."""
    limits = merge((Settings(pace=FixedSleep(5)), Settings(target_duration_ms=7), Settings()))
    assert attrs.evolve(Limits(), pace=FixedSleep(5), target_duration_ms=7) == limits


def test_always_open_in_a_rule_holds_over_windows_above() -> None:
    """Empty windows are a value, and not something left out."""
    assert () == merge((Settings(windows=()), Settings(windows=(_WINDOW,)))).windows


@pytest.mark.parametrize(
    ("expected", "asked", "floor"),
    [
        # expected and asked: min, default, max
        ((1, 1, math.inf), (None, None, None), 1),
        ((5, 10, 20), (5, 10, 20), 1),
        ((5, 20, 20), (5, 100, 20), 1),
        ((20, 20, 20), (50, 10, 20), 1),
        ((1, 1, 5), (None, None, 5), 1),
        ((500, 500, math.inf), (500, None, None), 1),
        ((50, 50, math.inf), (50, 10, None), 1),
        ((10, 10, 10), (50, 50, 10), 1),
        ((100, 100, math.inf), (None, None, None), 100),
        ((100, 100, 100), (1, 5, 10), 100),
        ((100, 150, 200), (1, 150, 200), 100),
        ((150, 150, 150), (200, 200, 150), 100),
    ],
)
def test_bounds_of_a_batch_give_way_in_order(
    expected: tuple[float, float, float],
    asked: tuple[int | None, int | None, int | None],
    floor: int,
) -> None:
    """The maximum holds over the minimum, that over the default, and the floor over all."""
    low, default, high = asked
    level = Settings(min_batch_items=low, default_batch_items=default, max_batch_items=high)
    limits = merge((level,), floor)
    found = (limits.min_batch_items, limits.default_batch_items, limits.max_batch_items)
    assert expected == found


def test_bounds_of_different_levels_give_way_alike() -> None:
    """A rule's maximum holds over the server's minimum."""
    limits = merge((Settings(max_batch_items=10), Settings(), Settings(min_batch_items=50)))
    assert (10, 10, 10) == (
        limits.min_batch_items,
        limits.default_batch_items,
        limits.max_batch_items,
    )


@pytest.mark.parametrize(
    ("expected", "levels"),
    [
        ((0.01, 0.5), (Settings(max_duty_ratio=0.5),)),
        ((0.5, 1.0), (Settings(min_duty_ratio=0.5),)),
        ((0.005, 0.005), (Settings(max_duty_ratio=0.005),)),  # below the built-in minimum
        ((0.2, 0.2), (Settings(max_duty_ratio=0.2), Settings(min_duty_ratio=0.5))),
        ((0.2, 0.2), (Settings(min_duty_ratio=0.5), Settings(max_duty_ratio=0.2))),
    ],
)
def test_least_duty_cycle_gives_way_to_the_greatest(
    expected: tuple[float, float], levels: tuple[Settings, ...]
) -> None:
    """Whichever level they come from, the maximum holds over the minimum."""
    limits = merge(levels)
    assert expected == (limits.min_duty_ratio, limits.max_duty_ratio)


@given(st.lists(settings(), max_size=3), st.sampled_from((1, 100)))
def test_bounds_are_in_order_for_any_levels(levels: list[Settings], floor: int) -> None:
    """However levels contradict each other, floor <= min <= default <= max, in whole items."""
    limits = merge(levels, floor)
    assert floor <= limits.min_batch_items
    assert limits.min_batch_items <= limits.default_batch_items
    assert limits.default_batch_items <= limits.max_batch_items
    assert limits.min_duty_ratio <= limits.max_duty_ratio
    assert isinstance(limits.min_batch_items, int)
    assert isinstance(limits.default_batch_items, int)


@given(st.lists(settings(), max_size=3))
def test_merged_limits_are_kept_for_any_levels(levels: list[Settings]) -> None:
    """No batch is larger than the first maximum that a level has."""
    limits = merge(levels)
    asked = [s.max_batch_items for s in levels if s.max_batch_items is not None]
    assert ([*asked, math.inf])[0] == limits.max_batch_items


@pytest.mark.parametrize(
    ("expected", "pace"),
    [
        ("duty cycle 10%", DutyCycle(0.1)),
        ("duty cycle 0.1%", DutyCycle(0.001)),
        ("sleep 0ms", FixedSleep(0)),
        ("sleep 1.5s", FixedSleep(1500)),
    ],
)
def test_pace_is_printed_as_it_is_configured(expected: str, pace: DutyCycle | FixedSleep) -> None:
    """A pace is told by its name and value."""
    assert expected == str(pace)
