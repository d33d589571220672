"""Some updates that misbehave on a real server. For a longer run see
`soak.faults.misbehaving_updates`."""

import statistics
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from soak.faults.misbehaving_updates import Case, wrongs
from testbed.faults.misbehaving_updates import LOCK, Oddity
from testbed.faults.misbehaving_worlds import NEIGHBOUR, OddSource, OddWorld
from testbed.faults.neighbours import clients
from testbed.faults.restarts import API
from testbed.observe import batch_log
from testbed.waiting import wait_until

_BRISKLY = {"sleep": "50ms"}
_STOCK = {"background_updates": {"sleep_duration_ms": 50}}
_BEHIND = Oddity("behind", 50)


def test_one_that_fails_once(odd_source: OddSource, tmp_path: Path) -> None:
    """It is tried again after 5 s; it and the one behind it come to their ends; others go on."""
    odd = Oddity("odd", 300, failures=1)
    world = odd_source.world(tmp_path, "once", _BRISKLY, (odd, _BEHIND))
    seen = world.live()
    assert [] == wrongs(Case("once", odd, most_failed=1), seen)
    assert 1 == seen.failed
    assert 5 <= seen.tries_s[0]
    log = world.server.log()
    failed_s, again_s = [
        line.at_s
        for line in batch_log.lines(log)
        if "Starting update batch" in line.text and "'odd'" in line.text
    ][:2]
    beside = batch_log.batches(log, NEIGHBOUR.name)
    assert [batch for batch in beside if failed_s < batch.end_s < again_s]
    # A line or two about each change, and not about each batch.
    assert seen.told <= 10 + log.count("does not answer") + log.count("Going on with")


def test_one_that_always_fails_on_stock(odd_source: OddSource, tmp_path: Path) -> None:
    """Stock Synapse gives up its database after five tries, and the one behind it; others go on."""
    world = odd_source.world(
        tmp_path, "always", None, (Oddity("odd", 300, failures=10**9), _BEHIND), _STOCK
    )
    seen = world.live()
    assert (False, True, 5) == (seen.done, seen.aborted, seen.failed)
    # It does not wait longer and longer, as the module does: that would be 110 s.
    assert sum(seen.tries_s) < 60


def test_one_that_hangs(odd_source: OddSource, tmp_path: Path) -> None:
    """The status tells since when; other databases go on, levers answer, and it ends by itself."""
    odd = Oddity("odd", 300, waits_in_third=True)
    world = odd_source.world(tmp_path, "hangs", _BRISKLY, (odd, _BEHIND))
    with ExitStack() as stack:
        cursor = stack.enter_context(odd_source.postgres.session(world.names["master"]))
        cursor.execute(f"SELECT pg_advisory_lock({LOCK})")  # before the update can be done
        stack.enter_context(world.server)
        wait_until(lambda: _batch_age_s(world) > 2)
        begin = len(world.server.log().encode())
        since_ms = _current(world)["batch_since_ms"]
        world.admin.call("POST", f"{API}/pause", {"update": "behind", "for": "1h"})
        wait_until(lambda: len(batch_log.batches(world.server.log(begin), NEIGHBOUR.name)) > 2)
        assert ("odd", since_ms) == (_current(world)["name"], _current(world)["batch_since_ms"])
        cursor.execute(f"SELECT pg_advisory_unlock({LOCK})")
        wait_until(lambda: "Holding behind in master" in world.server.log())
        world.admin.call("POST", f"{API}/resume", {})
        wait_until(lambda: not world.pending())
    assert 0 == world.wrong()
    assert "Error doing update" not in world.server.log()


def test_one_whose_batches_take_a_hundred_times_their_target(
    odd_source: OddSource, tmp_path: Path
) -> None:
    """With a duty cycle each is followed by its rest, not by one that the target would deserve."""
    odd = Oddity("odd", 300, cost_ms=10, batch_items=100)
    module = {"duty_cycle": "25%", "target_duration": "10ms"}
    world = odd_source.world(tmp_path, "long", module, (odd,))
    seen = world.live()
    assert [] == wrongs(Case("long", odd), seen)
    assert all(between_s > 3.5 for between_s in seen.tries_s)
    assert seen.clients_ms[0] < seen.batch_ms[0]  # they do not wait for its end


def test_one_whose_items_are_not_alike(odd_source: OddSource, tmp_path: Path) -> None:
    """Where one item costs 10^4 times another, most batches are near their target nevertheless."""
    odd = Oddity("odd", 200, cost_ms=0.02, spread_ratio=1e4)
    world = odd_source.world(tmp_path, "uneven", _BRISKLY, (odd, _BEHIND))
    seen = world.live()
    assert [] == wrongs(Case("uneven", odd), seen)
    # By what its items cost, which a busy machine makes no dearer.
    costs_s, at = odd.costs_s(), 0
    cost_s = []
    for batch in batch_log.batches(world.server.log(), odd.name):
        cost_s.append(sum(costs_s[at : at + batch.items]))
        at += batch.items
    assert odd.items == at
    assert statistics.median(cost_s) < 0.3


