"""Very many iterations of the decision code alone, with arbitrary signals."""

from synapse_bgthrottle.core.adaptive.experiment import LONGEST_REST_S
from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import ProcessSample
from testbed.simulation.model import Uniform

_KEY = ("master", "an_update")
_SLICE_S = 0.5
_LOOK_EVERY_S = 0.25
_LONGEST_BATCH_S = 0.1
_BUSY_SHARE = 0.3

# Longest legitimate wait: the longest pause after a moment of work, and the rest at the least duty
# cycle of 1 % for a batch of 0.1 s that outlasted it; then a gap, a panic, and a margin.
MOST_EXPLAINED_S = LONGEST_REST_S + 0.1 * 99 + 2.0 + 2.0 + 1.0


def longest_wait_s(throttle: Throttle, iterations: int, draw: Uniform) -> float:
    """The longest wait of so many batches of at most 0.1 s."""
    now_s = look_s = pool_wait_s = responses_s = longest_s = 0.0
    received = 0
    for number in range(iterations):
        throttle.begin(*_KEY, False, now_s)
        asked_s = now_s
        while True:
            if now_s >= look_s:
                look_s = now_s + _LOOK_EVERY_S
                # From calm to very bad, in periods longer than the smoothing.
                mood = draw() ** 3 if number // 1000 % 2 else draw() ** 0.2 * 10
                received += int(mood * 10)
                pool_wait_s += mood * 0.1
                responses_s += mood * mood
                throttle.observe(
                    None,
                    ProcessSample(
                        at_s=now_s,
                        timer_late_s=mood * 0.05,
                        pool_wait_s=pool_wait_s,
                        pool_waits=float(received),
                        responses={"a_kind": (responses_s, float(received))},
                    ),
                )
            active = int(draw() < _BUSY_SHARE)
            at = Conditions(now_s, 0.0, active_requests=active, requests_answered=received)
            decision = throttle.decide(*_KEY, at)
            if decision.wait_s <= 0:
                break
            now_s += max(min(decision.wait_s, _SLICE_S), 0.0001)
        longest_s = max(longest_s, now_s - asked_s)
        throttle.start(*_KEY, now_s)
        now_s += draw() * _LONGEST_BATCH_S
        throttle.finish(*_KEY, now_s, 10, failed=False)
    return longest_s
