"""The command `bgthrottle`, offline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from synapse_bgthrottle.cli.main import bgthrottle

HOMESERVER = """\
server_name: example.org
background_updates:
  sleep_duration_ms: 300
modules:
  - module: another.Module
  - module: synapse_bgthrottle.BackgroundUpdateThrottle
    config:
      rules:
        - update: event_search
          duty_cycle: {duty_cycle}
        - one_shot: true
          windows: [{{start: "03:00", end: "03:01"}}]
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bgthrottle, [str(argument) for argument in arguments])


@pytest.fixture
def homeserver(tmp_path: Path) -> Path:
    path = tmp_path / "homeserver.yaml"
    path.write_text(HOMESERVER.format(duty_cycle="5%"))
    return path


def test_a_good_config(homeserver: Path) -> None:
    """A valid homeserver.yaml is ok, with exit status 0."""
    result = run("check-config", homeserver)
    assert (0, f"{homeserver}: ok, 2 rules\n") == (result.exit_code, result.output)


def test_a_bad_config(homeserver: Path) -> None:
    """A problem is told with line, column and path, and the exit status is 1."""
    homeserver.write_text(HOMESERVER.format(duty_cycle="500%"))
    result = run("check-config", homeserver)
    assert 1 == result.exit_code
    where = "modules.<item 1>.config.rules.<item 0>.duty_cycle"
    assert result.output.startswith(f"{homeserver}:10:11: {where}: found '500%'; accepted is")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server_name: x\n", "no `modules:`, so that synapse_bgthrottle."),
        ("modules: 5\n", "`modules:` is 5; accepted is a list"),
        ("modules: {module: x}\n", "`modules:` is a mapping; accepted is a list"),
        ("modules: []\n", "does not list synapse_bgthrottle.BackgroundUpdateThrottle\n"),
        ("modules: [{module: another.Module}]\n", "Throttle, but another.Module\n"),
        ("modules: [{module: synapse_bgthrottle}]\n", "lacks the class behind it"),
        (
            "modules: [{module: synapse_bgtrottle.BackgroundUpdateThrottle}]\n",
            "; did you mean synapse_bgthrottle.",
        ),
        ("modules: []\nserver_name: x\nmodules: []\n", "stands in lines 1 and 3; only the last"),
        ("# nothing\n", "is empty"),
        ("rules:\n  - update: *_idx\n", "file.yaml:2:13: cannot be read: found undefined alias"),
        ("rules:\n  - update: *_idx\n", "quote globs, as in update: '*_idx'"),
        ("rules:\n  - update: *\n", "quote globs, as in update: '*_idx'"),
        ("a: [\n", "file.yaml:2:1: cannot be read"),
        ("a: " + "[" * 5000, "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_no_config(tmp_path: Path, text: str, said: str) -> None:
    """A file without the module, or that is no YAML, is told so, with exit status 1."""
    path = tmp_path / "file.yaml"
    path.write_text(text)
    result = run("check-config", path)
    assert 1 == result.exit_code
    assert said in result.output
    assert "Traceback" not in result.output
    assert "unicode string" not in result.output


def test_keys_beside_the_module(homeserver: Path) -> None:
    """Settings that stand beside `module:`, where Synapse reads none, are a problem."""
    homeserver.write_text(
        "server_name: x\nmodules:\n"
        "  - module: synapse_bgthrottle.BackgroundUpdateThrottle\n    profile: fast\n"
    )
    result = run("check-config", homeserver)
    assert 1 == result.exit_code
    assert f"{homeserver}:4:5: profile stands beside `module:`" in result.output


def test_warnings(homeserver: Path) -> None:
    """What is accepted and is hardly meant is told, and is no error."""
    homeserver.write_text(
        "database: {name: sqlite3}\nmodules:\n"
        "  - module: synapse_bgthrottle.BackgroundUpdateThrottle\n"
        "    config:\n"
        "      signals: {replica_lag: 10s, wal_rate: off, disk_free: 1GiB}\n"
        "      rules: [{update: event_search, max_batch_size: 20}]\n"
    )
    first, second, last = run("check-config", homeserver).output.splitlines()
    assert first.startswith("warning: max_batch_size 20 is too small for these updates")
    assert first.endswith("event_search (100)")
    assert second.startswith("warning: signals.replica_lag cannot be observed on SQLite")
    assert f"{homeserver}: ok, 1 rule" == last


def test_several_files(homeserver: Path, tmp_path: Path) -> None:
    """A folder is read as Synapse reads it: the module may be listed in one of its files."""
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "database.yaml").write_text("database: {name: psycopg2}\n")
    (folder / "README").write_text("no YAML: [")
    result = run("check-config", homeserver, folder)
    assert (0, f"{homeserver}, {folder}: ok, 2 rules\n") == (result.exit_code, result.output)
    (folder / "more.yaml").write_text("modules: []\n")
    result = run("check-config", homeserver, folder)
    assert 1 == result.exit_code
    assert f"`modules:` stands in {homeserver} and in {folder}/more.yaml" in result.output


