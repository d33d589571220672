"""What a status tells about an upgrade and its end."""

from typing import Any

import pytest

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.codec import decode
from synapse_bgthrottle.schema import ThrottleStatus
from tests.unit.cli.fakes import HOLD, IDLE, PAUSE, PAUSED, current, database, pending, status


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([], status(IDLE)),
        (["2 updates are pending in master: event_search, an_index"], status(database())),
        (["the server shows no database"], status()),
        (
            ["the queue of master could not be read: locked"],
            status(IDLE | {"pending": None, "queue_problem": "locked"}),
        ),
        (
            [
                "1 update is pending in master: x",
                "x in master is not known to this version of Synapse",
            ],
            status(IDLE | {"pending": [pending("x", known=False)]}),
        ),
        (
            ["updates of master are aborted: Synapse gave up after failures in a row"],
            status(IDLE | {"state": "aborted"}),
        ),
        (
            ["updates of master are stopped: Synapse is not working on this queue"],
            status(IDLE | {"state": "stopped"}),
        ),
        ([PAUSED["message"]], status(IDLE, problems=[PAUSED])),
        ([f"state: {PAUSED['message']}"], status(IDLE, problems=[PAUSED | {"database": "state"}])),
        (
            [
                "1 update is pending in master: e",
                "updates of master are held: windows are closed",
            ],
            status(database(state="held", pending=[pending("e")], current=current(decision=HOLD))),
        ),
        (["background updates are switched off"], status(IDLE, enabled=False)),
        (["master: no batch for 2h"], status(IDLE, problems=[
            {"kind": "stuck", "database": "master", "message": "no batch for 2h"}])),
    ],
)  # fmt: skip
def test_reasons_against_an_upgrade(expected: list[str], found: Any) -> None:
    """Pending, unreadable, unknown, aborted, paused or switched off: each is a reason."""
    assert expected == list(verdicts.against_upgrade(decode(ThrottleStatus, found)))


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (True, status(IDLE)),
        (False, status()),
        (False, status(IDLE, database())),
        (False, status(IDLE | {"pending": None})),
    ],
)
def test_done(expected: bool, found: Any) -> None:
    """Only queues that were read and are empty are done."""
    assert expected is verdicts.is_done(decode(ThrottleStatus, found))


APPROVAL = {"cause": "approval", "is_hold": True, "reason": "approval is required", "since_ms": 0}
OTHERS = [
    PAUSE | {"update": "an_*", "author": "@other:x"},
    PAUSE | {"database": "state", "author": "@state:x"},
    PAUSE | {"update": "event_*", "database": "master"},
]


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([], status(database())),
        (
            ["master: event_search needs approval: bgthrottle release event_search"],
            status(database(current=current(decision=APPROVAL))),
        ),
        (
            ["master: event_search is paused by @admin:example.org"],
            status(database(pending=[pending("event_search", paused=True)]), levers=OTHERS),
        ),
        (
            ["master: x is not known to this version of Synapse, which stops there"],
            status(database(pending=[pending("x", known=False)])),
        ),
        (
            ["master: x will never begin: updates wait for each other"],
            status(database(pending=[pending("x", is_reachable=False)])),
        ),
        (
            ["master: stopped: Synapse is not working on this queue"],
            status(database(state="stopped", current=None)),
        ),
        ([], status(database(state="stopped", current=None, restart={"due_ms": 60_000}))),
        (
            [
                "master: aborted: Synapse gave up after failures in a row, the last: boom;"
                " the module starts it again at 1970-01-01 00:01 UTC"
            ],
            status(
                database(
                    state="aborted",
                    last_failure={"at_ms": 1, "update": "e", "message": "boom"},
                    restart={"due_ms": 60_000},
                )
            ),
        ),
    ],
)
def test_what_does_not_end_by_itself(expected: list[str], found: Any) -> None:
    """A pause, an approval, names that cannot run, an abort, a queue that nobody starts."""
    assert expected == list(verdicts.stopped(decode(ThrottleStatus, found)))
