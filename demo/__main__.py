"""Makes a server with real messages, then lets its pending updates run under the module."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import yaml

from demo.report import Report
from testbed.faults import sqlite_data
from testbed.servers.cli_process import COMMAND, Command
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer

_FOLDER = Path(__file__).parent.parent / ".demo"
_CONFIG = Path(__file__).parent / "module.yaml"
_ROOMS = 3
_SEND_FOR_S = 45
_LONGEST_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--messages", type=int, default=2400, help="how many alice sends")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="is emptied first")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell had them ignored
        signal.signal(number, _end)
    folder = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    print(f"A Synapse on SQLite, in {folder}; its log is homeserver.log there.")
    token = _make_messages(folder, options.messages)
    config = yaml.safe_load(_CONFIG.read_text())
    server = SynapseServer(folder, config)
    command = Command.of(server.url, token, folder / "token")
    state_keys = sqlite_data.queue_state_keys(server.database_path, ordering=1_000_000)
    rows = sqlite_data.queue_search_reindex(server.database_path, ordering=1_000_001)
    pending = sqlite_data.pending_updates(server.database_path)
    print(f"\n{pending} updates are pending. Two were queued for this demo:")
    print(f"event_search ({rows} rows) and events_populate_state_key_rejections.")
    print(f"\nThe module's configuration ({_CONFIG.name}):\n\n{_indented(_CONFIG.read_text())}")
    begin = time.monotonic()
    with server:
        problems = _call(command, "watch", "--until-done", "--interval", "500ms", "--every", "5s")
        elapsed_s = time.monotonic() - begin
        problems += _call(command, "history", "event*", "--limit", "4")
        problems += _call(command, "check")
    report = Report(server.log(), elapsed_s)
    print(report.text())
    problems += [
        *report.problems(config),
        *_row_problems(server.database_path, rows, state_keys),
    ]
    if server.exit_status() != 0:
        problems.append(f"the server ended with exit status {server.exit_status()}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if not problems:
        print("Every row was done, every limit kept; the server is stopped.")
    return 1 if problems else 0


def _call(command: Command, *arguments: str) -> list[str]:
    """In this terminal, if it is one; answers whether that was a problem."""
    print(f"$ bgthrottle {shlex.join(arguments)}", flush=True)
    try:
        ended = subprocess.run(
            [*COMMAND, *arguments], env=command.environment(), timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"bgthrottle {arguments[0]} did not end within {_LONGEST_S}s"]
    print(flush=True)
    if ended.returncode:
        return [f"bgthrottle {arguments[0]} ended with exit status {ended.returncode}"]
    return []


def _make_messages(folder: Path, messages: int) -> str:
    """Answers an administrator's token."""
    # Stock updates sleep through this part, so that all of them are still pending afterwards.
    stock = {"background_updates": {"sleep_duration_ms": 3_600_000}}
    with SynapseServer(folder, None, stock) as server:
        user = MatrixClient.register(server.url, "alice", admin=True)
        rooms = [user.create_room(f"room {number}") for number in range(_ROOMS)]
        begin = time.monotonic()
        with ThreadPoolExecutor(_ROOMS) as senders:
            texts = [f"message {number} of the demo" for number in range(messages)]
            sent = [
                senders.submit(user.send, rooms[number % _ROOMS], text)
                for number, text in enumerate(texts)
            ]
            for number, sending in enumerate(sent, 1):
                try:
                    sending.result()
                except BaseException:
                    senders.shutdown(cancel_futures=True)
                    raise
                took_s = time.monotonic() - begin
                if number % max(messages // 4, 1) == 0:
                    print(f"alice has sent {number} messages to {_ROOMS} rooms in {took_s:.0f}s")
                if took_s > _SEND_FOR_S:
                    print(f"This machine is slow: {number} messages will do.")
                    senders.shutdown(cancel_futures=True)
                    break
        return user.token


def _row_problems(database: Path, rows: int, state_keys: int) -> list[str]:
    problems = []
    for what, expected, sql in (
        ("rows in event_search", rows, "SELECT COUNT(*) FROM event_search"),
        ("state keys in events", state_keys, sqlite_data.STATE_KEYS_SQL),
        ("updates still pending", 0, "SELECT COUNT(*) FROM background_updates"),
    ):
        found = sqlite_data.count_rows(database, sql)
        if found != expected:
            problems.append(f"{what}: {found}, expected {expected}")
    return problems


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _end(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted; the server is stopped.")
        sys.exit(130)
