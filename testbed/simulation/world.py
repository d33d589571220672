"""A whole run: a server, its clients, and an update under a throttle, all in virtual time."""

from collections.abc import Callable

from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.signals.samples import Sample
from testbed.simulation.agenda import Agenda
from testbed.simulation.clients import Clients
from testbed.simulation.faults import Fault, healthy
from testbed.simulation.model import ClientsModel, ServerModel, Streams, UpdateModel
from testbed.simulation.process import DatabaseServer, Process
from testbed.simulation.processors import Processors
from testbed.simulation.record import Record
from testbed.simulation.sampling import Sampler
from testbed.simulation.updater import DATABASE, Decider, Updater

# How often requests are counted.
_COUNT_EVERY_S = 0.25


class World:
    """The run so far.

    Attributes:
        agenda: the time.
        record: what happened.
        processors: of the server's machine.
    """

    def __init__(
        self,
        server: ServerModel,
        clients: ClientsModel,
        streams: Streams,
        update: UpdateModel | None = None,
        throttle: Decider | None = None,
        *,
        fault: Fault = healthy,
        wall_s: float = 0.0,
    ) -> None:
        """Without a throttle no update runs; `wall_s` is the wall clock at the start."""
        self.agenda = Agenda()
        self.record = Record()
        self.processors = Processors(self.agenda, server.cores)
        self._fault = fault
        self._wall_s = wall_s
        self._answered, self._count_again_s = 0, 0.0
        cores = self.processors
        if server.database_cores is not None:
            cores = Processors(self.agenda, server.database_cores)
        database = DatabaseServer(self.agenda, cores, server.round_trip_s)
        main = Process(self.agenda, server, self.processors, database)
        serving = main
        if server.clients_elsewhere:
            serving = Process(self.agenda, server, self.processors, database)
        made = Clients(self.agenda, clients, serving, streams("clients"), self.record)
        self._seen = made if serving is main else None
        if update is None or throttle is None:
            return
        observe: Callable[[str | None, Sample], None] | None = getattr(throttle, "observe", None)
        if observe is not None:
            processes = (main,) if serving is main else (main, serving)
            Sampler(
                self.agenda, main, database, DATABASE, self._seen, processes, self._told(observe)
            )
        Updater(
            self.agenda,
            update,
            main,
            throttle,
            self._conditions,
            streams("update"),
            self.record,
        )

    def run(self, end_s: float) -> Record:
        """Run until then."""
        self.agenda.run_until(end_s)
        return self.record

    def _told(
        self, observe: Callable[[str | None, Sample], None]
    ) -> Callable[[str | None, Sample], None]:
        def told(database_name: str | None, sample: Sample) -> None:
            for changed in self._fault(sample):
                observe(database_name, changed)

        return told

    def _conditions(self) -> Conditions:
        now_s = self.agenda.now_s
        if self._seen is None:
            return Conditions(now_s, self._wall_s + now_s)
        if now_s >= self._count_again_s:
            self._count_again_s = now_s + _COUNT_EVERY_S
            self._answered = self._seen.answered
        return Conditions(
            now_s,
            self._wall_s + now_s,
            active_requests=self._seen.young(),
            requests_answered=self._answered,
        )
