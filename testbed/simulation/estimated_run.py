"""The time left that is estimated during a run, and how long the run really took."""

import attrs

from synapse_bgthrottle.core.adaptive.weekly_activity import WeeklyActivity
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.state import Facts, UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import ProcessSample, Sample
from synapse_bgthrottle.core.tracking.expected_pace import learned_slope
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.measured_pace import Look, MeasuredPace
from synapse_bgthrottle.core.tracking.time_left import Estimate, Known, estimate
from synapse_bgthrottle.core.tracking.weekly_load import Seen, learned
from testbed.simulation.model import ClientsModel, ServerModel, Streams, UpdateModel
from testbed.simulation.updater import DATABASE
from testbed.simulation.world import World

LOOK_EVERY_S = 5.0

# Monday 2026-01-05, 09:00 UTC.
WALL_S = 1_767_603_600.0


@attrs.frozen
class MadeEstimate:
    """One estimate: time, estimate, items left, time in batches, slope, and clients' share."""

    at_s: float
    estimate: Estimate
    left: float
    in_batches_s: float
    slope: float | None
    clients_ratio: float | None


class _Watched(Throttle):
    """A throttle whose clients are recorded by hour of the week, as in the module."""

    def __init__(self, config: Config, facts: Facts) -> None:
        super().__init__(config, Settings(), facts)
        self.week = WeeklyActivity(sees_requests=facts.sees_requests)

    def observe(self, database_name: str | None, sample: Sample) -> None:
        super().observe(database_name, sample)
        if isinstance(sample, ProcessSample):
            self.week.see(sample, self.pacer.activity, WALL_S + sample.at_s)


class EstimatedRun:
    """A run of an update under a throttle, with an estimate of the time left at each look.

    Attributes:
        made: the estimates so far.
        world: the run.
    """

    def __init__(
        self,
        server: ServerModel,
        clients: ClientsModel,
        streams: Streams,
        update: UpdateModel,
        settings: Settings,
    ) -> None:
        facts = Facts(
            cores=round(server.cores),
            sees_requests=not server.clients_elsewhere,
            sqlite_databases=frozenset({DATABASE} if server.connections == 1 else ()),
        )
        self.made: list[MadeEstimate] = []
        self._update = update
        self._throttle = _Watched(Config(settings), facts)
        self._pace = MeasuredPace()
        self.world = World(server, clients, streams, update, self._throttle, wall_s=WALL_S)

    @property
    def state(self) -> UpdateState:
        """The update's state."""
        return self._throttle.updates[DATABASE, self._update.name]

    def run(self, end_s: float) -> float | None:
        """Run until then, or until the update is done. Returns when that was."""
        now_s = self.world.agenda.now_s
        while now_s < end_s:
            now_s = min(now_s + LOOK_EVERY_S, end_s)
            if self.world.run(now_s).finished_s is not None:
                break
            self._look(now_s)
        return self.world.record.finished_s

    def _look(self, now_s: float) -> None:
        update, week = self.state, self._throttle.week
        left = self._update.items - sum(batch.items for batch in self.world.record.batches)
        look = Look(
            now_s,
            left,
            update.totals.batch_s,
            0.0,
            update.totals.items,
            week.watched_s,
            week.present_s,
            update.totals.batches,
        )
        self._pace.observe(look)
        clients = self._pace.clients_ratio
        wall_s = WALL_S + now_s
        entry = HistoryEntry(
            database=DATABASE,
            update=self._update.name,
            started_s=WALL_S,
            items=update.totals.items,
            batches=update.totals.batches,
            batch_s=update.totals.batch_s,
            waited_s={cause.value: s for cause, s in update.totals.waited_s.items()},
            progress_per_item=1.0,
        )
        slope = learned_slope(update)
        now = None if clients is None else Seen(clients, wall_s)
        found = estimate(
            self._pace,
            Known(
                limits=update.limits,
                entry=entry,
                cost=update.cost.cost(self._throttle.databases[DATABASE].longest_batch_s),
                slope=slope,
                load=learned(list(week.hours.values()), now),
                wall_s=wall_s,
            ),
        )
        self.made.append(
            MadeEstimate(
                now_s,
                found,
                left,
                update.totals.batch_s,
                None if slope is None else slope.likely,
                clients,
            )
        )
