"""Runs the tests on each Synapse, one after the other.

`python -m compatibility [VERSION...]`; `--help` shows the options.
"""

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import attrs

from compatibility import environments, results
from compatibility.environments import FOLDER, ROOT
from compatibility.results import Report, Result
from compatibility.revision import revision
from compatibility.table import page
from compatibility.targets import TARGETS, Target, chosen

_RESULTS = FOLDER / "results"
_PAGE = ROOT / "docs" / "compatibility.md"
_LIMIT_S = 1800
_ALL_WERE_RUN = (0, 1)  # pytest's exit statuses with a complete report

# Two minutes: the module loads, and paces an update to its end; pause, resume, status and history
# work; private attributes are missing; PostgreSQL fails for a while.
SMOKE = (
    "tests/end_to_end/server/test_rules.py::test_rules_by_name_glob_and_kind",
    "tests/end_to_end/api/test_api.py::test_a_pause_outlives_restarts_and_ends[sqlite]",
    "tests/end_to_end/api/test_api.py::test_history_outlives_restarts[sqlite]",
    "tests/integration/faults/test_compatibility.py",
    "tests/end_to_end/databases/test_postgres.py::test_an_outage[stop]",
)
_VIRTUAL = tuple(
    f"tests/integration/{name}.py"
    for name in (
        *("updater/test_updater", "updater/test_updater_failures", "faults/test_compatibility"),
        *("sampling/test_operator_checks", "sampling/test_sampler"),
    )
)
# With outages and workers. Only later versions have the setting `statement_timeout`.
_REAL = (
    *(
        f"tests/end_to_end/{name}.py"
        for name in (
            *("server/test_adaptive", "server/test_rules", "api/test_api"),
            *("faults/test_faults", "faults/test_safety", "databases/test_index_builds"),
            *("databases/test_postgres", "databases/test_signals"),
        )
    ),
    "tests/end_to_end/server/test_deployments.py::test_replica_lag_is_a_budget",
    "tests/end_to_end/server/test_deployments.py::test_an_unprivileged_role",
)
_MORE_REAL = (
    *_REAL,
    *(
        f"tests/end_to_end/{name}.py"
        for name in (
            *("command/test_demo", "databases/test_sampler_queries", "server/test_upgrade"),
            *("api/test_web", "api/test_web_delegated"),
        )
    ),
)
_REAL_OF_TODAY = tuple(
    f"tests/end_to_end/{name}.py"
    for name in (
        "faults/test_connections",
        "server/test_deployments",
        "faults/test_misbehaving_updates",
    )
)
# They take minutes, so only the oldest and the newest version run them.
_LONG = (
    *(
        "--deselect",
        "tests/integration/updater/test_updater_failures.py::test_an_outage_of_any_length",
    ),
    *("--deselect", "tests/end_to_end/api/test_api.py::test_pauses_survive_kills"),
)


def tests_of(target: Target) -> tuple[str, ...]:
    """The tests of a target. The core needs no Synapse; the oldest and the newest test it."""
    of_today = _REAL_OF_TODAY if target.is_of_today else ()
    real = _MORE_REAL if target.is_at_an_end else _REAL
    # A test is not named again if its whole file runs.
    real = (*(test for test in real if test.partition("::")[0] not in of_today), *of_today)
    if target.is_at_an_end:
        return ("tests/unit", "tests/integration", *real)
    core = ("tests/unit",) if target.is_other_python else ()
    return (*core, *_VIRTUAL, *real, *_LONG)


def run(target: Target, tests: tuple[str, ...]) -> Result:
    """Make the environment and run the tests. Failed ones run again; all without a report."""
    now = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    result = Result(target.name, python=target.python, revision=revision(ROOT, _PAGE), date=now)
    try:
        _say(f"{target.name}: making its environment")
        python = environments.make(target)
    except environments.NoInterpreterError as error:
        _say(f"{target.name}: SKIPPED, {error}")
        return attrs.evolve(result, problem=str(error))
    except environments.InstallError as error:
        _say(f"{target.name}: FAILED to install\n{error}")
        return attrs.evolve(result, problem="it could not be installed")
    version = environments.synapse_version(python)
    _say(f"{target.name}: Synapse {version}, {', '.join(tests)}")
    begin = time.monotonic()
    first = _pytest(target, python, tests)
    again = None
    if first is None:
        _say(f"{target.name}: no report, trying all again")
        again = _pytest(target, python, tests)
    elif first.failed():
        _say(f"{target.name}: {len(first.failed())} failed, trying these again")
        again = _pytest(target, python, (*tests, "--last-failed"))
    seconds = round(time.monotonic() - begin)
    found = results.verdict(first, again)
    result = attrs.evolve(
        result,
        synapse=version,
        counts=found.report.counts(),
        is_second=found.is_second,
        again=found.again,
        failed=found.failed,
        reasons=dict(found.report.reasons),
        seconds=seconds,
    )
    skipped = "".join(f"\n  skipped {n}: {reason}" for reason, n in result.reasons.items())
    told = "".join(f"\n  FAILED {test}" for test in result.failed)
    _say(f"{target.name}: {result.counts} in {seconds} s{skipped}{told}")
    return result


def _pytest(target: Target, python: Path, arguments: tuple[str, ...]) -> Report | None:
    """pytest's report; None: it was stopped, or ended too soon."""
    log = FOLDER / "logs" / f"{target.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    xml = log.with_suffix(".xml")
    xml.unlink(missing_ok=True)
    # PostgreSQL's unprivileged user needs access, whatever other runs do to the usual folder.
    scratch = FOLDER / "tmp" / target.name
    options = [f"--junitxml={xml}", f"--basetemp={scratch}", "--quiet"]
    options += ["-o", f"cache_dir={FOLDER / target.name / 'pytest-cache'}"]
    scratch.parent.mkdir(parents=True, exist_ok=True)
    status: int | None = None
    with log.open("ab") as output:
        try:
            status = subprocess.run(
                [str(python), "-m", "pytest", *options, *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=_LIMIT_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            _say(f"{target.name}: stopped after {_LIMIT_S} s")
    shutil.rmtree(scratch, ignore_errors=True)
    if status not in _ALL_WERE_RUN:
        _say(f"{target.name}: pytest ended with {status}, see {log}")
        return None
    return results.report(xml)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compatibility", description=__doc__)
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
            result = run(target, SMOKE)
        else:
            kept = results.read(_RESULTS, target.name)
            # A target that was named runs again.
            if kept is not None and not arguments.versions and not arguments.fresh:
                _say(f"{target.name}: has run on {kept.date}; again with FRESH=1")
                result = kept
            else:
                result = run(target, tests_of(target))
                result.write(_RESULTS)
                _write_page()
        # A missing interpreter is in the table; here only the exit status says so.
        was_run = not (result.problem if arguments.smoke else "installed" in result.problem)
        is_well = is_well and not result.failed and was_run
    return 0 if is_well else 1


def _write_page() -> None:
    found = (results.read(_RESULTS, target.name) for target in TARGETS)
    _PAGE.write_text(page([result for result in found if result is not None]))


if __name__ == "__main__":
    sys.exit(main())
