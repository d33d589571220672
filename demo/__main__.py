"""Shows the module at work: clients come and the update slows down; they go and it speeds up.

It starts a new Synapse on SQLite, with its own pending updates and a search index to fill again.
"""

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import attrs
from typing_extensions import Self

from testbed.faults import sqlite_data
from testbed.servers.cli_process import COMMAND, Command
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until

_FOLDER = Path(__file__).parent.parent / ".demo"
_PAGE = "/_synapse/bgthrottle"
_MESSAGES = 60
_CLIENTS = 3
_THINK_S = 0.5
_ROW_S = 2.0
# The shortest scenes, so that there is something to see. Without clients a scene must not be much
# longer, or the update would be done.
_SCENE_S, _SCENE_WITHOUT_CLIENTS_S = 10.0, 6.0
# The module holds updates while less than 1 GiB of the disk is free; the demo needs some, too.
_LEAST_FREE_BYTES = 2 * 1024**3
_ROW = "{:>5}  {:>8}  {:>7}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--events", type=int, default=600_000, help="for the update to work on")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="is emptied first")
    parser.add_argument("--keep", action="store_true", help="stay at the end, until Ctrl-C")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # even if the shell ignores them
        signal.signal(number, _end)
    shutil.rmtree(options.folder, ignore_errors=True)
    free_bytes = shutil.disk_usage(options.folder.parent).free
    if free_bytes < _LEAST_FREE_BYTES:
        parser.error(f"only {free_bytes >> 20} MiB of the disk are free; 2048 MiB are needed")
    _say(
        f"A new Synapse on SQLite, with {options.events} events. Its search index is to be filled."
    )
    user, room = _make_history(options.folder, options.events)
    server = SynapseServer(options.folder, {})
    command = Command.of(server.url, user.token, options.folder / "token")
    with server:
        _say("It runs the module with `config: {}`, the default. The module's page is")
        _say(f"{server.url}{_PAGE}/ (token: {_short(command.token_file)})")
        Show(command, MatrixClient(server.url, user.token)).play(room)
        if options.keep:
            _say("\nLook around until you press Ctrl-C: at the page, or with the command after")
            _say(f"export BGTHROTTLE_URL={server.url} BGTHROTTLE_TOKEN_FILE={command.token_file}")
            threading.Event().wait()
    _say("\nThe server is stopped. After its next start the update would go on from there.")
    return server.exit_status() or 0


def _make_history(folder: Path, events: int) -> tuple[MatrixClient, str]:
    """Make an administrator, a room full of messages, and an update over all of them."""
    # Synapse's own updates sleep meanwhile, so that all of them are still pending afterwards.
    stock = {"background_updates": {"sleep_duration_ms": 3_600_000}}
    with SynapseServer(folder, None, stock) as server:
        user = MatrixClient.register(server.url, "alice", admin=True)
        room = user.create_room("demo")
        for number in range(_MESSAGES):
            user.send(room, f"message {number} of the demo")
    sqlite_data.multiply_events(server.database_path, events)
    sqlite_data.queue_search_reindex(server.database_path, ordering=-1)
    return user, room


class Clients:
    """Clients that send messages repeatedly. A context manager."""

    def __init__(self, user: MatrixClient, room: str) -> None:
        self._user, self._room = user, room
        self._times_ms: list[float] = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(_CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def take(self) -> list[float]:
        """The duration of each message since the last call, in ms."""
        taken, self._times_ms = self._times_ms, []
        return taken

    def _send(self) -> None:
        while not self._is_over.wait(_THINK_S):
            begin_s = time.monotonic()
            self._user.send(self._room, "hello")
            self._times_ms.append((time.monotonic() - begin_s) * 1000)


@attrs.define
class Show:
    """The scenes, one after the other."""

    _command: Command
    _user: MatrixClient
    _seen: tuple[float, str, float | None] | None = None
    _start_s: float = attrs.field(factory=time.monotonic)

    def play(self, room: str) -> None:
        """Play all scenes."""
        self._watch("No client is there. The update has the server for itself:")
        with Clients(self._user, room) as clients:
            before_ms = self._watch(
                f"{_CLIENTS} clients send messages. The update makes way:",
                clients,
                lambda reason: "clients are here" in reason,
            )
            _say()
            self._call("status")
            _say()
            self._call("pause", "--for", "10m", "--reason", "demo", "--yes")
            alone_ms = self._watch("Paused:", clients, lambda reason: "paused" in reason)
            _say()
            self._call("resume")
            after_ms = self._watch("It goes on:", clients, lambda reason: "paused" not in reason)
        # The mean of before and after the pause, so that a steady drift cancels out.
        beside_ms = (before_ms + after_ms) / 2
        alone, beside = (f"{each:.0f} ms a message" for each in (alone_ms, beside_ms))
        slower = max(round((beside_ms / alone_ms - 1) * 100), 0)
        _say(f"\nClients: {alone} while paused, {beside} beside the update: {slower} % slower.")
        self._watch(
            "The clients go. The update speeds up:",
            is_shown=lambda reason: "clients are here" not in reason,
        )
        _say()
        self._call("status")

    def _watch(
        self,
        title: str,
        clients: Clients | None = None,
        is_shown: Callable[[str], bool] = lambda reason: True,
    ) -> float:
        """Print rows for some seconds and until `is_shown`. Returns the median ms of a message."""
        _say(f"\n{title}\n{_ROW.format('time', 'events/s', 'message', 'the update')}")
        begin_s, all_ms = time.monotonic(), [0.0]
        if clients is not None:
            all_ms = []
            clients.take()  # these belong to the previous scene

        def is_over() -> bool:
            time.sleep(_ROW_S)
            times_ms = [] if clients is None else clients.take()
            all_ms.extend(times_ms)
            reason = self._row(times_ms)
            lasts_s = time.monotonic() - begin_s
            shortest_s = _SCENE_WITHOUT_CLIENTS_S if clients is None else _SCENE_S
            return lasts_s >= shortest_s and (reason == "" or is_shown(reason))

        wait_until(is_over)
        return median(all_ms)

    def _row(self, times_ms: list[float]) -> str:
        """Print a row. Returns why the update is not faster; empty: it is done."""
        current = self._user.call("GET", f"{_PAGE}/v1/status")["databases"][0]["current"]
        if current is None:
            return ""
        now_s = time.monotonic()
        reason: str = current["decision"]["reason"] if current["decision"] else "it begins"
        progress = current["progress"] or {}
        before, self._seen = self._seen, (now_s, current["name"], progress.get("done"))
        rate = ""
        if before is not None and before[1] == current["name"] and before[2] is not None:
            rate = f"{(progress['done'] - before[2]) / (now_s - before[0]):.0f}"
        if before is None or before[1] != current["name"]:
            _say(_ROW.format("", "", "", f"{current['name']}:"))
        share = "" if progress.get("ratio") is None else f"{progress['ratio']:.0%}; "
        message = f"{median(times_ms):.0f} ms" if times_ms else ""
        at = f"{now_s - self._start_s:.0f} s"
        _say(_ROW.format(at, rate, message, f"{share}{reason}"))
        return reason

    def _call(self, *arguments: str) -> None:
        _say(f"$ bgthrottle {shlex.join(arguments)}")
        subprocess.run(
            [*COMMAND, *arguments], env=self._command.environment(), timeout=60, check=True
        )


def _short(path: Path) -> Path:
    """The path relative to the working directory, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _say(text: str = "") -> None:
    print(text, flush=True)


def _end(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted; the server is stopped.")
        sys.exit(130)
