"""Durations as people write them, and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.units import format_duration_ms, parse_duration_ms

_MS_BY_UNIT = {
    "": 1,
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}


@pytest.mark.parametrize(
    ("expected_ms", "value"),
    [
        (0, 0),
        (250, 250),
        (10**40, 10**40),
        (0, "0"),
        (0, "0s"),
        (250, "250"),
        (250, "250ms"),
        (30_000, "30s"),
        (600_000, "10m"),
        (7_200_000, "2h"),
        (432_000_000, "5d"),
        (604_800_000, "1w"),
        (31_536_000_000, "1y"),
        (7000, "007s"),
        (9_000_000, "2h30m"),
        (7_140_000, "1h59m"),
        (90_000, "1m 30s"),
        (1_250, "1s250ms"),
        (129_600_000, "1d12h"),
        (34_225_445_006, "1y4w3d3h4m5s6ms"),
        (30_000, "  30s\n"),
        (999_999_999_999_999, "9" * 15),
    ],
)
def test_duration_is_ms_or_digits_with_a_unit(expected_ms: int, value: object) -> None:
    """Integers and bare digits are ms, and every unit of Synapse's is known."""
    assert expected_ms == parse_duration_ms(value)


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -(10**40),
        True,
        False,
        None,
        1.5,
        math.nan,
        math.inf,
        b"5s",
        ["5s"],
        {},
        "",
        " ",
        "s",
        "-5s",
        "+5s",
        "1.5h",
        "5 s",
        "5S",
        "5sec",
        "30m1h",
        "1h1h",
        "1h30",
        "1h  30m",
        "1h, 30m",
        "1e3",
        "0x10",
        "5_000",
        "٣s",
        "²s",
        "5µs",
        "9" * 16,
        "off",
    ],
    ids=repr,
)
def test_anything_else_is_no_duration(value: object) -> None:
    """Negative, empty, fractional, of another type or in other digits: refused."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_ms(value)


@given(st.integers(0, 10**15 - 1), st.sampled_from(sorted(_MS_BY_UNIT)))
def test_duration_is_count_times_unit_for_any_count(count: int, unit: str) -> None:
    """A duration as written is its count times its unit, exactly."""
    assert count * _MS_BY_UNIT[unit] == parse_duration_ms(f"{count}{unit}")


@given(st.integers(1000, 10**12))
def test_duration_as_it_is_told_can_be_given(seconds: int) -> None:
    """What the program tells in whole numbers, it takes too, and tells alike again."""
    told = format_duration_ms(seconds * 1000)
    assert told == format_duration_ms(parse_duration_ms(told))


@given(st.text(max_size=8) | st.from_regex(r"\d{1,3}\s?\w{0,2}", fullmatch=True))
def test_duration_is_refused_or_not_negative_for_any_text(text: str) -> None:
    """No text makes anything but a duration or a ValueError."""
    try:
        duration_ms = parse_duration_ms(text)
    except ValueError:
        return
    assert duration_ms >= 0


@pytest.mark.parametrize(
    ("expected", "duration_ms"),
    [
        ("0ms", 0),
        ("0.5ms", 0.5),
        ("1.23ms", 1.234),
        ("250ms", 250),
        ("999ms", 999),
        ("1s", 1000),
        ("1.5s", 1500),
        ("10s", 10_000),
        ("59.9s", 59_949),
        ("1m", 59_950),
        ("1m", 60_000),
        ("1m 1s", 61_000),
        ("3m 20s", 200_000),
        ("59m 59s", 3_599_000),
        ("1h", 3_600_000),
        ("1h", 3_601_000),
        ("1h 30m", 5_400_000),
        ("1d", 86_400_000),
        ("1d", 86_459_000),
        ("2d 4h", 187_200_000),
        ("7d", 604_800_000),
        ("365d", 31_536_000_000),
        ("unknown", math.inf),
        ("unknown", -math.inf),
        ("unknown", math.nan),
    ],
)
def test_duration_is_printed_in_its_two_largest_units(expected: str, duration_ms: float) -> None:
    """Durations are printed for people."""
    assert expected == format_duration_ms(duration_ms)


@pytest.mark.parametrize("duration_ms", [999.4, 999.5, 999.6, 999.99])
def test_duration_just_below_a_second_is_printed_without_exponent(duration_ms: float) -> None:
    """Rounding up to a second does not print `1e+03ms`."""
    assert "e" not in format_duration_ms(duration_ms)


@given(st.floats(1, 10**12))
def test_printed_duration_is_near_for_any_duration(duration_ms: float) -> None:
    """What is printed, read back part by part, is off by less than its smallest part's unit."""
    text = format_duration_ms(duration_ms)
    read_ms = 0.0
    for part in text.split():
        unit = part.lstrip("0123456789.e+")
        read_ms += float(part[: -len(unit)]) * _MS_BY_UNIT[unit]
    smallest_ms = _MS_BY_UNIT[text.split()[-1].lstrip("0123456789.e+")]
    if len(text.split()) == 1 and smallest_ms >= 60_000:  # a second part of 0 is left out
        smallest_ms = {60_000: 1000, 3_600_000: 60_000, 86_400_000: 3_600_000}[smallest_ms]
    assert duration_ms == pytest.approx(read_ms, abs=smallest_ms)
