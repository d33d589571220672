"""What happened between two looks at sums that only grow."""


def mean_ms(
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
