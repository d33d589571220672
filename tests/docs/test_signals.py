"""The documentation of signals and profiles agrees with the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from synapse_bgthrottle.core.config.limits import Limits, Settings
from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.config.profiles import PROFILES, Profile
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals import SIGNALS
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample
from synapse_bgthrottle.core.units import format_duration_ms, format_ratio

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "signals.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
SAMPLE = (ROOT / "sample_config.yaml").read_text()


def table(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table in a section, by the name in backquotes that each begins with."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.M)
    return {name: cells.split(" | ") for name, cells in rows}


def threshold(name: str, written: Any) -> float | None:
    """What the module makes of a threshold."""
    return parse({"signals": {name: written}}).signals.thresholds[name]


def test_every_signal_is_documented() -> None:
    """The reference has a row for each signal, in the order in which they are told."""
    assert list(SIGNALS) == list(table(PAGE, "The list"))


@pytest.mark.parametrize("name", SIGNALS)
def test_row_of_a_signal(name: str) -> None:
    """Its class, its unit and its default are those of the code, and nothing is left empty."""
    signal_class, unit, default, sees, unreadable = table(PAGE, "The list")[name]
    signal = SIGNALS[name]
    assert (signal.signal_class.value, signal.unit.value) == (signal_class, unit)
    assert signal.threshold == threshold(name, yaml.safe_load(default.strip("`")))
    assert sees.endswith(".")
    assert unreadable.endswith(".")


def test_sample_config_has_every_signal() -> None:
    """Each signal is there, as a comment where it needs something; defaults are the real ones."""
    shown = parse(yaml.safe_load(SAMPLE)).signals.thresholds
    assert {name: SIGNALS[name].threshold for name in shown} == shown
    commented = set(re.findall(r"^  # ([a-z_]+): ", SAMPLE, re.M))
    assert set(SIGNALS) == shown.keys() | commented


def test_what_is_commented_in_the_sample_config_is_valid() -> None:
    """Without their comment signs the signals are accepted."""
    signals = re.findall(r"^  # ([a-z_]+: .*)$", SAMPLE, re.M)
    for line in signals:
        assert parse({"signals": yaml.safe_load(line)}).signals.thresholds


@pytest.mark.parametrize("one_shot", [False, True])
def test_sample_config_holds_nothing_on_sqlite(one_shot: bool) -> None:
    """Used as it is where most budgets cannot be observed, none is closed, seen yet or not."""
    config = parse({**yaml.safe_load(SAMPLE), "rules": []})
    throttle = Throttle(config, Settings(), Facts(sqlite_databases=frozenset({"master"})))
    throttle.begin("master", "an_update", one_shot, 0.0)
    signal_set = throttle.databases["master"].signal_set
    assert signal_set.closed(0.0, one_shot=one_shot) is None
    for at_s in range(60):
        throttle.observe("master", DatabaseSample(at_s=at_s, pool_wait_s=0.0, query_s=0.0))
        throttle.observe("master", CheckSample(at_s=at_s, name="disk_free"))
        assert signal_set.closed(at_s, one_shot=one_shot) is None
    decision = throttle.decide("master", "an_update", Conditions(now_s=60.0, wall_s=60.0))
    assert not decision.cause.is_hold or decision.cause is Cause.CALM


def test_adaptive_pace_of_the_sample_config_is_the_default() -> None:
    """The keys of the adaptive pace show what holds without them."""
    shown, built_in = parse(yaml.safe_load(SAMPLE)).settings, Limits()
    for name in ("pace", "profile", "min_duty_ratio", "max_duty_ratio"):
        assert getattr(built_in, name) == getattr(shown, name)


def cells(profile: Profile) -> list[str]:
    """The numbers of a profile as the reference writes them."""
    inf = float("inf")
    tolerance, target_ms = profile.tolerance_ratio, profile.busy_target_ms
    return [
        "any" if tolerance == inf else format_ratio(tolerance),
        "yes" if profile.like_stock else "no",
        "any" if target_ms == inf else format_duration_ms(target_ms),
        format_duration_ms(profile.quiet_after_s * 1000),
    ]


def test_table_of_profiles() -> None:
    """The reference has the numbers of each profile."""
    assert {name: cells(profile) for name, profile in PROFILES.items()} == table(
        CONFIGURATION, "Profiles"
    )
