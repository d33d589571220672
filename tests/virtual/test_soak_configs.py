"""The run over configurations tells what is neither valid nor refused, and what is slow."""

import time
from pathlib import Path
from typing import Any

import pytest

from soak import configs
from synapse_bgthrottle import BackgroundUpdateThrottle
from synapse_bgthrottle.config import InvalidConfigError, Problem


def status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of a run over thirty configurations."""
    arguments = ["--count", "30", "--only", "any configuration", "--output", str(tmp_path / "seen")]
    monkeypatch.setattr("sys.argv", ["soak.configs", *arguments])
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


def test_a_slow_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that takes too long."""
    seconds = iter(range(0, 10**6, 3))
    monkeypatch.setattr(time, "process_time", lambda: float(next(seconds)))
    assert 1 == status(tmp_path, monkeypatch)
