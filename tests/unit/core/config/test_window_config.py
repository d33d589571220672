"""One item of `windows:` as written."""

from typing import Any

import pytest

from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.config.windows import Window

_DAILY = tuple(range(7))
_DAYS_ACCEPTED = "days such as mon-fri, sun, or [sat, sun]"
_START_ACCEPTED = 'a time from "00:00" to "23:59", in quotes'
_END_ACCEPTED = 'a time from "00:00" to "24:00", in quotes'
_NOT_EMPTY = (
    'a time that differs from start\'s, or this window is empty (a whole day is "00:00" to "24:00")'
)


def parse_window(raw: object) -> tuple[Window | None, list[tuple[str, str]]]:
    """The window; or the key and what is accepted there, for each problem."""
    try:
        windows = parse({"windows": [raw]}).settings.windows
    except InvalidConfigError as error:
        found = [(problem.path[2:], problem.message) for problem in error.problems]
        return None, [("".join(path), text.partition("; accepted is ")[2]) for path, text in found]
    assert windows is not None
    return windows[0], []


@pytest.mark.parametrize(
    ("expected", "days"),
    [
        ((0,), "mon"),
        ((6,), "sun"),
        ((0,), "Monday"),
        ((3,), "THURSDAY"),
        ((1,), " tue "),
        ((0, 1, 2, 3, 4), "mon-fri"),
        ((0, 1, 2, 3, 4), "monday - Fri"),
        ((0, 4, 5, 6), "fri-mon"),
        ((0, 6), "sun-mon"),
        ((2,), "wed-wed"),
        (_DAILY, "mon-sun"),
        (_DAILY, "tue-mon"),
        ((0, 2, 4), "mon,wed,fri"),
        ((0, 1, 5, 6), "mon-tue, sat-sun"),
        ((5, 6), ["sat", "sun"]),
        ((5, 6), ["sun", "sat", "sun"]),
        ((0, 1, 2, 6), ["mon-wed", "Sunday"]),
    ],
    ids=str,
)
def test_days_are_names_ranges_or_lists_of_them(expected: tuple[int, ...], days: object) -> None:
    """Days are read in every form that is accepted, each once and in the order of the week."""
    assert (Window(expected, 0, 1440), []) == parse_window({"days": days})


@pytest.mark.parametrize(
    "days",
    [
        "",
        " ",
        "-",
        "mon-",
        "-mon",
        "mon,",
        "mon,,tue",
        "mon-wed-fri",
        "mon tue",
        "mo",
        "mond",
        "weekdays",
        "mon–fri",  # noqa: RUF001
        [],
        [[]],
        ["mon", 1],
        ["mon", None],
        ["sat,sun"],
        ["mon", ""],
        0,
        1,
        True,
        None,
        1.5,
        {},
        {"mon": "tue"},
    ],
    ids=repr,
)
def test_other_days_are_refused(days: object) -> None:
    """What names no day is a problem of `days`."""
    assert (None, [("days", _DAYS_ACCEPTED)]) == parse_window({"days": days})


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        (Window(_DAILY, 0, 1440), {"days": "mon-sun"}),
        (Window(_DAILY, 1320, 1440), {"start": "22:00"}),
        (Window(_DAILY, 0, 360), {"end": "06:00"}),
        (Window(_DAILY, 1320, 360), {"start": "22:00", "end": "6:00"}),
        (Window(_DAILY, 1320, 1439), {"start": 1320, "end": 1439}),
        (Window((6,), 0, 1440), {"days": "sun", "start": "00:00", "end": "24:00"}),
        (Window((6,), 1439, 1440), {"days": "sun", "start": "23:59"}),
    ],
    ids=str,
)
def test_what_is_left_out_is_every_day_and_midnight(expected: Window, raw: dict[str, Any]) -> None:
    """A window needs only what differs from the whole week."""
    assert (expected, []) == parse_window(raw)


@pytest.mark.parametrize(
    "value", ["24:00", 1440, "25:00", -1, "", "10pm", None, True, 1.5, [], {}], ids=repr
)
def test_start_is_a_time_before_midnight(value: object) -> None:
    """Anything but 00:00 to 23:59 is a problem of `start`."""
    assert (None, [("start", _START_ACCEPTED)]) == parse_window({"start": value})


@pytest.mark.parametrize(
    "value", ["24:01", 1441, "25:00", -1, "", "10pm", None, True, 1.5, [], {}], ids=repr
)
def test_end_is_a_time_up_to_midnight(value: object) -> None:
    """Anything but 00:00 to 24:00 is a problem of `end`."""
    assert (None, [("end", _END_ACCEPTED)]) == parse_window({"end": value})


@pytest.mark.parametrize(
    "raw",
    [
        {"start": "22:00", "end": "22:00"},
        {"start": 1320, "end": "22:00"},
        {"end": "00:00"},
        {"start": "00:00", "end": 0},
    ],
    ids=str,
)
def test_window_that_ends_where_it_starts_is_empty(raw: dict[str, Any]) -> None:
    """An empty window is refused, with what a whole day is."""
    assert (None, [("end", _NOT_EMPTY)]) == parse_window(raw)


def test_window_that_says_nothing_is_refused() -> None:
    """A window without any key is a problem of the window itself."""
    window, problems = parse_window({})
    assert window is None
    assert [
        ("", 'at least one of days (such as mon-fri), start and end (such as "22:00")')
    ] == problems


def test_all_problems_of_a_window_are_told() -> None:
    """A window with three wrong values has three problems."""
    window, problems = parse_window({"days": "never", "start": "24:00", "end": "24:01"})
    assert window is None
    assert [
        ("days", _DAYS_ACCEPTED),
        ("start", _START_ACCEPTED),
        ("end", _END_ACCEPTED),
    ] == problems


def test_wrong_start_is_the_only_problem_of_a_window_until_midnight() -> None:
    """A window with a wrong start is not called empty as well."""
    window, problems = parse_window({"start": "24:00", "end": "00:00"})
    assert window is None
    assert [("start", _START_ACCEPTED)] == problems


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    """A window that ends at "00:00" is the one that ends at "24:00"."""
    until_zero, _ = parse_window({"days": "sat", "start": "22:00", "end": "00:00"})
    until_24, _ = parse_window({"days": "sat", "start": "22:00", "end": "24:00"})
    assert until_24 == until_zero
