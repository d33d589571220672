"""A second override of the same updates replaces only the keys that it sets."""

import itertools
from typing import Any

import pytest

from synapse_bgthrottle.core.levers.apply import change
from synapse_bgthrottle.core.levers.lever import Lever, Levers
from synapse_bgthrottle.core.levers.request import Action, parse_lever_request
from testbed.strategies.examples import NOON_S


def _set(*settings: dict[str, Any], **more: Any) -> tuple[Lever, ...]:
    """What is in force after one override after the other."""
    raws = ({"settings": each, **(more if number else {})} for number, each in enumerate(settings))
    return _ask(*((number, raw) for number, raw in enumerate(raws)))


def _ask(*requests: tuple[float, dict[str, Any]]) -> tuple[Lever, ...]:
    """What is in force after these requests, each with its time after noon."""
    numbers = itertools.count()
    levers = Levers()
    for at_s, raw in requests:
        request = parse_lever_request(Action.OVERRIDE, {"update": "event_*", **raw})
        made, ended = change(
            request, "@a:b", [], levers.all, NOON_S + at_s, lambda: str(next(numbers))
        )
        levers = levers.changed(made, ended)
    return levers.all


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        ([{"sleep": "2s"}], [{"sleep": "1s"}, {"sleep": "2s"}]),
        ([{"duty_cycle": "5%"}], [{"sleep": "1s"}, {"duty_cycle": "5%"}]),
        ([{"sleep": "1s"}, {"max_hold": "2d"}], [{"sleep": "1s"}, {"max_hold": "2d"}]),
        (
            [{"max_hold": "1d"}, {"sleep": "2s"}],
            [{"sleep": "1s", "max_hold": "1d"}, {"sleep": "2s"}],
        ),
        ([{"windows": "always"}], [{"windows": [{"days": "sun"}]}, {"windows": "always"}]),
        (
            [{"sleep": "3s", "max_hold": "3d"}],
            [{"sleep": "1s"}, {"max_hold": "1d"}, {"sleep": "3s", "max_hold": "3d"}],
        ),
    ],
)
def test_a_key_that_is_set_anew(
    expected: list[dict[str, Any]], settings: list[dict[str, Any]]
) -> None:
    """It is in force once, whatever sets the same; the other keys stay as they were."""
    assert expected == [lever.written for lever in _set(*settings)]


def test_what_stays_is_as_it_was() -> None:
    """Its author, its reason and its end are those of the override that it was part of."""
    kept, new = _set({"sleep": "1s", "max_hold": "1d"}, {"sleep": "2s"}, **{"for": "1h"})
    assert (86_400_000.0, None) == (kept.settings.max_hold_ms, kept.settings.pace)
    assert (NOON_S, NOON_S + 86_400) == (kept.created_s, kept.ends_s)
    assert NOON_S + 1 + 3600 == new.ends_s


def test_what_stays_is_no_newer_than_it_was() -> None:
    """An override of other updates that came in between still takes precedence over it."""
    in_force = _ask(
        (0, {"settings": {"sleep": "1s", "max_hold": "1d"}}),
        (1, {"settings": {"max_hold": "2d"}, "update": "*"}),
        (2, {"settings": {"sleep": "2s"}}),
    )
    assert [{"max_hold": "1d"}, {"max_hold": "2d"}, {"sleep": "2s"}] == [
        lever.written for lever in in_force
    ]


def test_the_newest_is_the_last_where_the_clock_was_set_back() -> None:
    """It takes precedence over one that was made when the clock was ahead."""
    in_force = _ask(
        (0, {"settings": {"sleep": "1s"}}), (-60, {"settings": {"sleep": "2s"}, "update": "*"})
    )
    assert [{"sleep": "1s"}, {"sleep": "2s"}] == [lever.written for lever in in_force]
    assert NOON_S - 60 + 86_400 == in_force[1].ends_s


@pytest.mark.parametrize("more", [{"update": "event_search"}, {"database": "state"}])
def test_other_updates_are_not_touched(more: dict[str, Any]) -> None:
    """Another pattern, or another database, is an override of its own."""
    assert [{"sleep": "1s"}, {"sleep": "2s"}] == [
        lever.written for lever in _set({"sleep": "1s"}, {"sleep": "2s"}, **more)
    ]
