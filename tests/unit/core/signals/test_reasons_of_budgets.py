"""The reasons that yes-or-no budgets give."""

from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, Sample
from synapse_bgthrottle.core.signals.signal_set import SignalSet


def reason(signal_set: SignalSet, sample: Sample) -> str:
    signal_set.observe(sample)
    closed = signal_set.closed(sample.at_s, one_shot=False)
    return "" if closed is None else closed.reason


def test_http() -> None:
    """What was answered, also in the seconds after in which it holds on."""
    signal_set = SignalSet({"http": 1.0}, 4)
    bad = CheckSample(at_s=0.0, name="http", value=1.0, about="answers 503")
    assert "http answers 503" == reason(signal_set, bad)
    good = CheckSample(at_s=9.0, name="http", value=0.0)
    assert "http answers 503, but no longer" == reason(signal_set, good)
    assert "" == reason(signal_set, CheckSample(at_s=19.0, name="http", value=0.0))
    other = CheckSample(at_s=29.0, name="http", value=1.0, about="answers 404")
    assert "http answers 404" == reason(signal_set, other)


def test_autovacuum() -> None:
    """Which table it is on."""
    sample = DatabaseSample(at_s=0.0, autovacuum=True, vacuumed_table="event_json")
    assert "autovacuum of event_json" == reason(SignalSet({}, 4), sample)


def test_nothing_more_is_known() -> None:
    """Then it is only the name."""
    sample = CheckSample(at_s=0.0, name="pause_file", value=1.0)
    assert "pause_file" == reason(SignalSet({"pause_file": 1.0}, 4), sample)
