"""Servers, clients and updates for trials of laws.

`TWO_CORES`, `REALISTIC` requests at 15 a second, and the updates are calibrated. A real server of
two cores, shared with its database and the source of the load, gave the updates' speed and their
harm without a throttle.
"""

from types import MappingProxyType

import attrs

from testbed.simulation.model import RequestKind, ServerModel, UpdateModel

# The source of the load took about half a core.
TWO_CORES = ServerModel(cores=1.5)
SQLITE = ServerModel(cores=1.5, connections=1, round_trip_s=0.0)
SPARE_CORES = ServerModel(cores=4.0, database_cores=8.0, round_trip_s=0.0005)
WORKERS = ServerModel(cores=4.0, clients_elsewhere=True)

SERVERS = MappingProxyType(
    {"two cores": TWO_CORES, "SQLite": SQLITE, "spare cores": SPARE_CORES, "workers": WORKERS}
)

REALISTIC = (
    RequestKind(name="send", share=35, reactor_s=0.030, thread_s=0.004, database_s=0.012),
    RequestKind(name="sync", share=35, reactor_s=0.020, thread_s=0.003, database_s=0.008),
    RequestKind(name="messages", share=20, reactor_s=0.020, thread_s=0.003, database_s=0.008),
    RequestKind(name="profile", share=10, reactor_s=0.003, thread_s=0.0005, database_s=0.0005),
)
# The same, with parts that vary half as much as exponential ones. Then the logarithms of latencies
# vary as on a real server (0.25 to 0.5 within a kind; 0.4 here, and 0.8 with exponential parts).
AS_MEASURED = tuple(attrs.evolve(kind, shape=3) for kind in REALISTIC)
LIGHT = (RequestKind(name="whoami", reactor_s=0.002, thread_s=0.0003, database_s=0.0003),)

# Works in the database and in the Python of its thread.
EVENT_SEARCH = UpdateModel(name="event_search", thread_s=35e-6, database_s=37e-6)
# Works in the reactor.
EVENT_RESIGN = UpdateModel(
    name="event_resign", reactor_s=0.55e-3, database_s=0.09e-3, reactor_slice_s=0.02
)
# Works in the database alone.
STATE_KEYS = UpdateModel(name="events_populate_state_key_rejections", database_s=23e-6)

UPDATES = MappingProxyType(
    {update.name: update for update in (EVENT_SEARCH, EVENT_RESIGN, STATE_KEYS)}
)
