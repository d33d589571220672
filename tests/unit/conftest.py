"""Fixtures for several files."""

from pathlib import Path

import pytest


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a command that keeps nothing beyond the test."""
    return {"XDG_STATE_HOME": str(tmp_path / "state")}
