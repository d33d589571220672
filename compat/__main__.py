"""`python -m compat [VERSION...]`: the tests on each Synapse, one after the other; see --help."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from compat import environments, results
from compat.environments import FOLDER, ROOT
from compat.results import Report, Result
from compat.table import page
from compat.targets import NEWEST, TARGETS, Target, chosen

_RESULTS = FOLDER / "results"
_PAGE = ROOT / "docs" / "compatibility.md"
_LIMIT_S = 1800

# Loads, paces an update to its end, pauses, resumes, tells status and history: under a minute.
_SMOKE = (
    "tests/real/test_rules.py::test_rules_by_name_glob_and_kind",
    "tests/real/test_api.py::test_a_pause_outlives_restarts_and_ends[sqlite]",
    "tests/real/test_api.py::test_history_outlives_restarts[sqlite]",
)
_VIRTUAL = tuple(
    f"tests/virtual/test_{name}.py"
    for name in ("updater", "updater_failures", "checks", "sampler", "private_side")
)
# Among them outages, and workers.
_REAL = tuple(f"tests/real/test_{name}.py" for name in ("api", "postgres", "rules"))
_MORE_REAL = tuple(
    f"tests/real/test_{name}.py"
    for name in (
        *("adaptive", "api", "demo", "faults", "postgres", "rules"),
        *("safety", "signals", "upgrade", "web", "web_delegated"),
    )
)
# Old versions start the updates of the main database only, and workers are set up otherwise.
_NEWEST_REAL = ("tests/real/test_deployments.py", "tests/real/test_odd_updates.py")
# Minutes, on the oldest and the newest only.
_LONG = (
    *("--deselect", "tests/virtual/test_updater_failures.py::test_an_outage_of_any_length"),
    *("--deselect", "tests/real/test_api.py::test_pauses_survive_kills"),
)


def tests_of(target: Target) -> tuple[str, ...]:
    """What is run there. The core needs no Synapse: it is tried with the oldest and the newest."""
    if target.is_at_an_end:
        newest = _NEWEST_REAL if target.synapse == NEWEST else ()
        return ("tests/unit", "tests/virtual", *_MORE_REAL, *newest)
    core = ("tests/unit",) if target.is_other_python else ()
    return (*core, *_VIRTUAL, *_REAL, *_LONG)


def run(target: Target, tests: tuple[str, ...]) -> Result:
    """Make the environment and run the tests, those that failed twice."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    try:
        _say(f"{target.name}: making its environment")
        python = environments.make(target)
    except environments.NoInterpreterError as error:
        _say(f"{target.name}: SKIPPED, {error}")
        return Result(target.name, python=target.python, date=date, problem=str(error))
    except environments.InstallError as error:
        _say(f"{target.name}: FAILED to install\n{error}")
        return Result(
            target.name, python=target.python, date=date, problem="it could not be installed"
        )
    version = environments.synapse_version(python)
    _say(f"{target.name}: Synapse {version}, {', '.join(tests)}")
    begin = time.monotonic()
    first = _pytest(target, python, tests)
    again = None
    if first.failed():
        _say(f"{target.name}: {len(first.failed())} failed, trying these again")
        again = _pytest(target, python, (*tests, "--last-failed"))
    seconds = round(time.monotonic() - begin)
    failed = [] if again is None else again.failed()
    passed_again = sorted(set(first.failed()) - set(failed))
    outcomes = {**first.outcomes, **dict.fromkeys(passed_again, "passed")}
    result = Result(
        name=target.name,
        synapse=version,
        python=target.python,
        counts=Report(outcomes, first.reasons).counts(),
        again=passed_again,
        failed=failed,
        reasons=dict(first.reasons),
        seconds=seconds,
        date=date,
    )
    skipped = "".join(f"\n  skipped {n}: {reason}" for reason, n in first.reasons.items())
    told = "".join(f"\n  FAILED {test}" for test in failed)
    _say(f"{target.name}: {result.counts} in {seconds} s{skipped}{told}")
    return result


def _pytest(target: Target, python: Path, arguments: tuple[str, ...]) -> Report:
    log = FOLDER / "logs" / f"{target.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    xml = log.with_suffix(".xml")
    xml.unlink(missing_ok=True)
    # Where PostgreSQL's unprivileged user can get to, whatever other runs do to the usual place.
    scratch = FOLDER / "tmp" / target.name
    options = [f"--junitxml={xml}", f"--basetemp={scratch}", "--quiet"]
    options += ["-o", f"cache_dir={FOLDER / target.name / 'pytest-cache'}"]
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            subprocess.run(
                [str(python), "-m", "pytest", *options, *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            _say(f"{target.name}: stopped after {_LIMIT_S} s")
    shutil.rmtree(scratch, ignore_errors=True)
    if not xml.exists():
        return Report({f"tests.real.none::no report, see {log}": "failed"}, Counter())
    return results.report(xml)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat", description=__doc__)
    parser.add_argument("versions", nargs="*", help="such as 1.60, newest or newest-py3.12")
    parser.add_argument("--fresh", action="store_true", help="also those that have run before")
    parser.add_argument("--smoke", action="store_true", help="a few tests, and no table")
    arguments = parser.parse_args()
    try:
        targets = chosen(" ".join(arguments.versions))
    except ValueError as error:
        parser.error(str(error))
    is_well = True
    for target in targets:
        if arguments.smoke:
            result = run(target, _SMOKE)
        else:
            kept = results.read(_RESULTS, target.name)
            # What is asked for by name is run anew.
            if kept is not None and not arguments.versions and not arguments.fresh:
                _say(f"{target.name}: has run on {kept.date}; again with FRESH=1")
                result = kept
            else:
                result = run(target, tests_of(target))
                result.write(_RESULTS)
                _write_page()
        is_well = is_well and not result.failed and "installed" not in result.problem
    return 0 if is_well else 1


def _write_page() -> None:
    found = (results.read(_RESULTS, target.name) for target in TARGETS)
    _PAGE.write_text(page([result for result in found if result is not None]))


if __name__ == "__main__":
    sys.exit(main())
