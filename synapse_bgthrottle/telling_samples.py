"""The log lines that samples are worth: signals that cannot be seen, and index builds. Pure."""

import logging
from collections.abc import Iterator

import attrs

from synapse_bgthrottle.board import Board
from synapse_bgthrottle.signals.samples import DatabaseSample
from synapse_bgthrottle.telling import Line
from synapse_bgthrottle.units import format_ratio

# An index build that goes on in one phase is told of again after this long.
BUILD_AGAIN_S = 600.0

# A rate needs two samples to be seen.
_SAMPLES_UNTIL_SEEN = 3


@attrs.define
class SampleTeller:
    """Remembers what was last told of the samples of one database.

    Attributes:
        database_name: the database.
    """

    database_name: str
    _samples: int = 0
    _told: set[str] = attrs.field(factory=set)
    _phase: str = ""
    _told_s: float = 0.0

    def tell(self, update_name: str, board: Board, sample: DatabaseSample) -> Iterator[Line]:
        """The lines, mostly none, that this sample is worth: level and text."""
        if sample.problem:
            return
        self._samples += 1
        # Only PostgreSQL counts transactions: what SQLite does not have need not be told.
        if self._samples >= _SAMPLES_UNTIL_SEEN and sample.transactions is not None:
            for name in sorted(set(board.unobservable()) - self._told):
                self._told.add(name)
                left_out = "and is left out"
                if board.levels[name].is_hidden:
                    left_out = "but for sessions of the server's own role"
                yield (
                    logging.INFO,
                    f"{name} is not observable in {self.database_name}, {left_out}:"
                    " see the table of signals in the documentation",
                )
        yield from self._build(update_name, sample)

    def _build(self, update_name: str, sample: DatabaseSample) -> Iterator[Line]:
        phase, done_ratio = sample.index_build or ("", None)
        if phase and (phase != self._phase or sample.at_s - self._told_s >= BUILD_AGAIN_S):
            done = "" if done_ratio is None else f", {format_ratio(round(done_ratio, 3))} done"
            name = f"{update_name} in {self.database_name}"
            yield logging.INFO, f"Building an index for {name}: {phase}{done}"
            self._told_s = sample.at_s
        self._phase = phase
