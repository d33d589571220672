"""A throttle with the updates of one database, for the tests of the status."""

from typing import Any

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.config.limits import FixedSleep, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.reports.status import DatabaseLook, Moment, ServerLook, status
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from testbed.strategies.examples import NOON_S

DB = "master"
NOON_MS = round(NOON_S * 1000)


class StatusWorld:
    """Time is in seconds since noon, on both clocks."""

    def __init__(
        self,
        top: Settings | None = None,
        *rules: Rule,
        signals: SignalSettings | None = None,
    ) -> None:
        config = Config(top or Settings(pace=FixedSleep(0)), rules, signals or SignalSettings())
        self.throttle = Throttle(config, Settings())
        self.runs = UpdateRuns(self.throttle)

    def begin(self, name: str, at_s: float) -> Cause:
        self.throttle.begin(DB, name, False, at_s)
        self.runs.begin(DB, name, NOON_S + at_s)
        return self.throttle.decide(DB, name, Conditions(at_s, NOON_S + at_s)).cause

    def batch(self, name: str, at_s: float, items: int | None = 10, failure: str = "") -> None:
        """A batch of two seconds, that begins then."""
        self.begin(name, at_s)
        self.throttle.start(DB, name, at_s)
        self.throttle.finish(DB, name, at_s + 2, items, bool(failure))
        if failure:
            self.throttle.failed(DB, name, NOON_S + at_s + 2, failure)

    def status(self, at_s: float, *looks: DatabaseLook, **changes: Any) -> Any:
        given = {"server_name": "example.org", "enabled": True, "store_problem": "", **changes}
        moment = Moment(at_s, NOON_S + at_s)
        return to_json(status(self.throttle, self.runs, looks, moment, ServerLook(**given)))


def look(*names: str, **changes: Any) -> DatabaseLook:
    rows = tuple(QueueRow(name, "{}", None, number) for number, name in enumerate(names))
    return DatabaseLook(**{"name": DB, "rows": rows, **changes})
