"""Passes each sample on to all who need it."""

import logging

from synapse_bgthrottle.core.adaptive.weekly_activity import WeeklyActivity
from synapse_bgthrottle.core.reports.log_lines import SignalLog
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample, Sample
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics

logger = logging.getLogger(__name__)


class Observations:
    """Receives samples from the sampler."""

    def __init__(
        self, host: Homeserver, throttle: Throttle, metrics: Metrics, week: WeeklyActivity
    ) -> None:
        self._host = host
        self._throttle = throttle
        self._metrics = metrics
        self._week = week
        self._log_lines: dict[str, SignalLog] = {}

    def take(self, database_name: str | None, sample: Sample) -> None:
        """Take a sample of one database, or (None) one that concerns all databases."""
        self._throttle.observe(database_name, sample)
        self._metrics.observed(database_name)
        if isinstance(sample, ProcessSample):
            self._week.see(sample, self._throttle.pacer.activity, self._host.wall_s())
        if database_name is None or not isinstance(sample, DatabaseSample) or sample.is_of_clients:
            return
        if database_name not in self._log_lines:
            self._log_lines[database_name] = SignalLog(database_name)
        database = self._throttle.databases[database_name]
        lines = self._log_lines[database_name]
        for level, text in lines.tell(database.update_name, database.signal_set, sample):
            logger.log(level, "%s", text)
