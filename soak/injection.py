"""An error of our own at every call in the module, one at a time: `python -m soak.injection`.

A first run in virtual time tells which calls are made; then each of them fails, always or once.
Every time all updates must come to their end, without one failed iteration.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import random
import signal
import sys
from typing import Any

from soak.instrument import SITES, instrument

# A budget that is set and cannot be read holds updates: that is its promise (and all of `checks`).
# And what puts an answer into a list is taken for granted.
_BY_DESIGN = ("self._api.defer_to_thread(", "self._answers.append(")


def _frozen(*_: object) -> None:
    raise FrozenError("no time passes any more")


class FrozenError(BaseException):
    """Nothing of ours or of Synapse catches it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.injection", description=__doc__)
    parser.add_argument("--sample", type=int, help="so many calls only, drawn at random")
    parser.add_argument("--how", choices=("always", "once"), help="both, where it is not said")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger().setLevel(logging.DEBUG)
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.CRITICAL + 1)
    signal.signal(signal.SIGALRM, _frozen)
    instrument()
    life: Any = importlib.import_module("soak.one_life")  # only now: it loads the module
    tries: list[tuple[int, int, int]] = []
    for number, config in enumerate(life.CONFIGS):
        SITES.hits.clear()
        wrong = life.run(config, None, 0)
        assert not wrong, wrong
        new = SITES.hits.keys() - {site for _, site, _ in tries}
        for site in sorted(new):
            tries += [(number, site, 10**9), (number, site, 1)]
    calls = len({site for _, site, _ in tries})
    tries.sort(key=lambda a_try: a_try[2], reverse=True)  # what always fails first
    if options.how is not None:
        tries = [a_try for a_try in tries if (a_try[2] == 1) == (options.how == "once")]
    if options.sample is not None:
        tries = random.Random(options.seed).sample(tries, min(options.sample, len(tries)))
    bad: set[int] = set()
    by_design: set[int] = set()
    for config_number, site, times in tries:
        signal.alarm(60)  # a loop in which no time passes would freeze a server
        try:
            problems = life.run(life.CONFIGS[config_number], site, times)
        except (Exception, FrozenError) as error:
            problems = [f"raised {error!r}"]
        name = SITES.names[site]
        if problems and (name.startswith("checks:") or any(text in name for text in _BY_DESIGN)):
            by_design.add(site)
            continue
        for problem in problems:
            how = "once" if times == 1 else "always"
            bad.add(site)
            print(f"{SITES.names[site]}\n    {how}, {config_number}: {problem}", flush=True)
    print(
        f"{len(SITES.names)} calls, {calls} of them made; {len(tries)} runs; {len(bad)} bad,"
        f" {len(by_design)} held by design"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
