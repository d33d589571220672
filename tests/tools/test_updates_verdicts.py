"""The verdict on misbehaving updates of a real server, and on its clients."""

import urllib.error
from http.client import RemoteDisconnected
from typing import Any

import pytest

from soak.faults import misbehaving_updates
from testbed.faults import misbehaving_worlds
from testbed.faults.misbehaving_updates import Oddity
from testbed.faults.neighbours import Requests


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"done": False}, ["it did not come to its end"]),
        ({"aborted": True}, ["Synapse gave it up"]),
        ({"wrong": 2}, ["2 rows are missing or there twice"]),
        ({"failed": 3}, ["3 iterations failed"]),
        ({"failed": 1}, ["1 iterations failed"]),
        ({"batch_ms": (90.0, 9999.9)}, ["the longest of its batches took 9999.9 ms"]),
        ({"tries_s": [6.0, 7.0, 0.1]}, ["it was tried again after [6.0, 7.0] s"]),
        ({"tries_s": [6.0]}, ["it was tried again after [6.0] s"]),
        ({"tries_s": [16.0, 16.0]}, ["it was tried again after [16.0, 16.0] s"]),
        ({"rests_ratio": 0.9}, ["it rested 0.9 s for each second in batches"]),
        ({"batch_ms": (301.0, 10_000.0)}, ["half of its batches took 301.0 ms"]),
        ({"told_s": 4.9}, ["of a batch that hung the status told for 4.9 s"]),
        ({"told": 21}, ["the module logged 21 lines"]),
        ({"log_kib": 401.0}, ["401.0 KiB were logged"]),
        ({"neighbour": (170, 20.1)}, ["the neighbour had no batch for 20.1 s"]),
        ({"clients_ms": (51.0, 60.0)}, ["half of the clients' requests took 51.0 ms"]),
        ({"clients_ms": (6.0, 5000.1)}, ["a request of a client took 5000.1 ms"]),
        ({"clients_failed": 2}, ["2 requests of clients failed"]),
        ({"clients_answered": 79}, ["79 requests of clients were answered in 80.0 s"]),
    ],
)
def test_odd_updates(changes: dict[str, Any], expected: list[str]) -> None:
    """The end that it must have, waits that grow, few lines, and nobody else harmed."""
    as_promised: dict[str, Any] = {
        "done": True,
        "aborted": False,
        "s": 80.0,
        "failed": 2,
        "tries_s": [6.5, 16.0, 0.1],
        "batch_ms": (90.0, 10_000.0),
        "rests_ratio": 1.0,
        "told_s": 5.0,
        "told": 10,
        "complaints": 0,
        "log_kib": 200.0,
        "wrong": 0,
        "neighbour": (170, 9.0),
        "clients_ms": (6.0, 200.0),
        "clients_answered": 700,
        "clients_failed": 0,
    }
    case = misbehaving_updates.Case(
        "odd",
        Oddity("odd", 100, failures=2, hang_s=10),
        most_failed=2,
        least_failed=2,
        least_rests_ratio=1.0,
        most_batch_ms=300,
        least_longest_ms=10_000,
    )
    seen = misbehaving_worlds.Seen(**{**as_promised, **changes})
    assert expected == misbehaving_updates.breaches(case, seen)


def test_odd_updates_that_never_end() -> None:
    """One that always fails must be given up, as without the module."""
    case = misbehaving_updates.CASES[3]
    assert "fails always" == case.name
    tries_s = [6.0, 15.0, 31.0, 61.0]
    seen = misbehaving_worlds.Seen(
        *(False, True, 113.0, 5, tries_s, (0.0, 0.0), 0.0, 0.0),
        *(13, 0, 254.0, 0, (337, 2.6), (6.1, 114.7), 1000, 0),
    )
    assert [] == misbehaving_updates.breaches(case, seen)


@pytest.mark.parametrize("case", misbehaving_updates.CASES, ids=lambda case: case.name)
def test_each_case_must_be_seen(case: misbehaving_updates.Case) -> None:
    """A server on which nothing went wrong is no such case."""
    assert case.least_failed or case.least_longest_ms
    seen = misbehaving_worlds.Seen(
        *(True, False, 80.0, 0, [1.0, 1.0, 1.0, 1.0], (90.0, 110.0), 1.0, 0.0),
        *(10, 0, 100.0, 0, (170, 9.0), (6.0, 200.0), 700, 0),
    )
    expected = (
        "0 iterations failed" if case.least_failed else "the longest of its batches took 110.0 ms"
    )
    assert expected in misbehaving_updates.breaches(case, seen)


class Admin:
    """A client whose server answers each time in another way."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)

    def call(self, *_: Any) -> None:
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer


def test_requests_that_fail() -> None:
    """An answer with an error is none that counts, and neither is one that does not come."""
    refused = urllib.error.HTTPError("http://x", 500, "", {}, None)  # type: ignore[arg-type]
    answers = (None, refused, TimeoutError(), RemoteDisconnected(""), ValueError(), None)
    admin: Any = Admin(*answers)
    requests = Requests()
    for number in range(len(answers)):
        requests.ask(admin, number)
    assert (2, 4) == (len(requests.took_ms), requests.failed)
