"""The decision for one iteration.

Pure: the time, and what is known of the server, are arguments. Two clocks: `now_s` is monotonic
and measures, `wall_s` is seconds since the epoch and is read by the windows.
"""

import math
from datetime import datetime

import attrs

from synapse_bgthrottle import adaptive, pacing, windows
from synapse_bgthrottle.config import Config
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.limits import (
    Adaptive,
    DutyCycle,
    Limits,
    Rule,
    Settings,
    first_match,
    merge,
)
from synapse_bgthrottle.quirks import least_batch_items, runs_in_one_go
from synapse_bgthrottle.state import DatabaseState, UpdateState
from synapse_bgthrottle.units import format_duration_ms

# The wait after the first, second, ... failed iteration in a row; the last one stays.
BACKOFF_S = (5.0, 15.0, 30.0, 60.0)

# The pace of an update that is let go although its windows are closed.
FLOOR_PACE = DutyCycle(0.01)


@attrs.frozen
class Conditions:
    """What a decision needs to know of the moment.

    Attributes:
        now_s: monotonic.
        wall_s: seconds since the epoch.
        enabled: the server's own switch for background updates.
        silent_since_s: since when (monotonic) the database gives no answer; None: it answers.
        complaint: what it says instead.
        active_requests: requests that somebody waits for; None: unknown.
        requests_received: how many have ever come in.
    """

    now_s: float
    wall_s: float
    enabled: bool = True
    silent_since_s: float | None = None
    complaint: str = ""
    active_requests: int | None = None
    requests_received: int = 0


