"""A module for the server under test that records its memory use repeatedly."""

import gc
import json
import threading
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
from synapse.module_api import ModuleApi

MODULE = f"{__name__}.MemoryModule"
PACKAGE = "synapse_bgthrottle"
_MOST_FILES = 12


@attrs.frozen
class Look:
    """Memory allocated at one moment, since the module was loaded.

    Attributes:
        ours_kib: by files of the tested module.
        ours_objects: objects of its classes.
        all_kib: by all files.
        objects: objects of all classes, as far as the garbage collector knows them.
        files: KiB of the files with the most memory.
    """

    ours_kib: float
    ours_objects: int
    all_kib: float
    objects: int
    files: dict[str, float]


class MemoryModule:
    """Configuration: `path`, to which a line of JSON is written `every_s`."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        self._path = Path(config["path"])
        self._every_s = float(config["every_s"])
        tracemalloc.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._every_s):
            with self._path.open("a") as file:
                file.write(json.dumps(attrs.asdict(_look())) + "\n")


def looks(path: Path) -> list[Look]:
    """What was written so far, oldest first."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Look(**json.loads(line)) for line in lines]


def _look() -> Look:
    gc.collect()
    by_file: Counter[str] = Counter()
    for statistic in tracemalloc.take_snapshot().statistics("filename"):
        by_file[_short(statistic.traceback[0].filename)] += statistic.size
    ours = sum(size for name, size in by_file.items() if name.startswith(f"{PACKAGE}/"))
    things = gc.get_objects()
    kinds = Counter(type(thing).__module__.partition(".")[0] for thing in things)
    return Look(
        ours_kib=_kib(ours),
        ours_objects=kinds[PACKAGE],
        all_kib=_kib(sum(by_file.values())),
        objects=len(things),
        files={name: _kib(size) for name, size in by_file.most_common(_MOST_FILES)},
    )


def _short(filename: str) -> str:
    for mark in ("/site-packages/", f"/{PACKAGE}/"):
        before, _, after = filename.rpartition(mark)
        if before:
            return after if mark == "/site-packages/" else f"{PACKAGE}/{after}"
    return "/".join(filename.split("/")[-2:])


def _kib(size: int) -> float:
    return round(size / 1024, 1)
