"""Which private details of Synapse this version lacks, and what that costs.

None is needed to throttle. What is asked for elsewhere with a guard is looked for here once, at the
start, so that it is told and not noticed. Some were never there in old versions.
"""

from collections.abc import Iterator
from importlib import import_module
from inspect import unwrap
from typing import Any

from synapse.module_api import ModuleApi

from synapse_bgthrottle.homeserver.internals.compatibility_table import DETAILS, Detail
from synapse_bgthrottle.homeserver.internals.guard import call, get
from synapse_bgthrottle.homeserver.internals.synapse_metrics import ServerMetrics
from synapse_bgthrottle.schema import MissingDetail


def missing(api: ModuleApi) -> tuple[MissingDetail, ...]:
    """What this version lacks; of what is only reached through something missing, nothing."""
    return (*_missing_details(api), *_missing_metrics())


def _missing_details(api: ModuleApi) -> Iterator[MissingDetail]:
    gone: list[tuple[str, ...]] = []
    for detail in DETAILS:
        if any(detail.path[: len(path)] == path for path in gone):
            continue
        if not _is_there(api, detail):
            # A pool without a name is none for us: nothing that is behind it is reached.
            path = detail.path[:-1] if detail.path[-1] == "name()" else detail.path
            gone.append(path)
            yield MissingDetail(name=detail.name, cost=detail.cost)


def _missing_metrics() -> Iterator[MissingDetail]:
    for metric, cost in ServerMetrics().unreadable():
        yield MissingDetail(name=f"metric {metric}", cost=cost)


def _is_there(api: ModuleApi, detail: Detail) -> bool:
    start = call(import_module, detail.module) if detail.module else api
    if call(_leads, start, detail.path):  # a property of a later version may raise anything
        return True
    return bool(detail.instead) and bool(call(_leads, api, detail.instead))


def _leads(thing: Any, path: tuple[str, ...]) -> bool:
    """Whether the path leads anywhere from here; a None at its end is something."""
    if not path:
        return True
    step, rest = path[0], path[1:]
    if step in {"*", "?"}:
        things = call(list, thing) or []
        return (bool(things) or step == "?") and all(_leads(each, rest) for each in things)
    if step.endswith("="):
        names = get(call(unwrap, thing), "__code__", "co_names", default=())
        return step.removesuffix("=") in names
    name = step.removesuffix("()")
    if not hasattr(thing, name):
        return False
    found = getattr(thing, name)
    if step.endswith("()"):
        found = call(found)
        return found is not None and _leads(found, rest)
    return _leads(found, rest)
