"""The command `bgthrottle forecast` of numbers alone, without a server."""

import json
import re
from pathlib import Path

import click
import pytest

from synapse_bgthrottle.cli.commands.forecast import forecast_command
from tests.unit.cli.fakes import NOW_MS, FakeServer, run
from tests.unit.cli.forecasts import IDLE


def test_numbers(tmp_path: Path) -> None:
    """Of numbers alone a finish date, a comparison and a plot are made, and a picture."""
    picture = tmp_path / "a.svg"
    options = ("--items", "1e6", "--rate", "5/ms", "--svg", picture, *IDLE)
    result = run(FakeServer(), "forecast", *options, env={"BGTHROTTLE_URL": ""})
    assert (0, "") == (result.exit_code, result.stderr)
    lines = result.output.splitlines()
    assert lines[0].startswith("(unnamed): 1000000 items left; done 2026-01-06 22:03 UTC")
    names = [line.split()[0] for line in lines[3:9]]
    assert ["present", "gentle", "balanced", "fast", "finish", "stock"] == names
    assert max(map(len, lines[3:])) < 120
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize("span", ["10m", "600"])
def test_a_one_shot_of_numbers(span: str) -> None:
    """How long a one-shot takes is said as any span, or as a bare number of seconds."""
    options = ("--one-shot", span, "-o", "json", *IDLE)
    told = json.loads(run(FakeServer(), "forecast", *options, env={"BGTHROTTLE_URL": ""}).output)
    assert NOW_MS + 600_000 == told["updates"][0]["ends_ms"]


def test_completion_of_loads() -> None:
    """The shell completes the names of loads, and files."""
    (option,) = (each for each in forecast_command.params if each.name == "load")
    found = option.shell_complete(click.Context(forecast_command), "f")
    assert [("flat", "plain"), ("f", "file")] == [(each.value, each.type) for each in found]


def test_the_load_of_the_documentation(tmp_path: Path) -> None:
    """The week that the documentation shows is accepted."""
    page = Path(__file__).parents[3] / "docs" / "forecast.md"
    (block,) = re.findall(r"```text\n(share_of_time.*?)```", page.read_text(), re.S)
    file = tmp_path / "week.yaml"
    file.write_text(block)
    options = ("--items", "1e3", "--rate", "5/ms", "--load", file, "-o", "json")
    assert 0 == run(FakeServer(), "forecast", *options).exit_code


def test_numbers_and_a_configuration(tmp_path: Path) -> None:
    """The rule that matches, and what Synapse's own section says, are in it."""
    file = tmp_path / "homeserver.yaml"
    file.write_text(
        "server_name: x\nbackground_updates: {sleep_duration_ms: 400}\nmodules:\n"
        "  - module: synapse_bgthrottle.BackgroundUpdateThrottle\n"
        "    config: {rules: [{update: quick, sleep: 0}]}\n"
    )
    shares = {}
    for name in ("quick", "slow"):
        options = ("--config", file, "--items", "1e6", "--rate", "5/ms", "--update", name, *IDLE)
        found = json.loads(run(FakeServer(), "forecast", *options, "-o", "json").output)
        shares[name] = found["updates"][0]["share_in_batches"]
    assert {"quick": pytest.approx(1.0, rel=0.03), "slow": pytest.approx(0.2, rel=0.05)} == shares


@pytest.mark.parametrize(
    "options",
    [
        ("--items", "1e9"),
        ("--items", "many"),
        ("--items", "1e9", "--rate", "fast"),
        ("--items", "1e9", "--rate", "1/s", "--load", "/nonexistent"),
        ("--items", "1e9", "--rate", "1/s", "--load", "learned"),
        ("--items", "1e9", "--rate", "1/s", "--server", "mainframe"),
        ("--one-shot", "-1"),
        ("--one-shot", "soon"),
    ],
    ids=" ".join,
)
def test_wrong_usage(options: tuple[str, ...]) -> None:
    """What cannot be understood ends with 2, and what is accepted is told."""
    result = run(FakeServer(), "forecast", *options, env={"BGTHROTTLE_URL": ""})
    assert 2 == result.exit_code
    assert "Traceback" not in result.output


def test_a_load_that_is_none(tmp_path: Path) -> None:
    """A file of another shape is told with what is accepted."""
    file = tmp_path / "load.yaml"
    file.write_text("[1, 2]")
    result = run(FakeServer(), "forecast", "--items", "1", "--rate", "1/s", "--load", file)
    assert 2 == result.exit_code
    assert "168 numbers" in result.output
    assert "found 2 of them" in result.output


def test_one_zone(tmp_path: Path) -> None:
    """The chart has the zone of the text, and names it."""
    file = tmp_path / "config.yaml"
    file.write_text("time_zone: Asia/Tokyo\n")
    options = ("--config", file, "--items", "1e6", "--rate", "5/ms", *IDLE)
    output = run(FakeServer(), "forecast", *options).output
    assert "done 2026-01-06 22:03 UTC" in output
    assert "      2026-01-06 22:00 UTC   " in output


def test_no_end_offline(tmp_path: Path) -> None:
    """An approval that is required is told, and no row of the comparison is never to never."""
    file = tmp_path / "config.yaml"
    file.write_text("approval: required\n")
    options = ("--config", file, "--items", "1e6", "--rate", "5/ms", *IDLE)
    output = run(FakeServer(), "forecast", *options).output
    assert output.startswith("(unnamed): 1000000 items left; approval is required: release it")
    assert "never" not in output
    assert "present          no end\n" in output
    assert "offline: pauses, releases and budgets are not looked at" in output
