"""A second override of the same updates replaces only the keys that it sets."""

import itertools
from typing import Any

import pytest

from synapse_bgthrottle.core.levers.apply import change
from synapse_bgthrottle.core.levers.lever import Lever
from synapse_bgthrottle.core.levers.request import Action, parse_lever_request
from testbed.strategies.examples import NOON_S


def _set(*settings: dict[str, Any], **more: Any) -> list[Lever]:
    """What is in force after one override after the other."""
    numbers = itertools.count()
    in_force: list[Lever] = []
    for number, each in enumerate(settings):
        raw = {"update": "event_*", "settings": each, **(more if number else {})}
        request = parse_lever_request(Action.OVERRIDE, raw)
        made, ended = change(
            request, "@a:b", [], in_force, NOON_S + number, lambda: str(next(numbers))
        )
        gone = {lever.lever_id for lever in ended}
        in_force = [*(lever for lever in in_force if lever.lever_id not in gone), *made]
    return in_force


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


@pytest.mark.parametrize("more", [{"update": "event_search"}, {"database": "state"}])
def test_other_updates_are_not_touched(more: dict[str, Any]) -> None:
    """Another pattern, or another database, is an override of its own."""
    assert [{"sleep": "1s"}, {"sleep": "2s"}] == [
        lever.written for lever in _set({"sleep": "1s"}, {"sleep": "2s"}, **more)
    ]
