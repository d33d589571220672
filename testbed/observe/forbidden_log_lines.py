"""Lines that no log must have: of lost log contexts, and of errors of the module's own."""

from __future__ import annotations

from testbed.observe.log_contexts import TASK, WORD, not_of_synapse

_AGAIN = "Re-starting finished log context"
_STOP = "Called stop on logcontext"

# Of Synapse, when a log context is lost or used after its end, and when a process of ours fails; of
# Twisted; and of ours. Synapse's have been in a compiled part of it since 1.163.
COMPLAINTS = (
    "Expected logging context",
    "Expected previous context",
    _AGAIN,
    "Re-starting already-active log context",
    _STOP,
    "on different thread",
    "did not maintain the calling logcontext",
    "re-entered without a proc",
    "Background process 'bgthrottle",
    "Unhandled error in Deferred",
    "internal error",
)


def complaints(log: str) -> list[str]:
    """The lines that must not be there; not those about a task that Synapse loses by itself."""
    again = (f"{_AGAIN} {TASK}-", f"{_STOP} {TASK}-")  # and nothing else that is said of it
    lines = [
        line
        for line in log.splitlines()
        if WORD not in line and not any(text in line for text in again)
    ]
    return [
        *(line for line in lines if any(text in line for text in COMPLAINTS)),
        *not_of_synapse(log),
    ]
