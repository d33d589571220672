"""Log lines for samples: unobservable signals, logged once, and index builds."""

import logging
from typing import Any

from synapse_bgthrottle.core.reports.log_lines import BUILD_AGAIN_S, Line, SignalLog
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet


class Database:
    """A database of which one sample a second is taken."""

    def __init__(self) -> None:
        self.signal_set = SignalSet({}, 4)
        self.teller = SignalLog("master")
        self.at_s = 0.0

    def sample(self, **fields: Any) -> list[Line]:
        sample = DatabaseSample(at_s=self.at_s, **fields)
        self.at_s += 1
        self.signal_set.observe(sample)
        return list(self.teller.lines("an_index", self.signal_set, sample))


_ALL = {
    "transactions": 5.0,
    "foreground_backends": 1,
    "blocked_sessions": 0,
    "replica_lag_s": 0.0,
    "wal_bytes": 1.0,
    "retained_wal_bytes": 0.0,
    "autovacuum": False,
    "longest_transaction_s": 0.0,
    "pool_wait_s": 0.0,
    "query_s": 0.0,
}


def test_nothing_to_tell() -> None:
    """Where all can be seen."""
    database = Database()
    assert [] == [line for _ in range(10) for line in database.sample(**_ALL)]


def test_what_cannot_be_seen_is_told_once() -> None:
    """By name, after a few samples, and not again."""
    database = Database()
    fields = {**_ALL, "replica_lag_s": None}
    lines = [line for _ in range(100) for line in database.sample(**fields)]
    assert [
        (
            logging.INFO,
            "replica_lag is not observable in master, and is left out: see docs/signals.md",
        )
    ] == lines


def test_what_is_refused_is_told_once() -> None:
    """With all that one complaint is about, and not as something else again."""
    database = Database()
    refused = {"wal_rate": "no (SQLSTATE 55000)", "replica_lag": "no (SQLSTATE 55000)"}
    fields = {**_ALL, "replica_lag_s": None, "refused": refused}
    lines = [line for _ in range(100) for line in database.sample(**fields)]
    refused["autovacuum"] = "neither (SQLSTATE P0001)"
    lines += database.sample(**fields)
    text = "the database master refuses to show {}. It is left out, and tried again every hour"
    assert [
        (logging.WARNING, text.format("replica_lag, wal_rate: no (SQLSTATE 55000)")),
        (logging.WARNING, text.format("autovacuum: neither (SQLSTATE P0001)")),
    ] == lines


def test_sqlite_needs_no_telling() -> None:
    """It has none of what PostgreSQL tells."""
    database = Database()
    lines = [line for _ in range(10) for line in database.sample(query_s=0.0, pool_wait_s=0.0)]
    assert [] == lines


def test_sample_without_an_answer_tells_nothing() -> None:
    """Why there is none is told where it holds something."""
    database = Database()
    assert [] == [line for _ in range(10) for line in database.sample(problem="timed out")]


def test_index_build() -> None:
    """Each phase is told, with the share done, and again after ten minutes in one phase."""
    database = Database()
    texts = []
    for share in (0.0, 0.1, 0.2):
        build = ("building index: scanning table", share)
        texts += [text for _, text in database.sample(**_ALL, index_build=build)]
    database.at_s += BUILD_AGAIN_S
    texts += [text for _, text in database.sample(**_ALL, index_build=(build[0], 0.4321))]
    waiting = ("waiting for old snapshots", None)
    texts += [text for _, text in database.sample(**_ALL, index_build=waiting)]
    assert [
        "Building an index for an_index in master: building index: scanning table, 0% done",
        "Building an index for an_index in master: building index: scanning table, 43.2% done",
        "Building an index for an_index in master: waiting for old snapshots",
    ] == texts


def test_next_index_build_is_told_from_its_beginning() -> None:
    """Also where it begins in the phase in which the last one ended."""
    database = Database()
    build = ("building index", None)
    assert 1 == len(database.sample(**_ALL, index_build=build))
    assert [] == database.sample(**_ALL)
    assert 1 == len(database.sample(**_ALL, index_build=build))
