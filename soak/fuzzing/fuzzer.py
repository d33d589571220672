"""A coverage-guided fuzzer for the configuration and the requests for levers.

It needs the package `atheris`. The fuzzer generates bytes; those that are JSON are tried.
"""

import importlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs

PARSED = ("config", "request")

# CPU time of one call; the coverage itself makes calls slower.
_LONGEST_TRACED_S = 1.0
# 5,800 and 20,000 were seen.
_LEAST_CALLS_PER_S = 100
_COUNTED_EVERY = 1000


@attrs.frozen
class Fuzzed:
    """The functions that get the fuzzer's values.

    Attributes:
        functions: each is called, even if another one failed.
        refusal: the exception that they may raise.
        tally: number of calls, and of calls that returned a value.
    """

    functions: Sequence[Callable[[Any], object]]
    refusal: type[Exception]
    tally: Counter[str] = attrs.field(factory=Counter)

    def call(self, raw: Any) -> None:
        """Call each function.

        Raises:
            AssertionError: a call took too long.
            Exception: anything raised that is not the refusal.
        """
        for function in self.functions:
            begin = time.process_time()
            self.tally["calls"] += 1
            with suppress(self.refusal):
                function(raw)
                self.tally["valid"] += 1
            assert time.process_time() - begin < _LONGEST_TRACED_S


def fuzzed(what: str, config: Any, requests: Any) -> Fuzzed:
    """The functions for the configuration or the requests, from these modules."""
    if what == "config":
        return Fuzzed([config.parse], config.InvalidConfigError)
    parsers = [partial(requests.parse_lever_request, action) for action in requests.Action]
    return Fuzzed(parsers, config.InvalidConfigError)


def run(what: str, corpus: Path, seconds: int) -> tuple[dict[str, Any], list[str]]:
    """Run the fuzzer in its own process. Returns its record, and the broken promises."""
    command = [sys.executable, "-m", "soak.fuzzing.configs", "--fuzz-one", what]
    command += ["--fuzz", str(seconds), "--output", str(corpus)]
    _counts(corpus / what).unlink(missing_ok=True)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    last = [line for line in ended.stderr.splitlines() if line.startswith(("Done", "#"))][-1:]
    counts = _counts(corpus / what)
    tally = json.loads(counts.read_text()) if counts.is_file() else {}
    row = {"status": ended.returncode, **tally, "last": last[0] if last else ended.stderr[-300:]}
    return row, breaches(row, seconds)


def breaches(row: Mapping[str, Any], seconds: int) -> list[str]:
    """Broken promises of a record. Bytes that are not JSON prove nothing."""
    found = [f"status {row['status']}"] if row["status"] else []
    if row.get("calls", 0) < _LEAST_CALLS_PER_S * seconds:
        found.append(f"only {row.get('calls', 0)} calls with what is JSON")
    if not row.get("valid"):
        found.append("none was valid")
    return found


def by_fuzzer(what: str, corpus: Path, seconds: int) -> None:
    """Fuzz. Never returns: the fuzzer ends the process."""
    corpus.mkdir(parents=True, exist_ok=True)
    _seed(corpus)
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["synapse_bgthrottle"]):
        for name in [name for name in sys.modules if name.startswith("synapse_bgthrottle")]:
            del sys.modules[name]  # loaded again, with the fuzzer's coverage
        config: Any = importlib.import_module("synapse_bgthrottle.core.config.parser")
        requests: Any = importlib.import_module("synapse_bgthrottle.core.levers.request")
    all_of = fuzzed(what, config, requests)

    def one(data: bytes) -> None:
        try:
            raw = json.loads(data)
        except (ValueError, RecursionError):
            return
        all_of.call(raw)
        if not all_of.tally["calls"] % _COUNTED_EVERY:  # at its end the process runs no code
            _counts(corpus).write_text(json.dumps(all_of.tally))

    limits = [f"-max_total_time={seconds}", "-max_len=2000", "-timeout=10"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], one)
    atheris.Fuzz()


def _seed(folder: Path) -> None:
    seeds: list[Any] = [
        {"duty_cycle": "25%", "rules": [{"update": "event_*", "windows": [{"days": "mon-fri"}]}]},
        {"signals": {"disk_free": {"path": "/", "threshold": "1GiB"}, "http": "http://x"}},
        {"update": "a*", "for": "1h", "reason": "x", "settings": {"sleep": "1s"}},
        {"max_items_per_second": 5, "time_zone": "Europe/Berlin", "approval": "required"},
    ]
    for number, seed in enumerate(seeds):
        (folder / f"seed{number}").write_text(json.dumps(seed))


def _counts(corpus: Path) -> Path:
    return corpus.with_suffix(".json")