def test_one_whose_batch_is_too_long_for_the_database(
    odd_source: OddSource, tmp_path: Path
) -> None:
    """A batch that `statement_timeout` ends is smaller the next time, and then it is not ended."""
    # The first takes 6 s, and the next a tenth of it; no other statement takes as long as the
    # limit, on a busy machine too.
    odd = Oddity("odd", 110, cost_ms=60)
    module = {**_BRISKLY, "target_duration": "100ms", "default_batch_size": 100}
    world = odd_source.world(tmp_path, "ended", module, (odd, _BEHIND), statement_timeout_ms=5000)
    seen = world.live()
    assert [] == wrongs(Case("ended", odd, most_failed=1), seen)
    assert 1 == seen.failed


_PINNED_RATIO = 0.2
_PINNED = {
    "profile": "fast",  # which compares the least
    "min_duty_cycle": "20%",
    "max_duty_cycle": "20%",
    "target_duration": "20ms",
}


def test_two_databases_have_halves(odd_source: OddSource, tmp_path: Path) -> None:
    """Among clients each has half of the duty cycle, and all of it when the other is held."""
    # What each has is somewhat more than its share, for the moments without batches in between.
    less = 0.75 * _PINNED_RATIO
    world = odd_source.world(tmp_path, "halves", _PINNED, (Oddity("odd", 10**6),))
    with world.server, clients(world.admin):
        wait_until(lambda: len(_ratios(world)) == 2 and max(_ratios(world)) < less)
        world.admin.call("POST", f"{API}/pause", {"database": "other", "for": "1h"})
        wait_until(lambda: max(_ratios(world)) > less)


def _ratios(world: OddWorld) -> list[float]:
    """The duty cycles that the status tells."""
    told = [each["current"] for each in world.admin.call("GET", f"{API}/status")["databases"]]
    return [round(current["duty_cycle_ratio"] or 0, 3) for current in told if current]


# At this duty cycle six seconds pass between moments of work; within them, some milliseconds.
_REST_S = 1.0
_ROUNDS = 6


@pytest.mark.alone
def test_two_databases_share_one_duty(odd_source: OddSource, tmp_path: Path) -> None:
    """Among clients both together have the duty cycle that one alone has."""
    world = odd_source.world(tmp_path, "shared", _PINNED, (Oddity("odd", 10**6),))
    with world.server, clients(world.admin):
        wait_until(lambda: "odd" in _running(world) and "neighbour" in _running(world))
        together = _busy_ratio(world, "odd", "neighbour")
        world.admin.call("POST", f"{API}/pause", {"database": "other", "for": "1h"})
        wait_until(lambda: "Holding neighbour in other" in world.server.log())
        alone = _busy_ratio(world, "odd")
    print(f"together {together:.3f}, alone {alone:.3f}")
    assert alone == pytest.approx(_PINNED_RATIO, rel=0.3)
    assert together == pytest.approx(alone, rel=0.3)  # not twice


def _running(world: OddWorld) -> str:
    return "".join(batch.update_name for batch in batch_log.batches(world.server.log()))


def _busy_ratio(world: OddWorld, *names: str) -> float:
    """How much of the time the batches of these take together from now on.

    Of whole rounds, from the end of one moment without batches to the end of another: a few
    batches more or less at either side would be a moment more or less.
    """
    begin = len(world.server.log().encode())

    def batches() -> list[batch_log.Batch]:
        found = batch_log.batches(world.server.log(begin))
        theirs = (batch for batch in found if batch.update_name in names)
        return sorted(theirs, key=lambda batch: batch.start_s)

    def rounds() -> list[int]:
        return [
            number
            for number, (one, other) in enumerate(pairwise(batches()), 1)
            if other.start_s - one.end_s > _REST_S
        ]

    wait_until(lambda: len(rounds()) > _ROUNDS)
    first, *_, last = rounds()[: _ROUNDS + 1]
    counted = batches()[first : last + 1]
    took_s = sum(batch.took_s for batch in counted[:-1])
    return took_s / (counted[-1].start_s - counted[0].start_s)


def _current(world: OddWorld) -> Any:
    (status,) = (
        database
        for database in world.admin.call("GET", f"{API}/status")["databases"]
        if database["name"] == "master"
    )
    return status["current"] or {"name": None, "batch_since_ms": None}


def _batch_age_s(world: OddWorld) -> float:
    since_ms = _current(world)["batch_since_ms"]
    return 0.0 if since_ms is None else time.time() - since_ms / 1000
