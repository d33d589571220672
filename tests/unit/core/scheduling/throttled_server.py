"""A server in virtual time that follows a throttle, for tests of decisions."""

import attrs

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.scheduling.decision import Conditions, Decision
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.strategies.strategies import utc_s

DB, NAME = "master", "populate_stats"
SUNDAYS = (Window((6,), 0, 1440),)
SUNDAY_S = utc_s("2026-05-31 12:00")
MONDAY_S = utc_s("2026-06-01 12:00")
NO_REST = FixedSleep(0)


def make_throttle(
    top: Settings | None = None,
    *rules: Rule,
    server: Settings | None = None,
    signals: SignalSettings | None = None,
) -> Throttle:
    """The pace is a tenth unless something else is said: adaptive ones are tested elsewhere."""
    config = Config(top or Settings(), rules, signals or SignalSettings())
    return Throttle(config, server or Settings(pace=DutyCycle(0.1)))


@attrs.define
class ThrottledServer:
    """One database and one update of it, unless another is set."""

    throttle: Throttle
    now_s: float = 0.0
    wall_s: float = SUNDAY_S
    database: str = DB
    update: str = NAME
    one_shot: bool = False

    def at(self) -> Conditions:
        return Conditions(self.now_s, self.wall_s)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds

    def ask(self) -> Decision:
        """The decision now, for an iteration that is about to start."""
        self.throttle.begin(self.database, self.update, self.one_shot, self.now_s)
        return self.throttle.decide(self.database, self.update, self.at())

    def wait_for_turn(self) -> Decision:
        """Wait as long as asked to, and decide anew, until the batch may run."""
        decision = self.ask()
        for _ in range(100):
            if decision.wait_s == 0:
                return decision
            # A microsecond at least: what is left of a wait may be less than the clock resolves.
            self.pass_time(max(decision.wait_s, 1e-6))
            decision = self.throttle.decide(self.database, self.update, self.at())
        raise AssertionError(decision)

    def run(self, took_s: float, items: int | None = None, failed: bool = False) -> None:
        """A batch, now."""
        self.throttle.start(self.database, self.update, self.now_s)
        self.pass_time(took_s)
        self.throttle.finish(self.database, self.update, self.now_s, items, failed)
