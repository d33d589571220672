"""Signals of this process: its event loop, its pool, its own batches. Pure."""

from synapse_bgthrottle.core.signals.samples import BatchSample, ProcessSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def _mean_ms(
    sum_s: float | None, before_s: float | None, count: float | None, before: float | None
) -> float | None:
    """The mean in ms of what was added since; 0 where nothing was, None where a part is unknown.

    A sum that shrank began anew: nothing is known then.
    """
    if sum_s is None or before_s is None or count is None or before is None:
        return None
    added, added_s = count - before, sum_s - before_s
    if added < 0 or added_s < 0:
        return None
    return added_s / added * 1000 if added else 0.0


def _event_loop_lag(sample: ProcessSample, before: ProcessSample | None) -> float:
    return sample.timer_late_s * 1000


# Event-loop lag: how late a timer of our own is.
# Unit: ms. Cost: one timer, four times a second while updates are pending. Class: soft. Always
# readable. It tells most of all signals of an update that works on the reactor thread.
EVENT_LOOP_LAG = Signal(
    name="event_loop_lag",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=50.0,
    source=ProcessSample,
    read=_event_loop_lag,
)


def _reactor_tick(sample: ProcessSample, before: ProcessSample | None) -> float | None:
    if before is None:
        return None
    return _mean_ms(sample.tick_s, before.tick_s, sample.ticks, before.ticks)


# Time of a turn of the event loop, by Synapse's own metric `python_twisted_reactor_tick_time`.
# Unit: ms, the mean of the turns since the last look. Cost: two numbers read. Class: soft. Where
# the reactor is one that Synapse does not measure, it is not observable, and says nothing.
REACTOR_TICK = Signal(
    name="reactor_tick",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=50.0,
    source=ProcessSample,
    read=_reactor_tick,
)


def _pool_wait(sample: ProcessSample, before: ProcessSample | None) -> float | None:
    if before is None:
        return None
    return _mean_ms(sample.pool_wait_s, before.pool_wait_s, sample.pool_waits, before.pool_waits)


# Pool wait of everybody: how long transactions wait for a connection to the database.
# Unit: ms, the mean of the transactions since the last look, by Synapse's own metric
# `synapse_storage_schedule_time`. Cost: two numbers read. Class: soft. Without the metric it is not
# observable, and says nothing.
POOL_WAIT = Signal(
    name="pool_wait",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=10.0,
    source=ProcessSample,
    read=_pool_wait,
)


def _batch_slowdown(sample: BatchSample, before: BatchSample | None) -> float | None:
    return sample.slowdown


# Time per item of our own batches, against the same while nobody else was there.
# Unit: times. Cost: none. Class: soft. Items are not equal (one room may cost a thousand small
# ones), so it only corroborates: the threshold is far from 1. Not observable before a quiet moment
# was seen. The idea is MS Manners' (SOSP '99): one's own progress tells of contention that nothing
# else shows.
BATCH_SLOWDOWN = Signal(
    name="batch_slowdown",
    signal_class=SignalClass.SOFT,
    unit=Unit.FACTOR,
    threshold=10.0,
    source=BatchSample,
    read=_batch_slowdown,
)
