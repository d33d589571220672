"""`signals:` as written: thresholds by unit, and the operator's own checks."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.config import InvalidConfigError, Problem, parse
from synapse_bgthrottle.signal_config import NESTED_KEYS, parse_signals
from synapse_bgthrottle.signal_settings import SignalSettings
from synapse_bgthrottle.signals import SIGNALS, Unit
from tests.unit.config_words import problems_of
from tests.unit.strategies import raw_configs, raw_signals

_ACCEPTED = {
    Unit.DURATION: "a duration from 1ms to 1d, such as 50ms, 10s, 5m",
    Unit.COUNT: "a number above 0, such as 4",
    Unit.SIZE: "a size from 1 byte, such as 10GiB, 500MB, or a whole number of bytes",
    Unit.RATE: "a size per second, such as 50MiB/s",
    Unit.FACTOR: "a number above 1, such as 10",
    Unit.YES_NO: "on",
}
_OWN = {
    "pause_file": "an absolute path, such as /run/synapse/pause, or off",
    "http": (
        "an http or https URL with a host, and without a user, such as http://127.0.0.1:8000/go,"
        " or off"
    ),
    "sql": "a mapping with both query and threshold, or off",
}
_QUERY_ACCEPTED = "one SQL query of 1 to 10000 characters"
_PATH_ACCEPTED = "an absolute path, such as /var/lib/postgresql"

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


def _signals(raw: object) -> SignalSettings:
    return parse({"signals": raw}).signals


def _problems(raw: object) -> list[str]:
    """What is wrong with it, each as it is told."""
    return problems_of({"signals": raw})


def test_nothing_said_is_nothing_set() -> None:
    """Without `signals:`, or with none in it, every signal is as it is built in."""
    assert SignalSettings() == parse({}).signals == _signals({})


@pytest.mark.parametrize(
    ("expected", "name", "value"),
    [
        (expected, name, value)
        for name, signal in SIGNALS.items()
        if name not in _OWN
        for value, expected in _GOOD[signal.unit]
    ],
)
def test_threshold_is_read_in_the_unit_of_its_signal(
    expected: float, name: str, value: object
) -> None:
    """Whatever the unit accepts ends as a number of the signal's own unit."""
    assert SignalSettings(thresholds={name: expected}) == _signals({name: value})


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("value", ["off", False])
def test_every_signal_can_be_off(name: str, value: object) -> None:
    """Quoted or not, off is written down as None, and nothing is asked or looked at."""
    assert SignalSettings(thresholds={name: None}) == _signals({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}: {ascii(value)[:30]}")
        for name, signal in SIGNALS.items()
        if name not in _OWN
        for value in (*_BAD_ANYWHERE, *_BAD[signal.unit])
    ],
)
def test_wrong_threshold_is_told_with_path_found_and_accepted(name: str, value: object) -> None:
    """Every signal refuses what is not of its unit, in the words of the unit."""
    (problem,) = _problems({name: value})
    assert problem.startswith(f"signals.{name}: found ")
    assert problem.endswith(f"; accepted is {_ACCEPTED[SIGNALS[name].unit]}, or off")
    assert len(problem) < 500


# --- the operator's own ---


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        (
            SignalSettings(thresholds={"disk_free": 1e10}, disk_path="/var/lib/postgresql"),
            {"disk_free": {"threshold": "10GB", "path": "/var/lib/postgresql"}},
        ),
        (
            SignalSettings(thresholds={"disk_free": float(1 << 30)}, disk_path="/db"),
            {"disk_free": {"path": "/db"}},
        ),
        (
            SignalSettings(thresholds={"disk_free": 1e10}),
            {"disk_free": {"threshold": "10GB"}},
        ),
        (
            SignalSettings(thresholds={"pause_file": 1.0}, pause_file="/run/a pause"),
            {"pause_file": "/run/a pause"},
        ),
        (
            SignalSettings(thresholds={"http": 1.0}, http_url="https://[::1]:8080/go?a=b"),
            {"http": "https://[::1]:8080/go?a=b"},
        ),
        (
            SignalSettings(thresholds={"sql": 0.5}, sql_query="SELECT 1 "),
            {"sql": {"query": "SELECT 1 ", "threshold": 0.5}},
        ),
        (
            SignalSettings(thresholds={"sql": 100.0}, sql_query="x" * 10_000),
            {"sql": {"query": "x" * 10_000, "threshold": 100}},
        ),
    ],
    ids=str,
)
def test_check_of_the_operators_is_on_where_it_is_given(
    expected: SignalSettings, raw: dict[str, Any]
) -> None:
    """A path, a URL or a query turns its signal on."""
    assert expected == _signals(raw)


_NO_PATHS = ("", "relative", "~/x", "./x", "/\0", "/\ud800", "/" * 4097, 5, True, None, ["/x"])


