"""Compares a server's outcome of a fault with docs/reliability/outages.md."""

import attrs

from testbed.faults.outcome import Seen

# From the end of a fault to the end of the next batch, at most.
WITHIN_S = 10.0
# Log lines above DEBUG since the fault began; six were seen.
MOST_TOLD = 20
# Two were seen, with repeated resets of connections. After five in a row Synapse aborts.
MOST_FAILED = 3
# The batch that ran when the fault began. At this pace a second has more batches.
_MOST_BATCHES_IN_IT = 1


@attrs.frozen
class Expected:
    """The effect of a fault, by the table.

    Attributes:
        within_s: longest time from its end to the end of the batch that proves that updates go on.
        least_failed: least number of failed iterations; with fewer there was no fault.
        stock_aborts: whether stock Synapse aborts, by the table.
        is_stock_sure: whether it must: five failed batches in a row within a second need luck.
    """

    within_s: float = WITHIN_S
    least_failed: int = 0
    stock_aborts: bool = True
    is_stock_sure: bool = True


def breaches(seen: Seen, expected: Expected) -> list[str]:
    """Broken promises of a run with the module."""
    found = (
        _unfelt(seen, expected),
        "Synapse gave up all updates" if seen.aborted else None,
        f"{seen.failed} iterations failed" if seen.failed > MOST_FAILED else None,
        f"{seen.left} updates are left" if seen.left else None,
        f"{seen.wrong} rows are missing or there twice" if seen.wrong else None,
        f"{seen.rows} rows at the end, of {seen.expected}" if seen.rows != seen.expected else None,
        "all was done before it ended" if seen.rows_after >= seen.expected else None,
        f"the module logged {seen.told} lines" if seen.told > MOST_TOLD else None,
        f"{seen.complaints} complaints in the log" if seen.complaints else None,
        _late(seen.recovered_s, expected.within_s),
    )
    return [breach for breach in found if breach is not None]


def breaches_of_stock(seen: Seen, expected: Expected) -> list[str]:
    """What shows, in a run of stock, that the fault was less than the table says."""
    survived = expected.stock_aborts and expected.is_stock_sure and not seen.aborted
    found = (_unfelt(seen, expected), "stock did not abort" if survived else None)
    return [breach for breach in found if breach is not None]


def unlike_the_table(seen: Seen, expected: Expected) -> str | None:
    """How stock ended, if the table says otherwise; also if that breaks no promise."""
    if seen.aborted == expected.stock_aborts:
        return None
    return "stock aborted" if seen.aborted else "stock did not abort"


def _unfelt(seen: Seen, expected: Expected) -> str | None:
    if seen.failed < expected.least_failed:
        return f"{seen.failed} iterations failed"
    if seen.failed or seen.holds or seen.batches_in_it <= _MOST_BATCHES_IN_IT:
        return None
    return f"nothing was seen of the fault: {seen.batches_in_it} batches ended in it, none failed"


def _late(recovered_s: float | None, within_s: float) -> str | None:
    if recovered_s is None:
        return "updates did not go on after it"
    if recovered_s > within_s:
        return f"updates went on after {recovered_s} s, not {within_s:g} s"
    return None
