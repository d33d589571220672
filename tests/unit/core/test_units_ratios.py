"""Shares as people write them, and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.units import format_ratio, parse_ratio


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (0.1, "10%"),
        (0.1, "10 %"),
        (0.1, " 10% "),
        (0.005, "0.5%"),
        (0.000001, "0.0001%"),
        (1.0, "100%"),
        (1.0, "100.000000%"),
        (0.0, "0%"),
        (0.1, 0.1),
        (0.0, 0),
        (1.0, 1),
        (1.0, 1.0),
    ],
)
def test_ratio_is_a_percentage_or_a_number_up_to_one(expected: float, value: object) -> None:
    """Shares are read from both forms."""
    assert expected == pytest.approx(parse_ratio(value))


@pytest.mark.parametrize(
    "value",
    [
        "101%",
        "100.1%",
        "-1%",
        "10",
        "0.1",
        "%",
        "",
        "10%%",
        "10  %",
        ".5%",
        "5.%",
        "1e1%",
        "1000%",
        "٣%",
        "0.1234567%",
        10,
        2,
        1.0001,
        -0.1,
        -1,
        10**400,
        -(10**400),
        math.nan,
        math.inf,
        -math.inf,
        True,
        False,
        None,
        [],
        {},
        b"10%",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_anything_else_is_no_ratio(value: object) -> None:
    """Outside 0 to 1, without the sign, or of another type: refused."""
    with pytest.raises(ValueError, match="not a share"):
        parse_ratio(value)


@given(st.floats() | st.integers() | st.text(max_size=8))
def test_ratio_is_refused_or_within_bounds_for_any_value(value: object) -> None:
    """No value makes a share outside 0 to 1."""
    try:
        ratio = parse_ratio(value)
    except ValueError:
        return
    assert 0 <= ratio <= 1


@pytest.mark.parametrize(
    ("expected", "ratio"),
    [("10%", 0.1), ("0.1%", 0.001), ("0.5%", 0.005), ("100%", 1), ("33.33%", 1 / 3), ("0%", 0)],
)
def test_ratio_is_printed_as_percentage(expected: str, ratio: float) -> None:
    """Shares are printed with four digits at most."""
    assert expected == format_ratio(ratio)


@given(st.integers(1, 1000))
def test_ratio_survives_the_round_trip_for_any_per_mille(per_mille: int) -> None:
    """What is printed of a share of whole per mille is read back as the same."""
    ratio = per_mille / 1000
    assert ratio == pytest.approx(parse_ratio(format_ratio(ratio)))
