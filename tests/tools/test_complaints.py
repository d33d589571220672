"""Forbidden log lines have the same words as the code that logs them."""

from importlib import metadata
from pathlib import Path

import pytest
import synapse
import twisted

import synapse_bgthrottle
from testbed.observe.forbidden_log_lines import COMPLAINTS, complaints
from testbed.observe.log_contexts import WORD, not_of_synapse

_LATER_THAN_1_60 = ("did not maintain the calling logcontext", "re-entered without a proc")


def _writers() -> list[Path]:
    synapse_folder, twisted_folder = Path(synapse.__file__).parent, Path(twisted.__file__).parent
    return [
        *(synapse_folder / "logging").glob("*.py"),
        *(synapse_folder / "metrics").glob("*.py"),
        *synapse_folder.glob("*.so"),
        twisted_folder / "internet/defer.py",
        *Path(synapse_bgthrottle.__file__).parent.rglob("*.py"),
    ]


def test_wording() -> None:
    """What nobody writes could not be found."""
    written = b"".join(path.read_bytes() for path in _writers())
    is_old = int(metadata.version("matrix-synapse").split(".")[1]) < 150
    for text in (*COMPLAINTS, WORD):
        begin = text.removesuffix("bgthrottle")  # the name of a process
        assert begin.encode() in written or (is_old and text in _LATER_THAN_1_60)


def test_complaints() -> None:
    """Each is one; what Synapse loses by itself is none, nor is what it logs otherwise."""
    for text in COMPLAINTS:
        assert [f"x {text} y"] == complaints(f"Running background update\nx {text} y\n")
    assert ["from sentinel context"] == complaints("from sentinel context\n")
    assert [] == complaints(_LOST_BY_SYNAPSE)
    again = "Re-starting finished log context"
    assert [] == complaints(f"{again} task-update_join_states-148-iqqc\n")
    other = "Background process re-entered without a proc: task-update_join_states-148-iqqc"
    assert [other] == complaints(other)
    ours = f"{again} background_updates-1"
    assert [ours] == complaints(ours)


_LOST_BY_SYNAPSE = """\
Starting db txn 'update_scheduled_task' from sentinel context
Starting db connection from sentinel context: metrics will be lost
Running background update 'odd'
Starting db txn 'insert_scheduled_task' from sentinel context
Starting db connection from sentinel context: metrics will be lost
Starting db txn 'drop_lock' from sentinel context
Starting db connection from sentinel context: metrics will be lost
Background process 'task-update_join_states' threw an exception
Calling defer_to_threadpool from sentinel context: metrics will be lost
"""


def test_contexts_that_synapse_loses() -> None:
    """Seven lines for each failure of its own task are let pass, and not one more."""
    assert [] == not_of_synapse(_LOST_BY_SYNAPSE * 2)
    without_failure = _LOST_BY_SYNAPSE.replace("task-update_join_states", "another")
    assert 7 == len(not_of_synapse(without_failure))


@pytest.mark.parametrize(
    "line",
    [
        "Calling defer_to_threadpool from sentinel context: metrics will be lost",
        "Starting db connection from sentinel context: metrics will be lost",
        "Starting db txn 'bgthrottle_probe' from sentinel context",
        "Starting db txn 'drop_lock' from sentinel context",
        "Starting metrics collection 'x' from sentinel context: metrics will be lost",
    ],
)
def test_contexts_that_we_lose(line: str) -> None:
    """Whatever comes beside those of Synapse is ours."""
    assert [line] == not_of_synapse(f"{_LOST_BY_SYNAPSE}{line}\n")
    assert [line] == not_of_synapse(f"{line}\n{_LOST_BY_SYNAPSE}")[:1]
