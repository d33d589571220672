"""Times of day as people write them, and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.units import format_time_of_day, parse_time_of_day_minutes


@pytest.mark.parametrize(
    ("expected_minutes", "value"),
    [
        (0, "00:00"),
        (0, "0:00"),
        (545, "9:05"),
        (545, "09:05"),
        (1320, "22:00"),
        (1320, " 22:00 "),
        (1439, "23:59"),
        (1440, "24:00"),
        (0, 0),
        (1320, 1320),
        (1440, 1440),
    ],
)
def test_time_of_day_is_text_or_the_integer_yaml_makes_of_it(
    expected_minutes: int, value: object
) -> None:
    """`22:00` is 1320 minutes, whether it was quoted or not."""
    assert expected_minutes == parse_time_of_day_minutes(value)


@pytest.mark.parametrize(
    "value",
    [
        "24:01",
        "25:00",
        "99:99",
        "12:60",
        "12:5",
        "12:005",
        "123:00",
        "12",
        ":30",
        "12:",
        "",
        "-1:00",
        "12:30:00",
        "12.30",
        "10pm",
        "٣:00",
        -1,
        1441,
        10**40,
        True,
        False,
        None,
        12.5,
        math.nan,
        [],
        {},
    ],
    ids=repr,
)
def test_anything_else_is_no_time_of_day(value: object) -> None:
    """Past midnight, malformed, or of another type: refused."""
    with pytest.raises(ValueError, match=r"not a time of day|not within a day"):
        parse_time_of_day_minutes(value)


@given(st.integers(0, 1440))
def test_time_of_day_survives_the_round_trip_for_any_minute(minutes: int) -> None:
    """What is printed is read back as the same."""
    assert minutes == parse_time_of_day_minutes(format_time_of_day(minutes))


@pytest.mark.parametrize(
    ("expected", "minutes"), [("00:00", 0), ("09:05", 545), ("22:00", 1320), ("24:00", 1440)]
)
def test_time_of_day_is_printed_with_two_digits_each(expected: str, minutes: int) -> None:
    """Times of day are printed as one writes them."""
    assert expected == format_time_of_day(minutes)
