"""Whether clients are active: by requests in progress, their number, others' transactions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity


def looked(*looks: tuple[float, int | None, int]) -> ClientActivity:
    presence = ClientActivity()
    for look in looks:
        presence.look(*look)
    return presence


def test_nobody_was_ever_there() -> None:
    """A server that has seen no request is quiet at once."""
    assert looked((0.0, 0, 17)).is_quiet(0.0, 1.0)


def test_request_in_flight_is_somebody() -> None:
    """Until a while after it was last seen."""
    presence = looked((0.0, 0, 1), (1.0, 1, 1))
    assert not presence.is_quiet(1.0, 1.0)
    presence.look(6.1, 0, 1)
    assert presence.is_quiet(6.1, 1.0)


def test_request_between_two_looks_is_somebody() -> None:
    """Only the count tells of it."""
    presence = looked((0.0, 0, 1), (0.25, 0, 2))
    assert not presence.is_quiet(0.25, 1.0)


def test_count_after_a_long_time_without_a_look_tells_nothing() -> None:
    """Requests may have come and gone long ago, as in an index build."""
    assert looked((0.0, 0, 1), (3600.0, 0, 9000)).is_quiet(3600.0, 1.0)


def test_pause_in_a_stream_of_requests_is_quiet_soon() -> None:
    """With 20 requests a second, one second without any is a long time."""
    presence = ClientActivity()
    for number in range(200):
        presence.look(number / 20, 0, number)
    assert not presence.is_quiet(9.95 + 0.9, 1.0)
    assert presence.is_quiet(9.95 + 1.0, 1.0)


def test_pause_between_rare_requests_is_none() -> None:
    """With one request in 2 s, one second without any is no sign, five are."""
    presence = ClientActivity()
    for number in range(60):
        presence.look(number * 2.0, 0, number)
    assert not presence.is_quiet(118 + 1.5, 1.0)
    assert presence.is_quiet(118 + 5.0, 1.0)


def test_transactions_of_others_are_somebody() -> None:
    """Where requests go to workers, the database tells: less what this process does itself."""
    presence = looked((0.0, None, 0))
    presence.look_at_transactions(0.0, 1000.0, 500.0)
    presence.look_at_transactions(1.0, 1100.0, 598.0)  # two of others
    assert presence.is_quiet(1.0, 1.0)
    presence.look_at_transactions(2.0, 1200.0, 648.0)  # fifty of others
    assert not presence.is_quiet(2.0, 1.0)


def test_transactions_that_are_no_longer_seen() -> None:
    """When the database is no longer asked, or does not answer, nobody can be said to be away."""
    presence = looked((0.0, None, 0))
    presence.look_at_transactions(0.0, 1000.0, 500.0)
    presence.look_at_transactions(1.0, 1002.0, 501.0)
    assert presence.is_quiet(6.0, 1.0)
    assert not presence.is_quiet(6.1, 1.0)


def test_one_look_at_the_transactions_tells_nothing() -> None:
    """It takes two to know whether others do anything."""
    presence = looked((0.0, None, 0))
    presence.look_at_transactions(0.0, 1000.0, 500.0)
    assert not presence.is_quiet(1.0, 1.0)


def test_blind_is_never_quiet() -> None:
    """Where neither requests nor transactions are seen, nobody can be said to be away."""
    assert not looked((0.0, None, 0), (1e6, None, 0)).is_quiet(1e6, 1.0)


@pytest.mark.parametrize("later_s", [0.0, -5.0])
def test_clock_that_stands_or_goes_back(later_s: float) -> None:
    """Neither fails, and neither makes somebody go away."""
    presence = looked((10.0, 1, 5), (10.0 + later_s, 0, 6))
    presence.look_at_transactions(10.0, 5.0, 5.0)
    presence.look_at_transactions(10.0 + later_s, 6.0, 5.0)
    assert not presence.is_quiet(10.0 + later_s, 1.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.none() | st.integers(0, 3), st.integers(0, 50)), max_size=40
    )
)
def test_quiet_needs_its_time_for_any_looks(looks: list[tuple[float, int | None, int]]) -> None:
    """Whoever was in flight a moment ago is there; a minute without anybody is quiet."""
    presence, now_s, received = ClientActivity(), 0.0, 0
    for passed_s, active, came in looks:
        now_s += passed_s
        received += came
        presence.look(now_s, active, received)
        if active:
            assert not presence.is_quiet(now_s, 1.0)
    presence.look(now_s + 60, 0, received)  # which is seen
    assert presence.is_quiet(now_s + 60, 1.0)
