"""10^5 configurations and requests, each valid or refused with its problems; 10^5 lives.

`python -m soak.fuzzing.configs` uses hypothesis. `--fuzz SECONDS` uses a coverage-guided fuzzer
(the package `atheris`) on the configuration and the requests for levers. The exit status is 1 if a
call had another outcome than a value or its problems, or took a quarter of a second of CPU time, in
which the server answers nobody.
"""

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synapse.module_api.errors import ConfigError

from soak.fuzzing import fuzzer
from soak.records import Records
from synapse_bgthrottle import BackgroundUpdateThrottle
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.levers.request import Action, parse_lever_request
from testbed.strategies.junk import ANYTHING, JUNK_LEVEL
from testbed.strategies.lives import ANY_LIFE, live
from testbed.strategies.requests import JSON, KEYS, SETTINGS
from testbed.strategies.strategies import raw_configs, raw_lever_requests

# CPU time of one call.
_LONGEST_S = 0.25
KINDS = (
    "any configuration",
    "valid configurations",
    "any request",
    "valid requests",
    "decisions",
)


P = ParamSpec("P")
T = TypeVar("T")


class Tally:
    """Numbers of valid and refused examples, and the slowest of all calls."""

    def __init__(self) -> None:
        self.valid = 0
        self.refused = 0
        self.calls = 0
        self.slowest_s = 0.0
        self.slowest = ""

    def config(self, raw: Any) -> None:
        """Parse as Synapse does; the module refuses with Synapse's own error."""
        try:
            self.call(BackgroundUpdateThrottle.parse_config, raw)
            self.valid += 1
        except ConfigError as error:
            self._refuse(error.msg)

    def request(self, action: Action, raw: Any) -> None:
        try:
            self.call(parse_lever_request, action, raw)
            self.valid += 1
        except InvalidConfigError as error:
            self._refuse(error.problems)

    def _refuse(self, reason: object) -> None:
        assert reason, "refused without a reason"
        self.refused += 1

    def life(self, config: Any, sees_requests: bool, is_sqlite: bool, data: Any) -> None:
        live(config, sees_requests, is_sqlite, data, self.call)
        self.valid += 1

    def call(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Call the function, and remember the slowest call."""
        # The garbage of 100,000 examples would take up to two seconds in one of the calls.
        gc.disable()
        begin = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            took_s = time.process_time() - begin
            gc.enable()
            self.calls += 1
            if took_s > self.slowest_s:
                self.slowest_s = took_s
                self.slowest = f"{function.__qualname__} of {arguments!r}"[:200]


def by_hypothesis(what: str, count: int) -> Tally:
    """Try so many examples of one of `KINDS`."""
    tally = Tally()
    many = settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    if what == "any configuration":
        rules = st.fixed_dictionaries({}, optional={"rules": st.lists(JUNK_LEVEL, max_size=3)})
        levels = st.builds(lambda level, more: {**level, **more}, JUNK_LEVEL, rules)
        many(given(ANYTHING | levels)(tally.config))()
    elif what == "valid configurations":
        many(given(raw_configs())(tally.config))()
        assert not tally.refused
    elif what == "any request":
        bodies = JSON | st.dictionaries(KEYS, JSON | SETTINGS)
        many(given(st.sampled_from(Action), bodies)(tally.request))()
    elif what == "valid requests":
        many(given(raw_lever_requests())(lambda drawn: tally.request(*drawn)))()
        assert not tally.refused
    else:
        many(given(*ANY_LIFE)(tally.life))()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.fuzzing.configs", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/configs"))
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--fuzz", type=int, default=0, help="seconds, for each of both")
    parser.add_argument("--fuzz-one", choices=fuzzer.PARSED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fuzz_one:
        fuzzer.by_fuzzer(options.fuzz_one, options.output / options.fuzz_one, options.fuzz)
    records = Records(options.output, "Configurations and requests")
    for name in options.only if options.count else ():
        _hypothesis(name, options.count, records)
    if options.fuzz:
        for what in fuzzer.PARSED:
            row, breaches = fuzzer.run(what, Path(f"{options.output}_corpus"), options.fuzz)
            records.add({"by": "fuzzer", "what": what, **row}, f"fuzzer, {what}", breaches)
    return records.status()


def _hypothesis(name: str, count: int, records: Records) -> None:
    row: dict[str, Any] = {"by": "hypothesis", "what": name}
    try:
        tally = by_hypothesis(name, count)
    except Exception as error:  # it has the drawn values; the other kinds must be tried too
        traceback.print_exc()
        records.add(row, name, [f"{type(error).__name__} came of one"])
        return
    row |= {"valid": tally.valid, "refused": tally.refused}
    row |= {"calls": tally.calls, "slowest call ms": round(tally.slowest_s * 1000, 1)}
    records.add(row, name, breaches_of(tally, count))


def breaches_of(tally: Tally, count: int) -> list[str]:
    """Broken promises, although each call had a valid outcome."""
    found = []
    if tally.slowest_s > _LONGEST_S:
        found.append(f"{tally.slowest} took {tally.slowest_s * 1000:.0f} ms")
    if tally.valid + tally.refused < count:
        found.append(f"only {tally.valid + tally.refused} were tried")
    return found


if __name__ == "__main__":
    sys.exit(main())
