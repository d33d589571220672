"""What may import what: the core is pure, and one module knows Synapse's private side."""

import ast
import re
import subprocess
import sys

import pytest

from tests.unit.layers import (
    CLIENT,
    COMMAND_LINE,
    EDGE,
    FORECAST,
    PACKAGE,
    PRIVATE_SIDE,
    PURE,
    all_modules,
    imports,
    imports_at_top,
    own_imports,
    source,
    top_imports,
)

_IMPURE_IMPORTS = frozenset(
    {
        "asyncio",
        "logging",
        "os",
        "prometheus_client",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "synapse",
        "threading",
        "time",
        "twisted",
    }
)
# They say of each line how loud it is; somebody else logs it.
_TELLING = ("log_lines",)
_PRIVATE_NAMES = re.compile(
    r"\b_hs\b|_background_update_handlers|_on_update_callback|_current_background_update"
    r"|\b_pool\b|_db_pool\b|_in_flight_requests|_names_to_collectors|\b_buckets\b|\b_labelnames\b"
)


def test_every_module_is_placed() -> None:
    """A new module is placed in one of the four groups before it is tested."""
    assert sorted((*PURE, *EDGE, *CLIENT, *COMMAND_LINE)) == all_modules()


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_knows_neither_server_nor_clock(module: str) -> None:
    """The core imports nothing that acts, waits, or tells the time."""
    allowed = {"logging"} if module in _TELLING else set()
    assert set() == top_imports(module) & _IMPURE_IMPORTS - allowed


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_imports_pure_modules_only(module: str) -> None:
    """Nothing of ours that acts is below the core."""
    assert own_imports(module) <= PURE | {"signals"} | (
        {"forecast"} if module in FORECAST else set()
    )


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_asks_for_no_time_of_its_own(module: str) -> None:
    """`datetime` is for arithmetic: nobody in the core asks it what time it is."""
    attributes = {
        node.attr for node in ast.walk(ast.parse(source(module))) if isinstance(node, ast.Attribute)
    }
    assert set() == attributes & {"now", "utcnow", "today", "monotonic", "perf_counter"}


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_reads_and_writes_nothing(module: str) -> None:
    """No file is opened and nothing is printed in the core."""
    called = {
        node.func.id
        for node in ast.walk(ast.parse(source(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert set() == called & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", _TELLING)
def test_telling_takes_only_levels_from_logging(module: str) -> None:
    """The lines are told by somebody else."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(source(module)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "logging"
    }
    assert set() < used <= {"INFO", "WARNING"}
    assert {"logging"} == {name for name in imports(module) if name.startswith("logging")}


@pytest.mark.parametrize("module", sorted(set(all_modules()) - PRIVATE_SIDE))
def test_only_the_private_side_names_private_attributes(module: str) -> None:
    """Synapse's private side is known in three places, and listed in a fourth."""
    assert [] == _PRIVATE_NAMES.findall(source(module))


@pytest.mark.parametrize("module", sorted(PRIVATE_SIDE))
def test_the_private_side_names_private_attributes(module: str) -> None:
    """The pattern of the test above still finds what it looks for."""
    assert [] != _PRIVATE_NAMES.findall(source(module))


def test_only_homeserver_imports_time() -> None:
    """In the server there is one place where the time comes from."""
    server_side = sorted(PURE | EDGE)
    assert ["homeserver"] == [module for module in server_side if "time" in top_imports(module)]


@pytest.mark.parametrize("module", sorted(COMMAND_LINE))
def test_command_line_needs_no_synapse(module: str) -> None:
    """A configuration can be checked on a machine that has no server."""
    assert set() == top_imports(module) & {"synapse", "twisted"}
    assert own_imports(module) <= PURE | {"cli", "client", "forecast", "signals"}


@pytest.mark.parametrize("module", sorted(COMMAND_LINE))
def test_command_line_imports_nothing_slow_at_first(module: str) -> None:
    """httpx, rich and the client that needs httpx are imported where they are used."""
    slow = {"httpx", "rich"}
    assert set() == slow & {name.split(".")[0] for name in imports_at_top(module)}
    assert not [
        name for name in imports_at_top(module) if name.startswith("synapse_bgthrottle.client")
    ]


@pytest.mark.parametrize("module", sorted(CLIENT))
def test_client_needs_nothing_else_of_ours(module: str) -> None:
    """A program can use the client without a server, and without what the command needs."""
    assert set() == top_imports(module) & {"synapse", "twisted", "click", "rich", "yaml"}
    assert own_imports(module) <= {"client", "_version"}


@pytest.mark.parametrize("module", sorted((PURE | EDGE) - FORECAST))
def test_server_needs_no_forecast(module: str) -> None:
    """What runs in a server does not lean on forecasts."""
    assert set() == {"forecast"} & own_imports(module)


@pytest.mark.parametrize("module", sorted(PURE | EDGE))
def test_server_needs_no_command_line(module: str) -> None:
    """What only the command line needs is not asked of a server."""
    assert set() == top_imports(module) & {"click", "httpx", "rich", "yaml"}
    assert set() == {"cli", "client"} & own_imports(module)


@pytest.mark.parametrize("module", all_modules())
def test_nobody_imports_asyncio_or_threading(module: str) -> None:
    """Synapse runs on Twisted's reactor, and so do we; `sql_check` runs in one of its threads.

    There it has to end what hangs in that thread.
    """
    allowed = {"threading"} if module == "sql_check" else set()
    assert set() == top_imports(module) & {"asyncio", "threading"} - allowed


@pytest.mark.parametrize("modules", [("config",), tuple(sorted(PURE))], ids=["config", "all"])
def test_importing_pure_modules_imports_no_synapse(modules: tuple[str, ...]) -> None:
    """Whoever needs only the core, such as a checker of configurations, needs no Synapse."""
    imported = ", ".join(f"synapse_bgthrottle.{module}" for module in modules)
    program = f"import sys, {imported}; print({{'synapse', 'twisted'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert "set()" == done.stdout.strip()
