"""The batches that ran, from the logs of Synapse and of the module."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import attrs

_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}) (?P<level>\w+)"
    r" (?P<logger>[\w.]+): (?P<text>.*)$"
)
_STARTED = re.compile(r"Starting update batch on background update '(?P<name>[^']+)'")
_ENDED = re.compile(
    r"Running background update '(?P<name>[^']+)'\. Processed (?P<items>-?\d+) items"
    r" in (?P<took>[\d.]+)ms\. .*batch_size=(?P<size>\d+)\)"
)
_MODULE_BATCH = re.compile(
    r"Batch of (?P<name>\S+) in (?P<database>\S+): took (?P<took>[\d.]+)ms,"
    r" after a wait of (?P<wait>[\d.]+)ms for (?P<reason>.*); items counted: (?P<items>\w+)"
)


@attrs.frozen
class LogLine:
    """One line. `at_s` is in seconds; only differences are meaningful."""

    at_s: float
    level: str
    logger: str
    text: str


@attrs.frozen
class Batch:
    """A batch in Synapse's log: start and end (seconds), items done and requested."""

    update_name: str
    start_s: float
    end_s: float
    items: int
    size: int

    @property
    def took_s(self) -> float:
        return self.end_s - self.start_s


@attrs.frozen
class ModuleBatch:
    """A batch in the module's log."""

    update_name: str
    at_s: float
    took_ms: float
    wait_ms: float
    reason: str
    items: int | None


def lines(log: str) -> Iterator[LogLine]:
    for line in log.splitlines():
        match = _LINE.match(line)
        if match:
            at_s = datetime.fromisoformat(match["time"]).timestamp()
            yield LogLine(at_s, match["level"], match["logger"], match["text"])


def batches(log: str, update_name: str | None = None) -> list[Batch]:
    """Synapse's batches that ended, of one update or (None) of all."""
    found: list[Batch] = []
    starts_s: dict[str, float] = {}  # databases run in parallel
    for line in lines(log):
        started, ended = _STARTED.search(line.text), _ENDED.search(line.text)
        if started:
            starts_s[started["name"]] = line.at_s
        if ended and update_name in (None, ended["name"]):
            found.append(
                Batch(
                    ended["name"],
                    starts_s.get(ended["name"], 0.0),
                    line.at_s,
                    int(ended["items"]),
                    int(ended["size"]),
                )
            )
    return found


def module_batches(log: str) -> list[ModuleBatch]:
    """The batches in the module's log."""
    found = []
    for line in lines(log):
        match = _MODULE_BATCH.match(line.text)
        if match:
            items = int(match["items"]) if match["items"].isdigit() else None
            found.append(
                ModuleBatch(
                    match["name"],
                    line.at_s,
                    float(match["took"]),
                    float(match["wait"]),
                    match["reason"],
                    items,
                )
            )
    return found


def has_just_ended(log: str) -> bool:
    """Whether a batch ended within the last second, so that a long rest has just begun."""
    found = batches(log)
    return bool(found) and time.time() - found[-1].end_s < 1


def duty_cycle(found: list[Batch]) -> float:
    """Share of the time in batches, from the first one's start to the last one's start."""
    elapsed_s = found[-1].start_s - found[0].start_s
    return sum(batch.took_s for batch in found[:-1]) / elapsed_s


def rests_s(found: list[Batch]) -> dict[str, list[float]]:
    """By update, the seconds between each of its batches and the batch before."""
    rests: dict[str, list[float]] = {}
    for before, batch in pairwise(found):
        rests.setdefault(batch.update_name, []).append(batch.start_s - before.end_s)
    return rests
