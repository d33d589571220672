"""How soon after a step of the load the share of time in batches has followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# When each batch began and ended, in s from the beginning of a block.
Spans = Sequence[tuple[float, float]]

_WINDOW_S = 1.0
_BEFORE_S = 2.0
_STEP_S = 0.01
_LONGEST_S = 5.0
_FAST = 0.5


def duty(spans: Spans, begin_s: float, end_s: float) -> float:
    """The share of this time that was spent in batches."""
    inside = (min(end, end_s) - max(start, begin_s) for start, end in spans)
    return sum(max(span_s, 0.0) for span_s in inside) / (end_s - begin_s)


def slower(spans: Spans, step_s: float) -> float | None:
    """From a step up of the load until the second that follows has half the share of before.

    In s, 5 if that never came; None where there were no batches before.
    """
    before = duty(spans, step_s - _BEFORE_S, step_s)
    if not before:
        return None
    return _first(spans, step_s, lambda share: share <= before / 2)


def faster(spans: Spans, step_s: float) -> float | None:
    """From a step down of the load until more than half of the second that follows is in batches.

    In s, 5 if that never came; None where there were no batches.
    """
    return _first(spans, step_s, lambda share: share > _FAST) if spans else None


def _first(spans: Spans, step_s: float, is_there: Callable[[float], bool]) -> float:
    for number in range(int((_LONGEST_S - _WINDOW_S) / _STEP_S)):
        after_s = number * _STEP_S
        begin_s = step_s + after_s
        if is_there(duty(spans, begin_s, begin_s + _WINDOW_S)):
            return after_s
    return _LONGEST_S
