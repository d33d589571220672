"""Each private attribute of Synapse that the module reads is listed, and read with a guard."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import synapse_bgthrottle
from synapse_bgthrottle.homeserver.internals.compatibility import COSTS

_PACKAGE = Path(synapse_bgthrottle.__file__).parent
# They never meet Synapse.
_ELSEWHERE = {"cli", "client", "forecast"}
# The private names are those of prometheus_client: `unreadable` tells which metrics that costs.
_METRICS = "homeserver.internals.synapse_metrics"
# It follows the list itself.
_LOOKS = "homeserver.internals.compatibility"

# Asked for with a guard too, but documented, or none of Synapse's.
_PUBLIC = {
    "app_service",  # of Requester
    "app_service_id",
    "authenticated_entity",
    "code",  # of HttpResponseException
    "get_backend_pid",  # of psycopg2's connections
    "diag",  # of psycopg2's errors
    "message_detail",
    "nonlocals",  # of what `inspect` answers
    "pgcode",  # of psycopg2's errors
    "run_as_background_process",  # of synapse.module_api
    "scope",
    "server_name",  # of ModuleApi
    "setlimit",  # of sqlite3's connections, since Python 3.11
    "sqlstate",
}
_DOCUMENTED_API = {
    "defer_to_thread",
    "get_user_by_req",
    "is_user_admin",
    "register_background_update_controller_callbacks",
    "register_web_resource",
    "run_db_interaction",
    "sleep",
    "worker_app",
}
# All that the two files with Synapse's objects in hand read without a guard, but of `self`.
_UNGUARDED = {
    "homeserver.internals.server": {
        "database.is_sqlite",
        "self._metrics.answered",
        "self.databases.items",
    },
    "homeserver.internals.database": {
        "get(variables, 'nonlocals', default={}).get",
        "self._handlers().get",
        "self._handlers().items",
        "txn.execute",
        "txn.fetchall",
        "txn.fetchone",
        "type(get(self._pool, 'engine')).__name__",
        "type(getattr(txn, 'database_engine', None)).__name__",
    },
}


def _modules() -> list[str]:
    names = (path.relative_to(_PACKAGE).with_suffix("").parts for path in _PACKAGE.rglob("*.py"))
    return sorted(".".join(parts) for parts in names if parts[0] not in _ELSEWHERE)


def _tree(module: str) -> ast.Module:
    return ast.parse(_PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))


def _constants(module: str) -> set[str]:
    nodes = ast.walk(_tree(module))
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _guarded(module: str) -> Iterator[ast.expr]:
    """Every name that is asked for with a guard."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "get":
                yield from node.args[1:]
            elif node.func.id in {"getattr", "hasattr"}:
                yield node.args[1]


def _read(module: str) -> Iterator[ast.Attribute]:
    """Every attribute that is read without one."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node


def _is_self(thing: ast.expr) -> bool:
    return isinstance(thing, ast.Name) and thing.id in {"self", "cls"}


@pytest.mark.parametrize("module", sorted(set(_modules()) - {_METRICS, _LOOKS}))
def test_what_is_asked_for_with_a_guard_is_listed(module: str) -> None:
    """What it costs where it is missing is told at the start."""
    asked = {node.value for node in _guarded(module) if isinstance(node, ast.Constant)}
    ways = [text for text in _constants(_LOOKS) if " " not in text]
    listed = {name for way in ways for name in re.findall(r"\w+", way)}
    assert set() == asked - listed - _PUBLIC


@pytest.mark.parametrize("module", sorted(_UNGUARDED))
def test_names_are_written_out(module: str) -> None:
    """None is made up while the server runs, which this test would not see."""
    assert all(isinstance(node, ast.Constant) for node in _guarded(module))


@pytest.mark.parametrize("module", sorted(set(_modules()) - {_METRICS}))
def test_nothing_private_is_read_without_a_guard(module: str) -> None:
    """Neither a name that says so, nor one of the module API that is not documented."""
    for node in _read(module):
        if node.attr.startswith("_") and not node.attr.startswith("__"):
            assert _is_self(node.value), ast.unparse(node)
        if ast.unparse(node.value) in {"api", "self._api"}:
            assert node.attr in _DOCUMENTED_API, ast.unparse(node)


@pytest.mark.parametrize("module", sorted(_UNGUARDED))
def test_what_has_synapses_objects_reads_nothing_of_them_without_a_guard(module: str) -> None:
    """Whatever a name looks like: all that is read there is written down here."""
    tree = _tree(module)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    own = {"self", "self._api", "timers", "api", "logger", "_ENGINES"} | imported
    read = {ast.unparse(node) for node in _read(module) if ast.unparse(node.value) not in own}
    assert _UNGUARDED[module] == read


def test_the_list_has_nothing_that_is_not_read() -> None:
    """What each detail is called is asked for somewhere, or is the name of a class."""
    modules = set(_modules()) - {_LOOKS}
    asked = {name for module in modules for name in _constants(module)}
    asked |= {alias for module in _modules() for alias in _imported_names(module)}
    assert set() == {name.rpartition(".")[2].removesuffix("()") for name in COSTS} - asked


def _imported_names(module: str) -> Iterator[str]:
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
