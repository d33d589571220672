"""Sizes and rates as people write them, and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.units import (
    format_size_bytes,
    parse_rate_bytes_per_s,
    parse_size_bytes,
)

_BYTES_BY_UNIT = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "TB": 1_000_000_000_000,
    "KiB": 1024,
    "MiB": 1_048_576,
    "GiB": 1_073_741_824,
    "TiB": 1_099_511_627_776,
}


@pytest.mark.parametrize(
    ("expected_bytes", "value"),
    [
        (0, 0),
        (250, 250),
        (10**40, 10**40),
        (0, "0"),
        (250, "250"),
        (512, "512B"),
        (10_737_418_240, "10GiB"),
        (10_737_418_240, " 10 GiB\n"),
        (500_000_000, "500MB"),
        (7000, "007kB"),
    ],
)
def test_size_is_bytes_or_digits_with_a_unit(expected_bytes: int, value: object) -> None:
    """Integers and bare digits are bytes, and units are decimal or binary as they are named."""
    assert expected_bytes == parse_size_bytes(value)


@pytest.mark.parametrize(
    "value",
    [
        -1,
        True,
        False,
        None,
        1.5,
        math.nan,
        b"5kB",
        ["5kB"],
        {},
        "",
        "GiB",
        "-5GiB",
        "1.5GiB",
        "5  GiB",
        "5G",
        "5KB",
        "5kiB",
        "5gib",
        "5Gi",
        "5GiB/s",
        "1e9",
        "٣kB",
        "9" * 16,
        "off",
    ],
    ids=repr,
)
def test_anything_else_is_no_size(value: object) -> None:
    """Negative, empty, fractional, of another type or unit: refused."""
    with pytest.raises(ValueError, match="not a size"):
        parse_size_bytes(value)


@given(st.integers(0, 10**15 - 1), st.sampled_from(sorted(_BYTES_BY_UNIT)))
def test_size_is_count_times_unit_for_any_count(count: int, unit: str) -> None:
    """A size as written is its count times its unit, exactly, and so is a rate."""
    assert count * _BYTES_BY_UNIT[unit] == parse_size_bytes(f"{count}{unit}")
    assert count * _BYTES_BY_UNIT[unit] == parse_rate_bytes_per_s(f"{count}{unit}/s")


@given(st.text(max_size=8) | st.from_regex(r"\d{1,3}\s?\w{0,3}(/s)?", fullmatch=True))
def test_size_is_refused_or_not_negative_for_any_text(text: str) -> None:
    """No text makes anything but a size or a ValueError."""
    for parse in (parse_size_bytes, parse_rate_bytes_per_s):
        try:
            size_bytes = parse(text)
        except ValueError:
            continue
        assert size_bytes >= 0


@pytest.mark.parametrize(
    "value",
    [5, 0, None, True, "", "/s", "5MiB", "5MiB/m", "5MiB/S", "5MiB/s/s", "/s5MiB"],
    ids=repr,
)
def test_anything_else_is_no_rate(value: object) -> None:
    """A rate says per second, lest it is taken for a size."""
    with pytest.raises(ValueError, match=r"not a rate|not a size"):
        parse_rate_bytes_per_s(value)


@pytest.mark.parametrize(
    ("expected", "size_bytes"),
    [
        ("0B", 0),
        ("0.5B", 0.5),
        ("512B", 512),
        ("1023B", 1023),
        ("1KiB", 1023.96),
        ("1KiB", 1024),
        ("1.5KiB", 1536),
        ("476.8MiB", 500_000_000),
        ("1MiB", 1_048_575),
        ("10GiB", 10 * 2**30),
        ("2048TiB", 2**51),
        ("unknown", math.inf),
        ("unknown", math.nan),
    ],
)
def test_size_is_printed_in_its_largest_binary_unit(expected: str, size_bytes: float) -> None:
    """Sizes are printed for people, with one digit behind the point where it says something."""
    assert expected == format_size_bytes(size_bytes)


@given(st.integers(1, 1023), st.sampled_from(("B", "KiB", "MiB", "GiB", "TiB")))
def test_size_survives_the_round_trip_for_any_count_of_binary_units(count: int, unit: str) -> None:
    """What is printed of a whole number of units is read back as the same."""
    text = f"{count}{unit}"
    assert text == format_size_bytes(parse_size_bytes(text))
