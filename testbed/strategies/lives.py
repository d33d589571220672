"""The life of a throttle: any events in any order, with a check of each decision."""

import math
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

import attrs
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from synapse_bgthrottle.core.scheduling.effective_limits import least_batch_items
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.state import Facts, UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from testbed.strategies.strategies import DATABASES, UPDATES, configs
from testbed.strategies.strategies import settings as levels

P = ParamSpec("P")
T = TypeVar("T")

# Possible values of a signal: nothing, garbage, negative, constant, anything.
_VALUES = st.none() | st.floats() | st.sampled_from((0.0, -1.0, 1.0, math.nan, math.inf, 1e300))
_COUNTS = st.none() | st.integers(-5, 10**12)
_RESPONSES = st.none() | st.dictionaries(
    st.sampled_from(("sync", "send")), st.tuples(st.floats(), st.floats())
)
_TEXTS = st.sampled_from(("", "it is gone"))


# These are drawn in another way, or not at all.
_OTHERWISE = ("at_s", "problem", "name", "index_build", "responses", "refused")


def _any_of(kind: Any, at_s: float, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, at_s=st.just(at_s), **values)


@st.composite
def samples(draw: st.DrawFn, at_s: float) -> Sample:
    """A sample of any class with any values."""
    kind: Any = draw(st.sampled_from((ProcessSample, DatabaseSample, CheckSample, BatchSample)))
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field in attrs.fields(kind):
        if field.name not in _OTHERWISE:
            values[field.name] = _VALUES | _COUNTS
    if kind is ProcessSample:
        values["timer_late_s"] = st.floats()
        values["responses"] = _RESPONSES
    if kind is DatabaseSample:
        values["refused"] = st.dictionaries(st.sampled_from(("autovacuum", "nonsense")), _TEXTS)
        values["autovacuum"] = st.none() | st.booleans()
        values["problem"] = _TEXTS
    if kind is CheckSample:
        values["name"] = st.sampled_from(("disk_free", "pause_file", "http", "sql", "nonsense"))
        values["problem"] = _TEXTS
    drawn: Sample = draw(_any_of(kind, at_s, **values))
    return drawn


@st.composite
def levers(draw: st.DrawFn, wall_s: float) -> Levers | None:
    """Some levers, in force or not; None: not read yet."""
    if draw(st.integers(0, 9)) == 0:
        return None
    made = []
    for number in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(LeverKind))
        made.append(
            Lever(
                lever_id=str(number),
                kind=kind,
                update=draw(st.sampled_from((*UPDATES, "*", "*_s*"))),
                database=draw(st.none() | st.sampled_from(DATABASES)),
                settings=draw(levels()) if kind is LeverKind.OVERRIDE else Settings(),
                written={},
                reason="",
                author="@a:b",
                created_s=wall_s,
                ends_s=wall_s + draw(st.floats(-10, 1e6)),
                used_s=draw(st.none() | st.just(wall_s)),
            )
        )
    return Levers(tuple(made))


_STEPS = ("begin", "start", "finish", "fail", "sample", "sample", "levers", "waited", "look")


ANY_LIFE = (configs(), st.booleans(), st.booleans(), st.data())


class Caller(Protocol):
    """Calls a function of the module, perhaps with some addition."""

    def __call__(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T: ...


def _plainly(function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    return function(*arguments, **named)


def live(
    config: Config,
    sees_requests: bool,
    is_sqlite: bool,
    data: st.DataObject,
    call: Caller = _plainly,
) -> None:
    """Some events in any order, each decision checked. Values are drawn between the calls."""
    facts = Facts(2, sees_requests, frozenset(DATABASES) if is_sqlite else frozenset())
    throttle = call(Throttle, config, Settings(), facts)
    throttle.levers = Levers()
    now_s = wall_s = 0.0
    for step in data.draw(st.lists(st.sampled_from(_STEPS), max_size=20)):
        now_s += data.draw(st.floats(-100, 1000) | st.floats(0, 0.1) | st.floats(-1e6, 1e6))
        wall_s = data.draw(st.floats(0, 3e9))
        database, name = data.draw(st.sampled_from(DATABASES)), data.draw(st.sampled_from(UPDATES))
        if step == "begin" or (database, name) not in throttle.updates:
            call(throttle.begin, database, name, data.draw(st.booleans()), now_s)
        if step == "start":
            call(throttle.start, database, name, now_s)
        elif step in ("finish", "fail"):
            items = data.draw(_COUNTS)
            call(throttle.finish, database, name, now_s, items, failed=step == "fail")
            if step == "fail":
                kind = data.draw(st.sampled_from(FailureKind))
                call(throttle.failed, database, name, wall_s, "it failed", kind)
        elif step == "sample":
            of = data.draw(st.none() | st.just(database))
            call(throttle.observe, of, data.draw(samples(now_s)))
        elif step == "levers":
            throttle.levers = data.draw(levers(wall_s))
        elif step == "waited":
            call(throttle.waited, database, name, data.draw(st.sampled_from(Cause)), 0.5)
        at = data.draw(_conditions(now_s, wall_s))
        _check(
            throttle.updates[database, name],
            least_batch_items(name),
            call(throttle.decide, database, name, at),
            call(throttle.batch_items, database, name),
        )


def _conditions(now_s: float, wall_s: float) -> st.SearchStrategy[Conditions]:
    return st.builds(
        Conditions,
        st.just(now_s),
        st.just(wall_s),
        enabled=st.integers(0, 5).map(bool),
        silent_since_s=st.none() | st.just(now_s),
        active_requests=st.none() | st.integers(0, 1000),
        requests_answered=st.integers(0, 10**9),
    )


def _check(update: UpdateState, least: int, decision: Decision, size: int) -> None:
    assert decision.wait_s >= 0  # also excludes NaN
    assert (decision.cause is Cause.RUN) is (decision.wait_s == 0)
    assert decision.reason  # every decision has a reason
    assert decision.target_ms > 0
    assert isinstance(size, int)
    assert 1 <= least <= size <= max(update.limits.max_batch_items, least)
