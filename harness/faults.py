"""Ways to make things go wrong around a real server. Each is a context: it ends with the block."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import psycopg2

from harness.postgres import PostgresServer
from harness.process import SynapseProcess
from harness.tcp_proxy import TcpProxy
from harness.worlds import World

Fault = Callable[[], AbstractContextManager[None]]


@contextmanager
def stopped(postgres: PostgresServer) -> Iterator[None]:
    """As `systemctl stop` does."""
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@contextmanager
def stopped_in_a_batch(postgres: PostgresServer, name: str) -> Iterator[None]:
    """The same while a batch of `event_search` is at work, which a lock sees to."""
    with postgres.session(name) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE event_search IN SHARE MODE")
        wait_until(lambda: _waits_for_event_search(postgres, name))
        postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def _waits_for_event_search(postgres: PostgresServer, name: str) -> bool:
    with postgres.session(name) as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_locks"
            " WHERE NOT granted AND relation = 'event_search'::regclass"
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def resets(proxy: TcpProxy, every_s: float = 0.3) -> Iterator[None]:
    """All connections through the proxy are reset, again and again."""
    end = threading.Event()

    def reset() -> None:
        while not end.is_set():
            proxy.reset()
            end.wait(every_s)

    with beside(reset, end):
        yield


@contextmanager
def crashed(postgres: PostgresServer) -> Iterator[None]:
    """It ends at once, all sessions with it, and has to recover when it starts."""
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()


@contextmanager
def killed(postgres: PostgresServer) -> Iterator[None]:
    """Kill -9 of its first process."""
    postgres.process.kill()
    postgres.process.wait()
    try:
        yield
    finally:
        postgres.start()


@contextmanager
def cut_off(postgres: PostgresServer, name: str, every_s: float = 0.3) -> Iterator[None]:
    """Its sessions are ended, again and again, so that they have to be made anew."""
    end = threading.Event()

    def cut() -> None:
        while not end.is_set():
            end_sessions(postgres, name)
            end.wait(every_s)

    with beside(cut, end):
        yield


@contextmanager
def without_slots(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Others take all connections that it has, and the server's own are ended."""
    end = threading.Event()
    taken: list[Any] = []

    def take() -> None:
        with postgres.session("postgres") as cursor:
            while not end.is_set():
                _end_sessions(cursor, name)
                with suppress(psycopg2.OperationalError):
                    while True:
                        taken.append(psycopg2.connect(**postgres.connection("postgres")))
                end.wait(0.3)

    try:
        with beside(take, end):
            yield
    finally:
        for connection in taken:
            connection.close()


@contextmanager
def read_only(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Every transaction in this database may only read."""
    _alter(postgres, name, "SET default_transaction_read_only = on")
    try:
        yield
    finally:
        _alter(postgres, name, "RESET default_transaction_read_only")


@contextmanager
def queue_locked(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Another session holds the lock on the queue's table."""
    with postgres.session(name) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE background_updates IN ACCESS EXCLUSIVE MODE")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


@contextmanager
def file_locked(path: str) -> Iterator[None]:
    """Another process holds SQLite's lock."""
    other = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte is free where this folder is: to be used in one of `small_disk` only."""
    filler = folder / "filler"
    try:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                while True:
                    file.write(b"\0" * size)
        yield
    finally:
        filler.unlink()


@contextmanager
def suspended(process: SynapseProcess) -> Iterator[None]:
    """As a laptop's lid, or a moved machine, does to a server."""
    assert process.process is not None
    process.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    """A disk of this size, in memory, at this folder.

    Raises:
        PermissionError: mounting is not allowed here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=777", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        raise PermissionError("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def end_sessions(postgres: PostgresServer, name: str) -> None:
    """End all sessions in a database; there may be no server to ask."""
    with suppress(psycopg2.Error), postgres.session("postgres") as cursor:
        _end_sessions(cursor, name)


def _end_sessions(cursor: Any, name: str) -> None:
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
    )


def _alter(postgres: PostgresServer, name: str, what: str) -> None:
    with postgres.session("postgres") as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" {what}')
        _end_sessions(cursor, name)  # it counts for new sessions only


@contextmanager
def beside(work: Callable[[], None], end: threading.Event) -> Iterator[None]:
    """The work in a thread of its own, which must end when it is told to."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(30)


@attrs.frozen
class Seen:
    """What became of the updates of a server to which something happened.

    Attributes:
        recovered_s: from the fault's end to the end of the first batch after; None: there is none.
        aborted: whether Synapse gave up all updates.
        failed: iterations that failed, by Synapse's log.
        told: lines of the module above DEBUG, from the fault on.
        left: updates pending at the end.
        rows_before: rows of the index when the fault began.
        rows, expected: rows of the index at the end, and how many there must be once it is done.
        wrong: rows too many or too few at the end, by where the update says to be.
    """

    recovered_s: float | None
    aborted: bool
    failed: int
    told: int
    left: int
    rows_before: int
    rows: int
    expected: int
    wrong: int


def go_through(
    world: World, fault: AbstractContextManager[None], outage_s: float, patience_s: float = 60
) -> Seen:
    """What happens to a running server's updates from a fault on, until they are done or aborted.

    The server has run some batches before, and is stopped at the end.
    """
    server = world.server
    with server:
        wait_until(lambda: _batches(server, 0) >= 3)
        begin = len(server.log().encode())
        rows_before = world.rows()
        with fault, suppress(TimeoutError):  # nothing more happens to one that has aborted
            wait_until(lambda: False, outage_s, give_up=lambda: has_aborted(server))
        ended = time.monotonic()
        from_then = len(server.log().encode())
        recovered_s: float | None = None
        with suppress(TimeoutError):
            wait_until(
                lambda: _batches(server, from_then) > 0 or world.pending() == 0,
                patience_s,
                give_up=lambda: has_aborted(server),
            )
            recovered_s = time.monotonic() - ended
        with suppress(TimeoutError):
            wait_until(lambda: world.pending() == 0, 120, give_up=lambda: has_aborted(server))
    log = server.log(begin)
    return Seen(
        None if recovered_s is None else round(recovered_s, 1),
        has_aborted(server),
        log.count("Error doing update"),
        len([line for line in log.splitlines() if is_told(line)]),
        world.pending(),
        rows_before,
        world.rows(),
        world.expected,
        world.wrong(),
    )


def has_aborted(server: SynapseProcess) -> bool:
    return "back-to-back background update failures; aborting" in server.log()


def wait_until(
    condition: Callable[[], Any],
    timeout_s: float = 60,
    give_up: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until it holds.

    Raises:
        TimeoutError: it does not, or there is no use in waiting.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline or give_up():
            raise TimeoutError("the condition did not come true")
        time.sleep(0.1)


def _batches(server: SynapseProcess, begin: int) -> int:
    return server.log(begin).count("Running background update")


def is_told(line: str) -> bool:
    """Whether a line of the log is the module's, above DEBUG."""
    return " synapse_bgthrottle" in line and " DEBUG " not in line
