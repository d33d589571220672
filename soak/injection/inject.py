"""An error of our own at every call in the module, one at a time.

`python -m soak.injection.inject`. First runs in virtual time find the calls that are made. Then
each of them fails: always, once, or once later. Each time all updates must end, at least at stock's
pace, without a failed iteration and with few tracebacks. In some kinds of lives, such as those with
an outage of the database, a call fails even if it failed in another kind. The calls that are never
made are listed by file.
"""

import argparse
import gc
import importlib
import logging
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from soak.injection.allowed_effects import ALWAYS, ONCE, not_forgiven
from soak.records import Records
from testbed.virtual.instrument import SITES, instrument

# The least share of all calls that some life makes. The others mostly belong to the configuration,
# to the start, where errors must be visible, and to checks that no life has. A smaller share means
# that the lives prove less than before.
_LEAST_MADE = 0.68


@attrs.frozen
class Try:
    """A life in which a call fails.

    Attributes:
        kind: number of the kind of life.
        site: number of the call.
        how: `always`, `once`, or `later`: once, after half of the times that it is made.
        skip: how often it succeeds first.
    """

    kind: int
    site: int
    how: str
    skip: int = 0

    @property
    def times(self) -> int:
        """How often the call fails."""
        return ALWAYS if self.how == "always" else ONCE


HOWS = ("always", "once", "later")


def _frozen(*_: object) -> None:
    raise FrozenError("no time passes any more")


class FrozenError(BaseException):
    """The life did not end. No code of ours or Synapse's catches this."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.injection.inject", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/injection"))
    parser.add_argument("--sample", type=int, help="so many runs only, drawn at random")
    parser.add_argument("--how", choices=HOWS, help="all, where it is not said")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", nargs="*", help="calls in these files only, such as checks")
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger().setLevel(logging.DEBUG)
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.CRITICAL + 1)
    signal.signal(signal.SIGALRM, _frozen)
    instrument()
    life: Any = importlib.import_module(
        "testbed.virtual.one_life"
    )  # not before: it loads the module
    gc.collect()
    gc.freeze()  # the collection at each life's end then sees only what that life left
    tries: list[Try] = []
    faultless_s: list[float] = []
    for number, kind in enumerate(life.KINDS):
        lived = life.run(kind, None, 0, None)
        assert (lived.wrong, lived.tracebacks) == ([], 0), lived
        faultless_s.append(lived.done_s)
        tried = set() if kind.tries_all else {a_try.site for a_try in tries}
        for site in sorted(SITES.hits.keys() - tried):
            tries += [Try(number, site, "always"), Try(number, site, "once")]
            if SITES.hits[site] > 1:
                tries.append(Try(number, site, "later", SITES.hits[site] // 2))
    made = {a_try.site for a_try in tries}
    tries.sort(key=lambda a_try: a_try.how)  # lasting errors first
    if options.how is not None:
        tries = [a_try for a_try in tries if a_try.how == options.how]
    if options.files is not None:
        tries = [t for t in tries if SITES.names[t.site].split(":")[0] in options.files]
    if options.sample is not None:
        tries = random.Random(options.seed).sample(tries, min(options.sample, len(tries)))
    bad: set[int] = set()
    by_design: set[int] = set()
    most: Counter[int] = Counter()
    for a_try in tries:
        lived = _lived(life, a_try, faultless_s[a_try.kind])
        most[lived.tracebacks] += 1
        name = SITES.names[a_try.site]
        wrong = not_forgiven(name, a_try.times, lived)
        if lived.held and not wrong:
            by_design.add(a_try.site)
        for problem in wrong:
            bad.add(a_try.site)
            print(f"{name}\n    {a_try.how}, {a_try.kind}: {problem}", flush=True)
    _tell_never_made(made)
    print("tracebacks:", ", ".join(f"{most[n]} runs with {n}" for n in sorted(most)))
    for site in sorted(by_design):
        print(f"held by design: {SITES.names[site]}")
    records = Records(options.output, "An error of our own at each call")
    record = {
        "calls": len(SITES.names),
        "made": len(made),
        "runs": len(tries),
        "bad": len(bad),
        "held by design": len(by_design),
        "most tracebacks": max(most, default=0),
        "runs without a traceback": most[0],
    }
    breaches = [f"bad: {SITES.names[site]}" for site in sorted(bad)]
    if len(made) < _LEAST_MADE * len(SITES.names):
        breaches.append(f"only {len(made)} of {len(SITES.names)} calls are made in any life")
    records.add(record, "calls", breaches)
    return records.status()


def _lived(life: Any, a_try: Try, faultless_s: float) -> Any:
    signal.alarm(60)  # an endless loop without time passing would freeze a server
    try:
        kind = life.KINDS[a_try.kind]
        return life.run(kind, a_try.site, a_try.times, faultless_s, a_try.skip)
    except (Exception, FrozenError) as error:
        return life.Lived([], [], [f"raised {error!r}"], 0.0, 0, is_closed=False)
    finally:
        signal.alarm(0)


def _tell_never_made(made: set[int]) -> None:
    all_of = Counter(name.split(":")[0] for name in SITES.names)
    never = Counter(
        name.split(":")[0] for number, name in enumerate(SITES.names) if number not in made
    )
    told = ", ".join(f"{file} {number}/{all_of[file]}" for file, number in never.most_common())
    print(f"never made, of all in the file: {told}")


if __name__ == "__main__":
    sys.exit(main())
