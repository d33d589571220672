"""Lines that must not be in any log: lost log contexts, and errors of the module itself."""

from testbed.observe.log_contexts import TASK, WORD, not_of_synapse

_AGAIN = "Re-starting finished log context"
_STOP = "Called stop on logcontext"

# From Synapse: lost or finished log contexts, failed background processes of the module. From
# Twisted, and from the module. Synapse's are in compiled code since 1.163.
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
    """The forbidden lines, without those about a task whose context Synapse itself loses."""
    again = (f"{_AGAIN} {TASK}-", f"{_STOP} {TASK}-")  # no other lines about it
    lines = [
        line
        for line in log.splitlines()
        if WORD not in line and not any(text in line for text in again)
    ]
    return [
        *(line for line in lines if any(text in line for text in COMPLAINTS)),
        *not_of_synapse(log),
    ]
