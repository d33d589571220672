"""A million iterations of the decision code with arbitrary signals: no update starves.

`python -m soak.fuzzing.endurance` takes three minutes, in virtual time. The exit status is 1 if an
iteration waited longer than the least duty cycle, gaps and experiments can explain.
"""

import argparse
import random
import sys
from pathlib import Path

from soak.records import Records
from synapse_bgthrottle.core.config.limits import Adaptive, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.simulation.endurance import MOST_EXPLAINED_S, longest_wait_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path(".soak/endurance"))
    options = parser.parse_args()
    records = Records(options.output, "Iterations with signals that say anything")
    facts = Facts(cores=2, sees_requests=True)
    throttle = Throttle(Config(Settings(pace=Adaptive())), Settings(), facts)
    waited_s = longest_wait_s(throttle, options.iterations, random.Random(1).random)
    breaches = [] if waited_s <= MOST_EXPLAINED_S else [f"one waited {waited_s:.1f} s"]
    row = {"iterations": options.iterations, "the longest wait, s": round(waited_s, 1)}
    records.add(row, "endurance", breaches)
    print(options.output.with_suffix(".md").read_text())
    return records.status()


if __name__ == "__main__":
    sys.exit(main())
