"""Live progress from the two logs: one line that changes in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping

from harness import batches, data
from harness.server import SynapseServer

_LOOK_EVERY_S = 0.2
_PLAIN_EVERY_S = 3.0


class Live:
    """Follows a server until its queue is empty.

    Args:
        server: which runs.
        totals: items to do of the updates of which that is known.
    """

    def __init__(self, server: SynapseServer, totals: Mapping[str, int]) -> None:
        self._server = server
        self._totals = totals
        self._terminal = sys.stdout.isatty()
        self._current = ""
        self._printed_at = 0.0

    def follow(self, longest_s: float) -> None:
        """Until nothing is pending, or for `longest_s`."""
        deadline = time.monotonic() + longest_s
        while data.pending_updates(self._server.database_path) and time.monotonic() < deadline:
            self._draw()
            time.sleep(_LOOK_EVERY_S)
        self._draw()
        if self._terminal:
            print()

    def _draw(self) -> None:
        found = batches.module_batches(self._server.log())
        if not found:
            return
        last = found[-1]
        own = [batch for batch in found if batch.update_name == last.update_name]
        line = self._line(own)
        if self._terminal:
            width = shutil.get_terminal_size().columns
            if self._current not in ("", last.update_name):
                print()
            print(f"\r\x1b[K{line[: width - 1]}", end="", flush=True)
        elif last.update_name != self._current or time.monotonic() > self._printed_at:
            print(line, flush=True)
            self._printed_at = time.monotonic() + _PLAIN_EVERY_S
        self._current = last.update_name

    def _line(self, own: list[batches.ModuleBatch]) -> str:
        last = own[-1]
        work_ms = sum(batch.took_ms for batch in own)
        share = work_ms / (work_ms + sum(batch.wait_ms for batch in own))
        items = sum(batch.items or 0 for batch in own)
        total = self._totals.get(last.update_name)
        done = f"{items} items" if total is None else f"{items / total:4.0%} {items}/{total} items"
        return (
            f"{last.update_name[:36]:36} {done:>12}; batch {last.took_ms:.0f}ms,"
            f" wait {last.wait_ms:.0f}ms, duty {share:.0%}; {last.reason}"
        )
