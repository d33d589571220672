"""`signals:` as written: thresholds by unit, the whole section, and arbitrary values."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError, Problem
from synapse_bgthrottle.core.config.signal_settings import NESTED_KEYS, SignalSettings
from synapse_bgthrottle.core.signals import SIGNALS, Unit
from testbed.strategies.strategies import raw_configs, raw_signals
from tests.unit.core.signals.accepted_values import ACCEPTED, OWN, signal_problems_of, signals_of

# For each unit what is accepted, and what it means.
_GOOD: dict[Unit, tuple[tuple[object, float], ...]] = {
    Unit.DURATION: (("50ms", 50.0), (1, 1.0), ("10s", 10_000.0), ("1d", 86_400_000.0)),
    Unit.COUNT: ((4, 4.0), (0.5, 0.5), (10**15, 1e15)),
    Unit.SIZE: (("10GiB", 10.0 * 2**30), ("500MB", 5e8), (1, 1.0), ("1 kB", 1000.0)),
    Unit.RATE: (("50MiB/s", 50.0 * 2**20), ("1kB/s", 1000.0), (" 7/s ", 7.0)),
    Unit.FACTOR: ((10, 10.0), (1.5, 1.5)),
    Unit.YES_NO: ((True, 1.0), ("on", 1.0)),
}
_BAD_ANYWHERE: tuple[object, ...] = (
    None,
    "",
    "x",
    [],
    ["off"],
    {1, 2},
    b"off",
    -1,
    -1.5,
    0,
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    "OFF",
)
_BAD: dict[Unit, tuple[object, ...]] = {
    Unit.DURATION: (True, "0s", "25h", 86_400_001, 1.5, "1.5s", {}, {"threshold": "1s"}),
    Unit.COUNT: (True, "4", 1e301, {}),
    Unit.SIZE: (True, "0B", "10G", "10gib", "1.5GiB", "10GiB/s", 1.5, 2**63),
    Unit.RATE: (True, 5, "50MiB", "50MiB/m", "/s", "0B/s", {}),
    Unit.FACTOR: (True, 1, 1.0, 0.5, "10", {}),
    Unit.YES_NO: (1, "yes", "true", 1.0, {}),
}


def test_nothing_said_is_nothing_set() -> None:
    """Without `signals:`, or with none in it, every signal is as it is built in."""
    assert SignalSettings() == parse({}).signals == signals_of({})


@pytest.mark.parametrize(
    ("expected", "name", "value"),
    [
        (expected, name, value)
        for name, signal in SIGNALS.items()
        if name not in OWN
        for value, expected in _GOOD[signal.unit]
    ],
)
def test_threshold_is_read_in_the_unit_of_its_signal(
    expected: float, name: str, value: object
) -> None:
    """Whatever the unit accepts ends as a number of the signal's own unit."""
    assert SignalSettings(thresholds={name: expected}) == signals_of({name: value})


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("value", ["off", False])
def test_every_signal_can_be_off(name: str, value: object) -> None:
    """Quoted or not, off is written down as None, and nothing is asked or looked at."""
    assert SignalSettings(thresholds={name: None}) == signals_of({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}: {ascii(value)[:30]}")
        for name, signal in SIGNALS.items()
        if name not in OWN
        for value in (*_BAD_ANYWHERE, *_BAD[signal.unit])
        if value is not None or name not in NESTED_KEYS
    ],
)
def test_wrong_threshold_is_told_with_path_found_and_accepted(name: str, value: object) -> None:
    """Every signal refuses what is not of its unit, in the words of the unit."""
    (problem,) = signal_problems_of({name: value})
    assert problem.startswith(f"signals.{name}: found ")
    assert problem.endswith(f"; accepted is {ACCEPTED[SIGNALS[name].unit]}, or off")
    assert len(problem) < 500


@pytest.mark.parametrize("raw", [[], "off", False, True, 5], ids=repr)
def test_signals_are_a_mapping(raw: object) -> None:
    """Anything but a mapping is refused with the names that it may have."""
    names = ", ".join(SIGNALS)
    expected = f"signals: found {raw!r}; accepted is a mapping with any of the keys {names}"
    assert [expected] == signal_problems_of(raw)


def test_unknown_names_are_told_with_a_near_one() -> None:
    """A name that is not known is refused on each level, with what was probably meant."""
    names = ", ".join(SIGNALS)
    assert [
        f"signals.event_lop_lag: unknown key; did you mean event_loop_lag? accepted are {names}",
        f"signals.5: unknown key; accepted are {names}",
        "signals.sql.querry: unknown key; did you mean query? accepted are query, threshold",
        "signals.disk_free.pth: unknown key; did you mean path? accepted are threshold, path",
    ] == signal_problems_of(
        {
            "event_lop_lag": "50ms",
            5: 5,
            "sql": {"querry": "SELECT 1", "query": "SELECT 1", "threshold": 1},
            "disk_free": {"pth": "/x"},
        }
    )


def test_all_problems_of_signals_are_told_at_once() -> None:
    """One reading finds everything, between the problems of the top level and of the rules."""
    raw = {
        "sleep": "soon",
        "signals": {
            "evnt": 1,
            "sql": {"query": "", "threshold": 0},
            "disk_free": {"path": "x", "threshold": "y"},
            "pool_wait": "z",
        },
        "rules": [{"update": "", "signals": {}}],
    }
    with pytest.raises(InvalidConfigError) as caught:
        parse(raw)
    assert [
        "sleep",
        "signals.evnt",
        "signals.sql.query",
        "signals.sql.threshold",
        "signals.disk_free.path",
        "signals.disk_free.threshold",
        "signals.pool_wait",
        "rules.<item 0>.update",
        "rules.<item 0>.signals",
    ] == [str(problem).split(": ")[0] for problem in caught.value.problems]


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**4000)
    | st.floats()
    | st.text(max_size=8)
    | st.from_regex(r"https?://[^ ]{0,9}", fullmatch=True)
    | st.sampled_from(("off", "on", "10GiB", "5MB/s", "10s", "/x", "http://h", "SELECT 1")),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(("threshold", "path", "query")) | st.integers(), inner)
    ),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(SIGNALS)) | st.text(max_size=5), _JUNK, max_size=5))
def test_signals_are_parsed_or_refused_for_any_value(raw: dict[str, Any]) -> None:
    """Whatever is written, the answer is settings or problems, and no other error."""
    problems: tuple[Problem, ...] = ()
    signals = None
    try:
        signals = signals_of(raw)
    except InvalidConfigError as error:
        problems = error.problems
    assert (signals is None) is bool(problems)
    assert all(problem.path[0] == "signals" for problem in problems)


@given(raw_signals())
def test_signals_are_accepted_for_any_valid_ones(raw: dict[str, Any]) -> None:
    """Every threshold that is accepted is positive and finite, and none is lost."""
    signals = signals_of(raw)
    for name, value in raw.items():
        if name in NESTED_KEYS and isinstance(value, dict) and "threshold" not in value:
            continue
        threshold = signals.thresholds[name]
        assert (threshold is None) is (value in (False, "off"))
        assert threshold is None or 0 < threshold < math.inf
    assert set(signals.thresholds) <= set(raw)


@given(raw_configs())
def test_signals_are_those_of_the_top_level_for_any_configuration(raw: dict[str, Any]) -> None:
    """What stands beside `signals:` changes nothing of them."""
    assert parse(raw).signals == signals_of(raw.get("signals", {}))
