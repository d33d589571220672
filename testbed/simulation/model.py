"""The modelled server, its clients and an update, as numbers. Plain data."""

from collections.abc import Callable

import attrs

from testbed.simulation.loads import Load

# Returns a random number from 0 (included) to 1 (excluded), such as `random.Random(0).random`.
Uniform = Callable[[], float]

# Independent random numbers by name, so that one part's draws do not change another's.
Streams = Callable[[str], Uniform]


@attrs.frozen(kw_only=True)
class ServerModel:
    """The machines and processes.

    Attributes:
        cores: of the server's machine.
        database_cores: of the database's own machine; None: the same machine.
        round_trip_s: to the database and back.
        connections: of the pool; 1: SQLite, where a batch blocks all others.
        lock_contention_ratio: how much Python in the reactor and in database threads block each
            other; 1: they take turns.
        thread_weight: a thread's share of the interpreter while the reactor wants it too, relative
            to the reactor's 1. It is more than 1 if a thread keeps the lock for 5 ms at a time.
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
    """A kind of request by its mean values; each part of each request is drawn.

    Attributes:
        name: name of its servlet.
        share: of all requests, relative to the other kinds' shares.
        reactor_s: work in the reactor, half of it before the transaction and half after.
        thread_s: work in the database thread's Python.
        database_s: work in the database. 0 with no `thread_s`: no transaction.
        exact: whether each request has exactly the mean values.
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
    """The users of the server.

    Attributes:
        kinds: of requests.
        load: requests per second over time.
        long_polls: clients with a permanently waiting request, renewed after 30 s.
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
        cost_factor: factor of an item's cost at a time.
        works_from_s: until then its batches take as long, and only wait: for a disk, or for another
            machine. Nobody else is slower by it.
        dear_share, dear_factor: this share of the items costs so many times as much.
        items: number of items; inf: no end.
        reactor_slice_s: longest uninterrupted time in the reactor.
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