def test_files_that_synapse_ignores(homeserver: Path, tmp_path: Path) -> None:
    """Beside others, a file that is no mapping is a warning; a folder in a folder is nothing."""
    folder = tmp_path / "conf.d"
    (folder / "a.yaml").mkdir(parents=True)
    (folder / "b.yaml").write_text("# nothing\n")
    (folder / "c.yaml").write_text("- module: another.Module\n")
    said = "is empty or not a mapping, so Synapse ignores it"
    warnings = [f"warning: {folder}/{name}.yaml: {said}" for name in "bc"]
    result = run("check-config", homeserver, folder)
    last = f"{homeserver}, {folder}: ok, 2 rules"
    assert (0, [*warnings, last]) == (result.exit_code, result.output.splitlines())
    result = run("check-config", folder)
    assert 1 == result.exit_code
    assert f"; Synapse ignores {folder}/c.yaml, which is not a mapping" in result.output


@pytest.mark.parametrize("before", [True, False])
def test_check_for_programs(homeserver: Path, before: bool) -> None:
    """JSON is printed wherever -o stands."""
    words = ["-o", "json", "check-config"] if before else ["check-config", "-o", "json"]
    result = run(*words, homeserver)
    expected = {"ok": True, "rules": 2, "problems": [], "warnings": []}
    assert (0, expected) == (result.exit_code, json.loads(result.output))
    homeserver.write_text(HOMESERVER.format(duty_cycle="500%"))
    result = run(*words, homeserver)
    assert 1 == result.exit_code
    assert f"{homeserver}:10:11: " in json.loads(result.output)["problems"][0]


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is wrong usage: exit status 2."""
    assert 2 == run("check-config", tmp_path / "none").exit_code


def test_the_config_alone(tmp_path: Path) -> None:
    """A file with the module's configuration alone is taken too; without settings it is `{}`."""
    path = tmp_path / "config.yaml"
    path.write_text("duty_cycle: 5%\n")
    assert f"{path}: ok, 0 rules\n" == run("check-config", path).output
    path.write_text("{}\n")
    assert 0 == run("check-config", path).exit_code


def test_explain_by_rule(homeserver: Path) -> None:
    """The rule, the limits and the least batch of an update are told."""
    output = run("explain", "event_search", "--config", homeserver).output
    assert "duty cycle 5%, target duration 100ms; rule 0 (event_search)" in output
    assert "batch size: first 100, at least 100, no upper limit" in output
    assert "never have fewer than 100 items" in output
    assert "comes from background_updates:" in output


def test_explain_a_one_shot(homeserver: Path) -> None:
    """For a one-shot the window is told, open or with its next opening."""
    output = run("explain", "an_index", "--one-shot", "--config", homeserver).output
    assert "one-shot" in output
    assert "rule 1 (one-shots)" in output
    assert "windows: " in output
    assert "would be held now: " in output
    assert "offline: pauses, budgets and pressures are not looked at" in output


def test_explain_the_adaptive_pace(tmp_path: Path) -> None:
    """The numbers that the profile sets are told."""
    path = tmp_path / "config.yaml"
    path.write_text("max_duty_cycle: 80%\nrules: [{update: quick, profile: finish}]\n")
    output = run("explain", "event_search", "--config", path).output
    assert "duty cycle adaptive, balanced, target duration 100ms" in output
    assert "clients' requests may become 3% slower, or as much as with stock Synapse" in output
    assert "no client for 500ms: updates may use 80% of the time" in output
    finish = run("explain", "quick", "--config", path).output
    assert "profile finish: no rest, even if clients become slower" in finish


def test_never_imports_synapse() -> None:
    """No command imports Synapse or Twisted, nor does the client."""
    script = (
        "import sys, synapse_bgthrottle.client.clients;"
        "from synapse_bgthrottle.cli.main import SUMMARIES, command_of;"
        "[command_of(name) for name in SUMMARIES];"
        "sys.exit(bool({'synapse', 'twisted'} & set(sys.modules)))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", script], check=False).returncode


def test_help_imports_nothing_slow() -> None:
    """The group's help needs no command, no HTTP and no YAML."""
    script = (
        "import sys; from click.testing import CliRunner;"
        "from synapse_bgthrottle.cli.main import bgthrottle;"
        "assert 'check-config' in CliRunner().invoke(bgthrottle, ['--help']).output;"
        "slow = {'httpx', 'yaml', 'synapse_bgthrottle.cli.commands.status'};"
        "sys.exit(bool(slow & set(sys.modules)))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", script], check=False).returncode


def test_problems_of_signals(homeserver: Path) -> None:
    """Each problem under `signals` is told with its line and column, in the order of lines."""
    lines = [
        "      signals:",
        "        pool_wait: 5",
        "        event_lag: 50ms",
        "        wal_rate: 50MiB",
        "        disk_free: {path: data, threshold: 10GiB}",
        "        sql:",
        "          threshold: 0",
        "          query: ''",
        "          name: x",
    ]
    homeserver.write_text(HOMESERVER.format(duty_cycle="5%") + "\n".join(lines))
    result = run("check-config", homeserver)
    assert 1 == result.exit_code
    at = f"{homeserver}:"
    signals = "modules.<item 1>.config.signals"
    assert [
        f"{at}15:9: {signals}.event_lag: unknown key",
        f"{at}16:9: {signals}.wal_rate: found '50MiB'",
        f"{at}17:21: {signals}.disk_free.path: found 'data'",
        f"{at}19:11: {signals}.sql.threshold: found 0",
        f"{at}20:11: {signals}.sql.query: found ''",
        f"{at}21:11: {signals}.sql.name: unknown key",
    ] == [line.split("; ")[0] for line in result.output.splitlines()]
