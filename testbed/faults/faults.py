"""Faults around a real server. Each is a context manager, and ends with its block."""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any

import psycopg2

from testbed.servers.postgres import PostgresServer
from testbed.servers.process import SynapseProcess
from testbed.servers.tcp_proxy import TcpProxy
from testbed.waiting import HANG_S, stays_true, wait_until

Fault = Callable[[], AbstractContextManager[None]]


@contextmanager
def _down(postgres: PostgresServer, end: Callable[[], object]) -> Iterator[None]:
    end()
    try:
        yield
    finally:
        postgres.start()


def stopped(postgres: PostgresServer) -> AbstractContextManager[None]:
    """Stopped as by `systemctl stop`."""
    return _down(postgres, postgres.stop)


def stopped_in_a_batch(postgres: PostgresServer, name: str) -> AbstractContextManager[None]:
    """Stopped during a batch of `event_search`, which a lock delays."""

    def stop() -> None:
        with postgres.session(name) as cursor:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE event_search IN SHARE MODE")
            wait_until(lambda: _waits_for_event_search(postgres, name))
            postgres.stop()

    return _down(postgres, stop)


def crashed(postgres: PostgresServer) -> AbstractContextManager[None]:
    """It ends at once with all sessions, and must recover at its start."""
    return _down(postgres, postgres.kill)


def killed(postgres: PostgresServer) -> AbstractContextManager[None]:
    """`kill -9` of its first process."""

    def kill() -> None:
        postgres.process.kill()
        postgres.process.wait()

    return _down(postgres, kill)


def _waits_for_event_search(postgres: PostgresServer, name: str) -> bool:
    with postgres.session(name) as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_locks"
            " WHERE NOT granted AND relation = 'event_search'::regclass"
        )
        return bool(cursor.fetchone()[0])


def resets(proxy: TcpProxy, every_s: float = 0.3) -> AbstractContextManager[None]:
    """All connections through the proxy are reset repeatedly."""
    return repeatedly(proxy.reset, every_s)


def cut_off(
    postgres: PostgresServer, name: str, every_s: float = 0.3
) -> AbstractContextManager[None]:
    """Its sessions are ended repeatedly, so that new ones must be made."""
    return repeatedly(partial(end_sessions, postgres, name), every_s)


@contextmanager
def silent(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Its sessions are ended, and new ones get no answer and no error."""
    with postgres.session("postgres") as cursor:
        postgres.process.send_signal(signal.SIGSTOP)
        try:
            _end_sessions(cursor, name)
            yield
        finally:
            postgres.process.send_signal(signal.SIGCONT)


@contextmanager
def without_slots(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Others take all its connections, and the server's own are ended."""
    taken: list[Any] = []

    try:
        with postgres.session("postgres") as cursor:

            def take() -> None:
                _end_sessions(cursor, name)
                with suppress(psycopg2.OperationalError):
                    while True:
                        taken.append(psycopg2.connect(**postgres.connection("postgres")))

            with repeatedly(take, 0.3):
                yield
    finally:
        for connection in taken:
            connection.close()


@contextmanager
def read_only(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Transactions in this database are read-only."""
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
def queue_locked_in_a_batch(
    postgres: PostgresServer, name: str, server: SynapseProcess
) -> Iterator[None]:
    """The same, while a batch runs, which waits for the lock then."""
    with postgres.session(name) as cursor:

        def is_locked_in_a_batch() -> bool:
            wait_until(lambda: _is_at_work(server))
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE background_updates IN ACCESS EXCLUSIVE MODE")
            # On a busy machine the batch may have ended just before.
            is_in_batch = stays_true(lambda: _is_at_work(server), 0.5)
            if not is_in_batch:
                cursor.execute("ROLLBACK")
            return is_in_batch

        wait_until(is_locked_in_a_batch)
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
def suspended(process: SynapseProcess) -> Iterator[None]:
    """The process is stopped, as by a laptop's lid or a migrated virtual machine."""
    assert process.process is not None
    process.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)


@contextmanager
def frozen_in_a_batch(postgres: PostgresServer, server: SynapseProcess) -> Iterator[None]:
    """Like a virtual machine in migration: its sessions stay, but nothing runs."""
    processes: list[int] = []

    def signal_all(number: int) -> None:
        for process in processes:
            os.kill(process, number)

    def is_frozen_in_a_batch() -> bool:
        wait_until(lambda: _is_at_work(server))
        processes[:] = postgres.processes()
        signal_all(signal.SIGSTOP)
        # On a busy machine the batch may have ended just before.
        is_in_batch = stays_true(lambda: _is_at_work(server), 0.5)
        if not is_in_batch:
            signal_all(signal.SIGCONT)
        return is_in_batch

    wait_until(is_frozen_in_a_batch)
    try:
        yield
    finally:
        signal_all(signal.SIGCONT)


def _is_at_work(server: SynapseProcess) -> bool:
    log = server.log()
    return log.count("Starting update batch") > log.count("Running background update")


def end_sessions(postgres: PostgresServer, name: str) -> None:
    """End all sessions in a database; the server may not run."""
    with suppress(psycopg2.Error), postgres.session("postgres") as cursor:
        _end_sessions(cursor, name)


def _end_sessions(cursor: Any, name: str) -> None:
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
    )


def _alter(postgres: PostgresServer, name: str, what: str) -> None:
    with postgres.session("postgres") as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" {what}')
        _end_sessions(cursor, name)  # the setting applies to new sessions only


@contextmanager
def repeatedly(work: Callable[[], object], every_s: float) -> Iterator[None]:
    """Run `work` in a thread until the block ends, again and again after a pause."""
    end = threading.Event()

    def run() -> None:
        work()
        while not end.wait(every_s):
            work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(HANG_S)


def has_aborted(server: SynapseProcess) -> bool:
    return "back-to-back background update failures; aborting" in server.log()


def is_told(line: str) -> bool:
    """Whether a log line is from the module, above DEBUG."""
    return " synapse_bgthrottle" in line and " DEBUG " not in line