class Throttle:
    """Decides for every iteration of every update of every database.

    Attributes:
        databases: state by name of database.
        updates: state by name of database and name of update.
    """

    def __init__(self, config: Config, server: Settings) -> None:
        """`server` is what the administrator set in the server's own configuration."""
        self.databases: dict[str, DatabaseState] = {}
        self.updates: dict[tuple[str, str], UpdateState] = {}
        self._config = config
        self._server = server

    def limits_of(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> tuple[Rule | None, Limits]:
        """The first matching rule, and the limits of an update."""
        one_shot = one_shot or runs_in_one_go(update_name)
        rule = first_match(self._config.rules, update_name, database_name, one_shot)
        levels = [self._config.settings, self._server]
        if rule is not None:
            levels.insert(0, rule.settings)
        return rule, merge(levels, least_batch_items(update_name))

    def begin(self, database_name: str, update_name: str, one_shot: bool, now_s: float) -> None:
        """An iteration of this update is about to be decided."""
        if database_name not in self.databases:
            self.databases[database_name] = DatabaseState(batch_end_s=now_s)
        key = (database_name, update_name)
        if key not in self.updates:  # matching is done once, however many rules there are
            rule, limits = self.limits_of(update_name, database_name, one_shot)
            self.updates[key] = UpdateState(limits, rule, one_shot or runs_in_one_go(update_name))
        database = self.databases[database_name]
        if database.update_name != update_name:  # it has come to the head of the queue (again)
            database.update_name = update_name
            self.updates[key].held_since_s, self.updates[key].released = None, False

    def decide(self, database_name: str, update_name: str, at: Conditions) -> Decision:
        """Whether the batch may run now, or why not; to be asked again after `wait_s` at most.

        The causes in order of precedence: the server's switch, a silent database, a failure, a
        closed window, whichever of pace and rate waits longer, and with an adaptive pace the
        requests in flight.
        """
        database = self.databases[database_name]
        update = self.updates[database_name, update_name]
        _notice_requests(database, at)
        if windows.is_open(update.limits.windows, update.limits.time_zone, at.wall_s):
            update.held_since_s, update.released = None, False
        cause, wait_s, reason = (
            _disabled(at)
            or _silent(at)
            or _backoff(database, at)
            or _window(update, at)
            or _spacing(database, update, at)
        )
        target_ms = update.limits.target_duration_ms
        if update.is_adaptive:
            target_ms = adaptive.target_ms(target_ms, _adaptive_pace(database, at))
        update.decision = _decision(update, cause, wait_s, reason, target_ms)
        return update.decision

    def batch_items(self, database_name: str, update_name: str) -> tuple[int, int]:
        """Size of the batch where Synapse has counted no item yet, and least size of any other."""
        update = self.updates.get((database_name, update_name))
        if update is None or update.decision is None:
            _, limits = self.limits_of(update_name, database_name, one_shot=False)
            return limits.default_batch_items, limits.min_batch_items
        return update.decision.first_batch_items, update.decision.min_batch_items

    def waited(self, database_name: str, update_name: str, cause: Cause, wait_s: float) -> None:
        """An iteration waited this long for this cause."""
        waited_s = self.updates[database_name, update_name].waited_s
        waited_s[cause] = waited_s.get(cause, 0.0) + wait_s

    def start(self, database_name: str, update_name: str, now_s: float) -> None:
        """The batch that was decided starts."""
        self.updates[database_name, update_name].batch_start_s = now_s

    def finish(
        self, database_name: str, update_name: str, now_s: float, items: int | None, failed: bool
    ) -> None:
        """The batch ended; `items` is what it did, as far as that is known."""
        database = self.databases[database_name]
        update = self.updates[database_name, update_name]
        start_s = now_s if update.batch_start_s is None else update.batch_start_s
        took_s = max(now_s - start_s, 0.0)
        update.batch_start_s = None
        database.batch_end_s, database.batch_s = now_s, took_s
        database.failures = database.failures + 1 if failed else 0
        if update.is_exact and update.decision is not None:
            asked_items = update.decision.min_batch_items
            # Some handlers do more than they are asked to, and some say less than they did.
            charged_items = max(items or 0, asked_items)
            update.next_start_s = start_s + charged_items / update.limits.max_items_per_second
            if not failed:
                update.sizer.record(asked_items, charged_items, took_s * 1000)
                items = asked_items if items is None else items
        elif update.decision is not None and update.batches and not failed:
            # Not from the first batch, whose size has nothing to do with the target.
            yielded_ms = update.decision.target_ms
            update.target_scale = pacing.target_scale(yielded_ms, took_s * 1000)
        update.batches += 1
        update.items += items or 0
        update.batch_s += took_s


_Verdict = tuple[Cause, float, str]


def _notice_requests(database: DatabaseState, at: Conditions) -> None:
    # A quick request comes and goes between two looks: then only the count shows it. But after
    # a long time without a look (a hold, a one-shot) the count does not tell when it came.
    counted = at.requests_received != database.requests_received
    recent = at.now_s - database.looked_s < adaptive.QUIET_AFTER_S
    if at.active_requests or (counted and recent):
        database.active_s = at.now_s
    database.looked_s, database.requests_received = at.now_s, at.requests_received


def _disabled(at: Conditions) -> _Verdict | None:
    if at.enabled:
        return None
    return Cause.DISABLED, math.inf, "background updates are disabled on the server"


def _silent(at: Conditions) -> _Verdict | None:
    if at.silent_since_s is None:
        return None
    return Cause.DATABASE, math.inf, f"the database does not answer: {at.complaint}"


def _backoff(database: DatabaseState, at: Conditions) -> _Verdict | None:
    if not database.failures:
        return None
    backoff_s = BACKOFF_S[min(database.failures, len(BACKOFF_S)) - 1]
    wait_s = database.batch_end_s + backoff_s - at.now_s
    if wait_s <= 0:
        return None
    times = "the last iteration" if database.failures == 1 else f"{database.failures} in a row"
    return Cause.BACKOFF, wait_s, f"{times} failed: next try after {backoff_s:.0f}s"


def _window(update: UpdateState, at: Conditions) -> _Verdict | None:
    limits = update.limits
    if windows.is_open(limits.windows, limits.time_zone, at.wall_s):
        return None
    if update.held_since_s is None:
        update.held_since_s = at.now_s
    left_s = limits.max_hold_ms / 1000 - (at.now_s - update.held_since_s)
    if left_s <= 0:
        update.released = True
        return None
    opens_s = windows.next_opening_s(limits.windows, limits.time_zone, at.wall_s)
    opens = "not within two weeks"
    if opens_s is not None:
        left_s = min(left_s, max(opens_s - at.wall_s, 0.001))
        opens = f"{datetime.fromtimestamp(opens_s, limits.time_zone):%a %Y-%m-%d %H:%M %Z}"
    hold = format_duration_ms(limits.max_hold_ms)
    return Cause.WINDOW, left_s, f"windows are closed; next open: {opens}; held for {hold} at most"


def _spacing(database: DatabaseState, update: UpdateState, at: Conditions) -> _Verdict:
    limits = update.limits
    pace = _adaptive_pace(database, at) if isinstance(limits.pace, Adaptive) else limits.pace
    batch_s = database.batch_s
    if batch_s is None:  # since the start: be as careful as after a batch on target
        batch_s = limits.target_duration_ms / 1000
    rest_s = pacing.rest_s(pace, batch_s)
    floor_s = pacing.rest_s(FLOOR_PACE, batch_s)
    if update.released and floor_s > rest_s:
        pace, rest_s = FLOOR_PACE, floor_s
    pace_s = database.batch_end_s + rest_s - at.now_s
    rate_s = update.next_start_s - at.now_s
    if max(pace_s, rate_s) <= 0:
        gate_s = max(pace_s, rate_s) + adaptive.LONGEST_GATE_S
        if update.is_adaptive and at.active_requests and gate_s > 0:
            reason = f"waits for a gap between requests, of which {at.active_requests} are active"
            return Cause.GAP, min(adaptive.LOOK_EVERY_S, gate_s), reason
        return Cause.RUN, 0.0, str(pace)
    if rate_s > pace_s:
        rate = limits.max_items_per_second
        return Cause.RATE, rate_s, f"at most {rate:g} items/s"
    batch = format_duration_ms(batch_s * 1000)
    rest = format_duration_ms(rest_s * 1000)
    return Cause.PACE, pace_s, f"{pace}: rests {rest} after a batch of {batch}"


def _adaptive_pace(database: DatabaseState, at: Conditions) -> DutyCycle:
    return adaptive.pace(at.active_requests, at.now_s - database.active_s)


def _decision(
    update: UpdateState, cause: Cause, wait_s: float, reason: str, target_ms: float
) -> Decision:
    limits = update.limits
    if update.is_exact:
        exact = update.sizer.next_items(limits, target_ms)
        return Decision(cause, reason, wait_s, 0, exact, exact)
    return Decision(
        cause,
        reason,
        wait_s,
        max(round(target_ms * update.target_scale), 1),
        limits.default_batch_items,
        limits.min_batch_items,
    )
