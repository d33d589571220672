"""What happens to a server's updates during and after a fault."""

import time
from contextlib import AbstractContextManager

import attrs

from testbed.faults.faults import has_aborted, is_told
from testbed.faults.reindex_worlds import World
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers.process import SynapseProcess
from testbed.waiting import HANG_S, wait_until, within


@attrs.frozen
class Seen:
    """What happened to the updates of a server with a fault.

    Attributes:
        recovered_s: from the fault's end to the end of the batch that proves recovery; None: none.
        aborted: whether Synapse gave up all updates.
        failed: failed iterations, by Synapse's log.
        batches_in_it: batches that ended during the fault.
        holds: log lines of the module on holds, since the fault began.
        told: log lines of the module above DEBUG, since the fault began.
        complaints: forbidden log lines.
        left: updates pending at the end.
        rows_before, rows_after: rows of the index at the fault's begin and end.
        rows, expected: rows of the index at the end, and their number once it is complete.
        wrong: missing or extra rows at the end, according to the update's progress.
    """

    recovered_s: float | None
    aborted: bool
    failed: int
    batches_in_it: int
    holds: int
    told: int
    complaints: int
    left: int
    rows_before: int
    rows_after: int
    rows: int
    expected: int
    wrong: int


def observe_fault(
    world: World,
    fault: AbstractContextManager[None],
    outage_s: float,
    patience_s: float = 60,
    batch: int = 1,
) -> Seen:
    """What happens to the updates of a running server from a fault until they end or are aborted.

    The server runs some batches before, and is stopped at the end. `batch` says which batch after
    the fault proves that updates continue. It is the second if the first may just be late, because
    it waited for the fault's end.
    """
    server = world.server
    with server:
        wait_until(lambda: _batches(server, 0) >= 3)
        begin = len(server.log().encode())
        rows_before = world.rows()
        with fault:
            from_fault = len(server.log().encode())
            # After an abort nothing more happens.
            within(outage_s, lambda: has_aborted(server))
            batches_in_it = _batches(server, from_fault)
        ended = time.monotonic()
        from_then = len(server.log().encode())
        rows_after = world.rows()
        recovered_s: float | None = None
        if within(
            patience_s,
            lambda: _batches(server, from_then) >= batch or world.pending() == 0,
            give_up=lambda: has_aborted(server),
        ):
            recovered_s = time.monotonic() - ended
        within(HANG_S, lambda: world.pending() == 0, give_up=lambda: has_aborted(server))
    log = server.log(begin)
    told = [line for line in log.splitlines() if is_told(line)]
    return Seen(
        None if recovered_s is None else round(recovered_s, 1),
        has_aborted(server),
        log.count("Error doing update"),
        batches_in_it,
        sum("Holding " in line for line in told),
        len(told),
        len(complaints(log)),
        world.pending(),
        rows_before,
        rows_after,
        world.rows(),
        world.expected,
        world.wrong(),
    )


def _batches(server: SynapseProcess, begin: int) -> int:
    return server.log(begin).count("Running background update")
