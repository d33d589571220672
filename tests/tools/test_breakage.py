"""What counts as broken in the long run, and what counts as having happened."""

import random
import urllib.error
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import pytest

from soak.faults.fault_schedule import Breakage
from soak.faults.traffic import disabled, paused

FAULTS = ("gone", "locked")
LEVERS = ("nothing", "paused", "disabled")


class Admin:
    """An administrator's client; a server that refuses all, or what it is told."""

    def __init__(self, refused: str = "") -> None:
        self.asked: list[str] = []
        self._refused = refused

    def call(self, _: str, path: str, __: Any) -> None:
        self._ask(path.rpartition("/")[2])

    def set_updates_enabled(self, is_enabled: bool) -> None:
        self._ask("enable" if is_enabled else "disable")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self._refused.split():
            raise urllib.error.HTTPError("http://x", 503, "gone", {}, None)  # type: ignore[arg-type]


def broken(admin: Admin, times: int) -> Breakage:
    """So many faults on a server of whom nothing is real."""

    def suspended(_: object) -> AbstractContextManager[None]:
        return nullcontext()

    untyped: Any = admin
    with (
        patch("soak.faults.fault_schedule.time.sleep"),
        patch("soak.faults.fault_schedule.faults.suspended", suspended),
    ):
        made = dict.fromkeys(FAULTS, nullcontext)
        breakage = Breakage(untyped, untyped, made, random.Random(1))
        for _ in range(times):
            breakage.once()
    return breakage


def test_each_in_its_turn() -> None:
    """Three rounds: each fault with each lever once, and what was pulled is taken back."""
    admin = Admin()
    breakage = broken(admin, 15)
    assert [] == breakage.never_happened
    assert {3} == set(breakage.happened.values())
    assert {f"{fault}, {lever}": 1 for fault in FAULTS for lever in LEVERS} == breakage.together
    assert admin.asked.count("disable") == admin.asked.count("enable") == 5
    assert admin.asked.count("pause") == admin.asked.count("resume") == 5


def test_what_was_refused() -> None:
    """It did not happen."""
    breakage = broken(Admin("pause disable"), 15)
    expected = ["disabled", *(f"{fault}, disabled" for fault in FAULTS), "paused"]
    assert sorted(expected) == breakage.never_happened
    assert 1 == breakage.together["gone, paused in vain"]


@pytest.mark.parametrize("lever", [paused, disabled])
def test_what_cannot_be_taken_back(lever: Any) -> None:
    """It is no run any more in which updates would come to an end."""
    admin = Admin("resume enable")
    with patch("soak.faults.traffic.time.sleep"), pytest.raises(TimeoutError), lever(admin):
        pass
    assert 21 == len(admin.asked)
