"""Log lines about lost log contexts, without those that Synapse loses by itself.

A client that changes its name again ends the previous task `update_join_states`. If that still
runs, for example on a locked database, the rest of the request has no context (Synapse 1.163.2,
`ProfileHandler._update_join_states`). It records the end of the task and the next one, releases its
lock, and answers. Stock Synapse logs the same seven lines. If the database is down for a while, the
task's query returns after the task's end: "Re-starting finished log context
task-update_join_states-...", with and without the module.
"""

WORD = "sentinel"
TASK = "task-update_join_states"
_TASK_FAILED = f"Background process '{TASK}' threw an exception"
_TRANSACTIONS = tuple(
    f"Starting db txn '{name}' from sentinel context"
    for name in ("update_scheduled_task", "insert_scheduled_task", "drop_lock")
)
_CONNECTION = "Starting db connection from sentinel context"  # once for each transaction
_ANSWER = "Calling defer_to_threadpool from sentinel context"


def not_of_synapse(log: str) -> list[str]:
    """The lines with "sentinel" that do not belong to a failed task of Synapse."""
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
            kind = ""  # this line does not excuse the next one
        before = kind
    return found
