"""Which lines of a log tell of a lost log context, but for those that Synapse loses by itself.

A client that changes its name again ends the task `update_join_states` of the time before. If that
is still under way, as where the database was locked, the rest of the request has no context
(Synapse 1.163.2, `ProfileHandler._update_join_states`): it writes down that the task has ended and
the next one, gives up its lock, and answers. Stock Synapse logs the same seven lines. Where the
database is gone for a while, what such a task had asked it comes back after its end: "Re-starting
finished log context task-update_join_states-...", with and without the module.
"""

from __future__ import annotations

WORD = "sentinel"
TASK = "task-update_join_states"
_TASK_FAILED = f"Background process '{TASK}' threw an exception"
_TRANSACTIONS = tuple(
    f"Starting db txn '{name}' from sentinel context"
    for name in ("update_scheduled_task", "insert_scheduled_task", "drop_lock")
)
_CONNECTION = "Starting db connection from sentinel context"  # for each of them
_ANSWER = "Calling defer_to_threadpool from sentinel context"


def not_of_synapse(log: str) -> list[str]:
    """The lines with "sentinel" that do not belong to a task of Synapse's that failed."""
    left = dict.fromkeys((*_TRANSACTIONS, _ANSWER), log.count(_TASK_FAILED))
    found = []
    before = ""
    for line in log.splitlines():
        if WORD not in line:
            continue
        kind = next((text for text in (*left, _CONNECTION) if text in line), "")
        if left.get(kind):
            left[kind] -= 1
        elif kind != _CONNECTION or before not in _TRANSACTIONS:
            found.append(line)
            kind = ""  # what follows is not let pass for its sake
        before = kind
    return found
