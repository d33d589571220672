"""Levers: what they concern, when they end, how they are selected and described."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.config.limits import DutyCycle, Settings
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from testbed.strategies.examples import NOON_S, lever


@pytest.mark.parametrize(
    ("expected", "glob", "name"),
    [
        (True, "event_search", "event_search"),
        (False, "event_search", "event_search_order"),
        (False, "event_search", "Event_search"),
        (True, "*", "anything"),
        (True, "event_*", "event_search"),
        (False, "event_*", "redactions_recheck"),
        (True, "event_?earch", "event_search"),
        (True, "[ae]vent_search", "event_search"),
        (False, "event.search", "event_search"),
        (False, "search", "event_search"),
    ],
)
def test_matches_by_name_or_glob(expected: bool, glob: str, name: str) -> None:
    """A lever is about the updates whose whole name its glob matches, in their own letters."""
    assert expected is lever(update=glob).matches(name, "master")


@pytest.mark.parametrize(
    ("expected", "database"), [(True, None), (True, "master"), (False, "state")]
)
def test_matches_by_database(expected: bool, database: str | None) -> None:
    """A lever without a database is about all of them."""
    assert expected is lever(database=database).matches("x", "master")


@pytest.mark.parametrize(
    ("expected", "after_s", "used"),
    [
        (True, 0, False),
        (True, 3599.9, False),
        (False, 3600, False),
        (False, 86_400, False),
        (True, 3600, True),
        (True, 86_400, True),
    ],
)
def test_ends_at_its_end_unless_in_use(expected: bool, after_s: float, used: bool) -> None:
    """A lever ends by itself; a release that is in use outlives its end."""
    tried = lever(kind=LeverKind.RELEASE, used_s=NOON_S + 60 if used else None)
    assert expected is tried.is_in_force(NOON_S + after_s)


@pytest.mark.parametrize(
    ("expected", "named", "database", "of_update", "of_database"),
    [
        (True, "event_*", None, "event_*", None),
        (True, "event_*", None, "event_search", "master"),
        (True, "*", None, "event_*", None),
        (True, "event_search", "master", "event_search", "master"),
        (False, "event_search", None, "event_*", None),
        (False, "event_search", None, "event_search_order", None),
        (False, "event_search", "state", "event_search", "master"),
        # Who names one database does not mean what is about all of them.
        (False, "*", "master", "*", None),
        # A glob that does not match itself is meant by its own words all the same.
        (True, "event_[ab]", None, "event_[ab]", None),
    ],
)
def test_is_meant_by_its_words_or_a_glob(
    expected: bool, named: str, database: str | None, of_update: str, of_database: str | None
) -> None:
    """A lever is meant by the words that made it, and by what matches them."""
    assert expected is lever(update=of_update, database=of_database).is_meant_by(named, database)


def test_description_says_who_until_when_and_why() -> None:
    """What people read has the author, the end and the reason; without a reason, none."""
    known = "by @admin:example.org until 2026-06-01 13:00:00 UTC"
    assert known == lever().describe()
    assert f"{known}: a party" == lever(reason="a party").describe()


def test_json_has_times_in_ms_and_settings_as_written() -> None:
    """What the HTTP API tells of a lever."""
    override = lever(
        kind=LeverKind.OVERRIDE,
        update="event_*",
        database="state",
        settings=Settings(pace=DutyCycle(0.05)),
        written={"duty_cycle": "5%"},
        reason="slow disk",
        created_s=1.2345,
        ends_s=2.0,
    )
    assert {
        "id": "a1",
        "kind": "override",
        "update": "event_*",
        "database": "state",
        "settings": {"duty_cycle": "5%"},
        "reason": "slow disk",
        "author": "@admin:example.org",
        "created_ms": round(1234.5),
        "ends_ms": 2000,
        "used_ms": None,
    } == to_json(override.stated())
    assert 1500 == to_json(lever(used_s=1.5).stated())["used_ms"]


def test_about_keeps_what_is_about_an_update() -> None:
    """Of all levers, an update has those that match it, oldest first."""
    first = lever(lever_id="1", update="event_*")
    other = lever(lever_id="2", update="redactions")
    last = lever(lever_id="3", database="master")
    levers = Levers((first, other, last))
    assert Levers((first, last)) == levers.about("event_search", "master")
    assert Levers((first,)) == levers.about("event_search", "state")


def test_in_force_is_by_time_and_kind() -> None:
    """Those that have ended are left out; a kind leaves out the others."""
    ended = lever(lever_id="1", ends_s=NOON_S)
    pause = lever(lever_id="2")
    release = lever(lever_id="3", kind=LeverKind.RELEASE)
    levers = Levers((ended, pause, release))
    assert (pause, release) == levers.in_force(NOON_S)
    assert (release,) == levers.in_force(NOON_S, LeverKind.RELEASE)
    assert () == levers.in_force(NOON_S, LeverKind.OVERRIDE)


_IDS = st.sets(st.integers(0, 9))


@given(_IDS, _IDS, _IDS)
def test_changed_adds_and_takes_away_for_any_levers(
    there: set[int], made: set[int], ended: set[int]
) -> None:
    """Those that ended are gone, those that were made come last, all others stay in order."""

    def of(ids: set[int], kind: LeverKind = LeverKind.PAUSE) -> tuple[Lever, ...]:
        return tuple(lever(lever_id=str(number), kind=kind) for number in sorted(ids))

    before, new = Levers(of(there)), of(made, LeverKind.RELEASE)
    changed = before.changed(new, of(ended)).all
    assert of(there - ended) == changed[: len(there - ended)]
    assert new == changed[len(there - ended) :]
    assert of(there) == before.all


def test_changed_replaces_one_by_itself() -> None:
    """A lever that is ended and made at once is there once, as it was made."""
    old = lever(kind=LeverKind.RELEASE)
    used = attrs.evolve(old, used_s=NOON_S)
    assert (used,) == Levers((old,)).changed([used], [old]).all


@pytest.mark.parametrize("kind", LeverKind)
def test_only_a_release_outlives_its_end(kind: LeverKind) -> None:
    """Whatever is written of its use, a pause and an override end when they end."""
    lever = Lever(
        lever_id="1",
        kind=kind,
        update="*",
        author="@a:b",
        created_s=0.0,
        ends_s=10.0,
        used_s=5.0,
    )
    assert lever.is_in_force(9.9)
    assert (kind is LeverKind.RELEASE) is lever.is_in_force(10.0)