@pytest.mark.parametrize(
    ("path", "accepted", "raw"),
    [
        *(("pause_file", _OWN["pause_file"], {"pause_file": value}) for value in _NO_PATHS),
        *(
            ("disk_free.path", _PATH_ACCEPTED, {"disk_free": {"path": value}})
            for value in (*_NO_PATHS, "off", False)
        ),
        *(
            ("http", _OWN["http"], {"http": value})
            for value in (
                "",
                "example.org",
                "ftp://example.org/",
                "file:///etc/passwd",
                "http://",
                "http:///path",
                "http://[::1",
                "http://h:0/",
                "http://h:65536/",
                "http://h:x/",
                "http://me:secret@h/",
                "http://h/a b",
                "http://h/\n",
                "http://h/ü",
                "http://h/" + "x" * 2000,
                5,
                True,
                None,
                {"url": "http://h"},
            )
        ),
        *(
            ("sql", _OWN["sql"], {"sql": value})
            for value in ({}, {"query": "SELECT 1"}, {"threshold": 1}, "SELECT 1", 5, True, None)
        ),
        *(
            ("sql.query", _QUERY_ACCEPTED, {"sql": {"query": value, "threshold": 1}})
            for value in ("", " \n", "x" * 10_001, "\0", "\ud800", 5, None, False, ["SELECT 1"])
        ),
        *(
            (
                "sql.threshold",
                _ACCEPTED[Unit.COUNT],
                {"sql": {"query": "SELECT 1", "threshold": value}},
            )
            for value in (0, -1, "1", True, False, "off", None)
        ),
        *(
            ("disk_free.threshold", _ACCEPTED[Unit.SIZE], {"disk_free": {"threshold": value}})
            for value in (0, "1G", None, "off", False)
        ),
        ("disk_free", "a mapping with threshold, path, or both", {"disk_free": {}}),
    ],
)
def test_wrong_check_of_the_operators_is_told_at_its_place(
    path: str, accepted: str, raw: dict[str, Any]
) -> None:
    """Each part of a check is told by itself, with what it accepts."""
    (problem,) = _problems(raw)
    assert problem.startswith(f"signals.{path}: found ")
    assert problem.endswith(f"; accepted is {accepted}")
    assert len(problem) < 500


# --- all of it ---


@pytest.mark.parametrize("raw", [None, [], "off", False, True, 5], ids=repr)
def test_signals_are_a_mapping(raw: object) -> None:
    """Anything but a mapping is refused with the names that it may have."""
    names = ", ".join(SIGNALS)
    expected = f"signals: found {raw!r}; accepted is a mapping with any of the keys {names}"
    assert [expected] == _problems(raw)


def test_unknown_names_are_told_with_a_near_one() -> None:
    """A name that is not known is refused on each level, with what was probably meant."""
    names = ", ".join(SIGNALS)
    assert [
        f"signals.event_lop_lag: unknown key; did you mean event_loop_lag? accepted are {names}",
        f"signals.5: unknown key; accepted are {names}",
        "signals.disk_free.pth: unknown key; did you mean path? accepted are threshold, path",
        "signals.sql.querry: unknown key; did you mean query? accepted are query, threshold",
    ] == _problems(
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
        "signals.pool_wait",
        "signals.disk_free.threshold",
        "signals.disk_free.path",
        "signals.sql.query",
        "signals.sql.threshold",
        "rules.<item 0>.signals",
        "rules.<item 0>.update",
    ] == [str(problem).split(": ")[0] for problem in caught.value.problems]


def test_what_is_right_is_read_beside_what_is_wrong() -> None:
    """The pure reader returns both, so that a problem hides no other."""
    found, problems = parse_signals({"pool_wait": "20ms", "http": "x"})
    assert SignalSettings(thresholds={"pool_wait": 20.0}) == found
    assert [(("http",), "x", _OWN["http"])] == problems


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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(SIGNALS)) | st.text(max_size=5), _JUNK, max_size=5))
def test_signals_are_parsed_or_refused_for_any_value(raw: dict[str, Any]) -> None:
    """Whatever is written, the answer is settings or problems, and no other error."""
    problems: tuple[Problem, ...] = ()
    signals = None
    try:
        signals = _signals(raw)
    except InvalidConfigError as error:
        problems = error.problems
    assert (signals is None) is bool(problems)
    assert all(problem.path[0] == "signals" for problem in problems)


@settings(deadline=None)
@given(raw_signals())
def test_signals_are_accepted_for_any_valid_ones(raw: dict[str, Any]) -> None:
    """Every threshold that is accepted is positive and finite, and none is lost."""
    signals = _signals(raw)
    for name, value in raw.items():
        if name in NESTED_KEYS and isinstance(value, dict) and "threshold" not in value:
            continue
        threshold = signals.thresholds[name]
        assert (threshold is None) is (value in (False, "off"))
        assert threshold is None or 0 < threshold < math.inf
    assert set(signals.thresholds) <= set(raw)


@settings(deadline=None)
@given(raw_configs())
def test_signals_are_those_of_the_top_level_for_any_configuration(raw: dict[str, Any]) -> None:
    """What stands beside `signals:` changes nothing of them."""
    assert parse(raw).signals == _signals(raw.get("signals", {}))
