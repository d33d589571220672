"""The fuzzing of configurations reports slow ones, and those neither valid nor refused."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis.strategies import DataObject

from soak.fuzzing import configs, fuzzer
from synapse_bgthrottle import BackgroundUpdateThrottle
from synapse_bgthrottle.core.config import parser
from synapse_bgthrottle.core.config.problems import InvalidConfigError, Problem
from synapse_bgthrottle.core.levers import request
from synapse_bgthrottle.core.levers.request import Action
from synapse_bgthrottle.core.scheduling.throttle import Throttle


def status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of a run over thirty configurations."""
    arguments = ["--count", "30", "--only", "any configuration", "--output", str(tmp_path / "seen")]
    monkeypatch.setattr("sys.argv", ["soak.fuzzing.configs", *arguments])
    return configs.main()


def test_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's own `parse_config` answers with a configuration, or with Synapse's error."""
    assert 0 == status(tmp_path, monkeypatch)


@pytest.mark.parametrize("error", [ValueError("no"), InvalidConfigError([Problem((), "no")])])
def test_another_error(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other error, and one that Synapse does not know, is not well."""

    def parse_config(raw: Any) -> Any:
        raise error

    monkeypatch.setattr(BackgroundUpdateThrottle, "parse_config", parse_config)
    assert 1 == status(tmp_path, monkeypatch)


class Processor:
    """Has spent as many seconds as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._spent_s = 0.0
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(time, "process_time", lambda: self._spent_s)

    def slow_down(self, owner: Any, name: str, by_s: float) -> None:
        """From now on this function needs so much more."""
        function = getattr(owner, name)

        def slowly(*arguments: Any, **named: Any) -> Any:
            self._spent_s += by_s
            return function(*arguments, **named)

        self._monkeypatch.setattr(owner, name, slowly)


@pytest.mark.parametrize(("by_s", "expected"), [(0.24, 0), (0.26, 1)])
def test_a_slow_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_s: float, expected: int
) -> None:
    """Nor is a configuration that takes longer than a quarter of a second."""
    Processor(monkeypatch).slow_down(BackgroundUpdateThrottle, "parse_config", by_s)
    assert expected == status(tmp_path, monkeypatch)


def test_a_slow_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a life, its slowest call counts, and none of what is drawn between its calls."""
    processor = Processor(monkeypatch)
    processor.slow_down(DataObject, "draw", 3.0)
    processor.slow_down(Throttle, "batch_items", 0.2)
    tally = configs.by_hypothesis("decisions", 5)
    assert 0.2 == pytest.approx(tally.slowest_s)
    assert [] == configs.breaches_of(tally, 5)
    processor.slow_down(Throttle, "decide", 0.3)
    tally = configs.by_hypothesis("decisions", 5)
    assert 0.3 == pytest.approx(tally.slowest_s)
    (breach,) = configs.breaches_of(tally, 5)
    assert breach.endswith("took 300 ms")


def test_a_slow_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused after long is not well either."""
    Processor(monkeypatch).slow_down(BackgroundUpdateThrottle, "parse_config", 0.3)
    tally = configs.Tally()
    tally.config("no configuration")
    (breach,) = configs.breaches_of(tally, 1)
    assert breach.endswith("took 300 ms")


def test_all_requests_are_fuzzed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the first refuses keeps none of the others from what the fuzzer made."""
    tried: list[Action] = []

    def refuse(action: Action, raw: Any) -> None:
        tried.append(action)
        raise InvalidConfigError([Problem((), "no")])

    monkeypatch.setattr(request, "parse_lever_request", refuse)
    fuzzer.fuzzed("request", parser, request).call({"for": "1h"})
    assert list(Action) == tried


def test_what_a_fuzzer_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is as it should be; any other error, and a function that takes long, is found."""
    all_of = fuzzer.fuzzed("config", parser, request)
    all_of.call({"no such key": 1})
    processor = Processor(monkeypatch)
    processor.slow_down(parser, "parse", 0.9)
    fuzzer.fuzzed("config", parser, request).call({})
    processor.slow_down(parser, "parse", 0.2)
    with pytest.raises(AssertionError):
        fuzzer.fuzzed("config", parser, request).call({})
    with pytest.raises(ZeroDivisionError):
        fuzzer.Fuzzed([lambda raw: 1 // raw], InvalidConfigError).call(0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"status": 77}, ["status 77"]),
        ({"calls": 999}, ["only 999 calls with what is JSON"]),
        ({"valid": 0}, ["none was valid"]),
    ],
)
def test_fuzzed_in_vain(changes: dict[str, Any], expected: list[str]) -> None:
    """Neither bytes that are no JSON nor refusals alone try anything."""
    assert expected == fuzzer.breaches({"status": 0, "calls": 1000, "valid": 1, **changes}, 10)
    assert 2 == len(fuzzer.breaches({"status": 0}, 10))
