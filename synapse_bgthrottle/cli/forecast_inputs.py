"""The file in which forecasts are kept, to tell later how good they were."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from synapse_bgthrottle.forecast.accuracy import Kept, bounded

_LARGEST_FILE = 256 * 1024
_TYPES = {field.name: field.type for field in attrs.fields(Kept)}


def default_file(environment: Mapping[str, str]) -> Path:
    """`~/.local/state/bgthrottle/forecasts.json`, or below XDG_STATE_HOME."""
    home = environment.get("XDG_STATE_HOME", "")
    folder = home if home.startswith("/") else os.path.expanduser("~/.local/state")
    return Path(folder, "bgthrottle", "forecasts.json")


def read(file: Path) -> tuple[Kept, ...]:
    """What is kept; a file that is missing or damaged has nothing to tell."""
    try:
        with file.open("rb") as opened:
            raw = json.loads(opened.read(_LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return ()
    kept = []
    for item in raw if isinstance(raw, list) else ():
        if not isinstance(item, dict) or set(item) != set(_TYPES):
            continue
        if all(
            isinstance(item[name], str if kind is str else float) for name, kind in _TYPES.items()
        ):
            kept.append(Kept(**item))
    return bounded(kept)


def add(file: Path, new: Sequence[Kept]) -> None:
    """Keep these too, readable by nobody else.

    Raises:
        OSError: the file cannot be written.
    """
    if not new:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps([attrs.asdict(each) for each in bounded((*read(file), *new))])
    # A whole file or none, and never one that others may read: mkstemp makes it 0600.
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".forecasts")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
