"""The rate of the write-ahead log, which needs two samples."""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet


def looked(at_s: float, wal_bytes: float | None = None, problem: str = "") -> DatabaseSample:
    return DatabaseSample(at_s=at_s, wal_bytes=wal_bytes, problem=problem)


def reason(*samples: DatabaseSample) -> str:
    """Why it holds after these, with a limit of 1000 bytes a second; empty: it does not."""
    signal_set = SignalSet({"wal_rate": 1000.0}, 4)
    for sample in samples:
        signal_set.observe(sample)
    closed = signal_set.closed(samples[-1].at_s, one_shot=False)
    return "" if closed is None else closed.reason


_NOT_YET = "wal_rate is configured and has not been read yet"


def test_first_look_is_half_of_it() -> None:
    """Which is not the same as that it cannot be read; the second tells the rate."""
    assert _NOT_YET == reason(looked(0.0, 5e6))
    assert "" == reason(looked(0.0, 5e6), looked(1.0, 5e6 + 500))
    assert "wal_rate 2KiB/s >= 1000B/s" == reason(looked(0.0, 5e6), looked(1.0, 5e6 + 2048))


def test_failed_look_between_two_others() -> None:
    """It holds while it fails; the next one is compared with the last that was answered."""
    before, failed = looked(0.0, 5e6), looked(1.0, problem="timed out")
    assert "wal_rate is configured and cannot be read: timed out" == reason(before, failed)
    assert "" == reason(before, failed, looked(2.0, 5e6 + 1000))
    unreadable = "wal_rate is configured and cannot be read: timed out"
    assert unreadable == reason(failed, looked(2.0, 5e6))  # the hold goes on, and is told once
    assert "" == reason(failed, looked(2.0, 5e6), looked(3.0, 5e6))


def test_looks_that_cannot_be_compared() -> None:
    """The log of another server, after a failover, and one of long ago: what was known holds."""
    high, low = (looked(0.0, 5e6), looked(1.0, 6e6)), (looked(0.0, 5e6), looked(1.0, 5e6))
    assert "wal_rate 976.6KiB/s >= 1000B/s" == reason(*high, looked(2.0, 4e6))
    assert "" == reason(*low, looked(2.0, 4e6))
    assert "was last read" in reason(*low, looked(3600.0, 5e9))


def test_where_there_is_none() -> None:
    """On a replica it is not observable; once that is a primary, it is from the second look on."""
    hidden = "wal_rate is configured and cannot be observed here"
    assert hidden == reason(looked(0.0), looked(1.0))
    assert hidden == reason(looked(0.0), looked(1.0, 5e6))
    assert "" == reason(looked(0.0), looked(1.0, 5e6), looked(2.0, 5e6))


def test_not_yet_is_not_told_as_not_observable() -> None:
    """Nor is it what is left out."""
    signal_set = SignalSet({"wal_rate": 1000.0}, 4)
    signal_set.observe(looked(0.0, 5e6))
    assert "wal_rate" not in set(signal_set.unobservable())
    assert signal_set.states["wal_rate"].at_s is None
