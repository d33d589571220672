"""Properties of the signal set for any samples."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.signals import SIGNALS
from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from tests.unit.core.signals.signal_sets import signal_set

_values = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e308, 5e-324]),
)


@st.composite
def _samples(draw: st.DrawFn) -> Sample:
    at_s = draw(st.floats(-1e9, 1e9))
    kind = draw(st.sampled_from(["process", "database", "check", "batch"]))
    if kind == "process":
        process = ("pool_wait_s", "pool_waits", "tick_s", "ticks")
        fields: dict[str, Any] = {name: draw(_values) for name in process}
        return ProcessSample(at_s=at_s, timer_late_s=draw(st.floats()), **fields)
    if kind == "database":
        database = (
            "pool_wait_s",
            "query_s",
            "foreground_backends",
            "blocked_sessions",
            "replica_lag_s",
            "wal_bytes",
            "retained_wal_bytes",
            "longest_transaction_s",
        )
        fields = {name: draw(_values) for name in database}
        problem = draw(st.sampled_from(["", "gone"]))
        return DatabaseSample(at_s=at_s, problem=problem, **fields)
    if kind == "check":
        name = draw(st.sampled_from(["disk_free", "sql", "http", "pause_file", "?"]))
        return CheckSample(at_s=at_s, name=name, value=draw(_values))
    return BatchSample(at_s=at_s, slowdown=draw(_values))


@given(st.lists(_samples(), max_size=30), st.booleans(), st.floats(-1e9, 1e9))
def test_any_samples_make_sense(samples: list[Sample], configured: bool, now_s: float) -> None:
    """Lying, garbled and unordered samples: a finite pressure or none, and a reason or none."""
    made = signal_set(**(dict.fromkeys(SIGNALS, 1.0) if configured else {}))
    for sample in samples:
        made.observe(sample)
    soft = made.soft(now_s)
    assert soft.pressure is None or 0 <= soft.pressure <= 100
    for one_shot in (True, False):
        closed = made.closed(now_s, one_shot=one_shot)
        assert closed is None or closed.reason
    assert all(isinstance(level.describe(), str) for level in made.states.values())
