"""What is modelled, as numbers: a server, its clients, an update. Plain data."""

from collections.abc import Callable

import attrs

from testbed.simulation.loads import Load

# A number from 0 (included) to 1 (not included), another one each time: `random.Random(0).random`.
Uniform = Callable[[], float]

# Independent ones by name, so that what one part draws does not change what another one gets.
Streams = Callable[[str], Uniform]


@attrs.frozen(kw_only=True)
class ServerModel:
    """The machines and processes.

    Attributes:
        cores: of the machine with the server.
        database_cores: of the database's own machine; None: it is on the same one.
        round_trip_s: to the database and back.
        connections: of the pool; 1 is SQLite, where a batch keeps everybody out.
        lock_contention_ratio: how much Python in the reactor and in database threads gets in each
            other's way; 1: they take turns.
        thread_weight: what a thread gets of the interpreter while the reactor wants it too, against
            the reactor's 1. More than 1, as a thread keeps the lock for 5 ms at a time.
        clients_elsewhere: whether a worker process serves the clients.
    """

    cores: float = 2.0
    database_cores: float | None = None
    round_trip_s: float = 0.0001
    connections: int = 10
    lock_contention_ratio: float = 1.0
    thread_weight: float = 1.0
    clients_elsewhere: bool = False


@attrs.frozen(kw_only=True)
class RequestKind:
    """A kind of request, by its means; each part of each request is drawn.

    Attributes:
        name: as its servlet is called.
        share: of all requests, against the other kinds' shares.
        reactor_s: work in the reactor, half of it before the transaction and half after.
        thread_s: work in the database thread's Python.
        database_s: work in the database. 0 with no `thread_s`: there is no transaction.
        exact: whether each request takes just the means.
        shape: of the Erlang distribution of each part; 1 is exponential, more varies less.
    """

    name: str
    share: float = 1.0
    reactor_s: float = 0.0
    thread_s: float = 0.0
    database_s: float = 0.0
    exact: bool = False
    shape: int = 1

    @property
    def has_transaction(self) -> bool:
        return self.thread_s > 0 or self.database_s > 0


@attrs.frozen(kw_only=True)
class ClientsModel:
    """Who uses the server.

    Attributes:
        kinds: of requests.
        load: requests per second over time.
        long_polls: clients that always have a request waiting, each renewed after 30 s.
    """

    kinds: tuple[RequestKind, ...]
    load: Load
    long_polls: int = 0


@attrs.frozen(kw_only=True)
class UpdateModel:
    """A background update.

    Attributes:
        name: of the update.
        reactor_s, thread_s, database_s: mean work for one item, by place.
        overhead_thread_s, overhead_database_s: work for each batch, whatever its size.
        cost_factor: what an item costs at a time, as a multiple.
        works_from_s: until then its batches take as long, and only wait: for a disk, or for another
            machine. Nobody else is slower by it.
        dear_share, dear_factor: this share of the items costs so many times as much.
        items: how many there are; inf: no end.
        reactor_slice_s: longest time in the reactor at a stretch.
    """

    name: str = "an_update"
    reactor_s: float = 0.0
    thread_s: float = 0.0
    database_s: float = 0.0
    overhead_thread_s: float = 0.0005
    overhead_database_s: float = 0.001
    cost_factor: Callable[[float], float] = lambda now_s: 1.0
    works_from_s: float = 0.0
    dear_share: float = 0.0
    dear_factor: float = 1.0
    items: float = float("inf")
    reactor_slice_s: float = float("inf")
