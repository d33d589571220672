"""What may import what: the core is pure, and one module knows Synapse's private side."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import synapse_bgthrottle

_PACKAGE = Path(synapse_bgthrottle.__file__).parent

# A new module must be placed here: either it decides and is pure, or it acts and is an edge, of
# the module that Synapse loads or of the command line, which runs without Synapse.
_SIGNALS = frozenset(f"signals.{path.stem}" for path in (_PACKAGE / "signals").glob("*.py"))
# A modelled server, on which the core is tried: below it in nothing.
_SIMULATION = frozenset(
    f"simulation.{path.stem}" for path in (_PACKAGE / "simulation").glob("*.py")
)
# On which the command forecasts: it leans on the model, and only the command line on it.
_FORECAST = frozenset(f"forecast.{path.stem}" for path in (_PACKAGE / "forecast").glob("*.py"))
_PURE = (
    _SIGNALS
    | _SIMULATION
    | _FORECAST
    | frozenset(
        {
            "_version",
            "adaptive",
            "board",
            "board_level",
            "comparison",
            "config",
            "config_keys",
            "contradictions",
            "courses",
            "cursors",
            "decision",
            "harm",
            "explanation",
            "failures",
            "found",
            "history",
            "holds",
            "internal_errors",
            "lever_requests",
            "lever_targets",
            "levers",
            "limits",
            "lock_wait",
            "observing",
            "pacing",
            "presence",
            "profiles",
            "progress",
            "queue",
            "quirks",
            "remarks",
            "seen_week",
            "signal_config",
            "signal_settings",
            "spacing",
            "state",
            "status",
            "status_problems",
            "status_update",
            "store_rows",
            "telling",
            "telling_samples",
            "throttle",
            "time_left",
            "units",
            "update_limits",
            "web.__init__",
            "web.answers",
            "web.bodies",
            "web.query",
            "web.routes",
            "web.steering",
            "web.told",
            "window_config",
            "windows",
            "written",
        }
    )
)
_EDGE = frozenset(
    {
        "__init__",
        "asker",
        "checks",
        "database",
        "database_sample",
        "guarded",
        "homeserver",
        "iteration",
        "keeper",
        "lever_desk",
        "metric_series",
        "metrics",
        "module",
        "private_side",
        "progress_watch",
        "sampler",
        "server_metrics",
        "steering",
        "stock_settings",
        "store",
        "watch",
        "web.access",
        "web.crowd",
        "web.endpoints",
        "web.page_files",
        "web.resource",
        "web.shared",
    }
)

# The only ones that know Synapse's private side: the server, a database, the metrics; and the list
# of what these look at.
_PRIVATE_SIDE = frozenset({"database", "homeserver", "private_side", "server_metrics"})
# They run elsewhere than the server, and without it.
_CLIENT = frozenset(f"client.{path.stem}" for path in (_PACKAGE / "client").glob("*.py"))
_COMMAND_LINE = frozenset(f"cli.{path.stem}" for path in (_PACKAGE / "cli").glob("*.py"))

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
_TELLING = ("telling", "telling_samples")
_PRIVATE_NAMES = re.compile(
    r"\b_hs\b|_background_update_handlers|_on_update_callback|_current_background_update"
    r"|\b_pool\b|_db_pool\b|_in_flight_requests|_names_to_collectors|\b_buckets\b|\b_labelnames\b"
)


def _modules() -> list[str]:
    return sorted(
        ".".join(path.relative_to(_PACKAGE).with_suffix("").parts)
        for path in _PACKAGE.rglob("*.py")
    )


def _source(module: str) -> str:
    return _PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")


def _imports(module: str) -> Iterator[str]:
    """Every name that is imported anywhere in the module, in full."""
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imports_at_top(module: str) -> Iterator[str]:
    """Those that are made as soon as the module is imported, under no condition."""
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def _top_imports(module: str) -> set[str]:
    return {name.split(".")[0] for name in _imports(module)}


def _own_imports(module: str) -> set[str]:
    """The modules of ours that it imports; of those in a folder the folder, but for `web`."""
    names = [name.split(".") for name in _imports(module)]
    return {
        ".".join(name[1:3]) if name[1] == "web" else name[1]
        for name in names
        if name[0] == "synapse_bgthrottle" and len(name) > 1
    }


def test_every_module_is_placed() -> None:
    """A new module is placed in one of the four groups before it is tested."""
    assert sorted((*_PURE, *_EDGE, *_CLIENT, *_COMMAND_LINE)) == _modules()


@pytest.mark.parametrize("module", sorted(_PURE))
def test_pure_module_knows_neither_server_nor_clock(module: str) -> None:
    """The core imports nothing that acts, waits, or tells the time."""
    allowed = {"logging"} if module in _TELLING else set()
    assert set() == _top_imports(module) & _IMPURE_IMPORTS - allowed


@pytest.mark.parametrize("module", sorted(_PURE))
def test_pure_module_imports_pure_modules_only(module: str) -> None:
    """Nothing of ours that acts is below the core."""
    assert _own_imports(module) <= _PURE | {"signals"} | (
        {"forecast", "simulation"}
        if module in _FORECAST
        else ({"simulation"} if module in _SIMULATION else set())
    )


@pytest.mark.parametrize("module", sorted(_PURE))
def test_pure_module_asks_for_no_time_of_its_own(module: str) -> None:
    """`datetime` is for arithmetic: nobody in the core asks it what time it is."""
    attributes = {
        node.attr
        for node in ast.walk(ast.parse(_source(module)))
        if isinstance(node, ast.Attribute)
    }
    assert set() == attributes & {"now", "utcnow", "today", "monotonic", "perf_counter"}


@pytest.mark.parametrize("module", sorted(_PURE))
def test_pure_module_reads_and_writes_nothing(module: str) -> None:
    """No file is opened and nothing is printed in the core."""
    called = {
        node.func.id
        for node in ast.walk(ast.parse(_source(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert set() == called & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", _TELLING)
def test_telling_takes_only_levels_from_logging(module: str) -> None:
    """The lines are told by somebody else."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(_source(module)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "logging"
    }
    assert set() < used <= {"INFO", "WARNING"}
    assert {"logging"} == {name for name in _imports(module) if name.startswith("logging")}


@pytest.mark.parametrize("module", sorted(set(_modules()) - _PRIVATE_SIDE))
def test_only_the_private_side_names_private_attributes(module: str) -> None:
    """Synapse's private side is known in three places, and listed in a fourth."""
    assert [] == _PRIVATE_NAMES.findall(_source(module))


@pytest.mark.parametrize("module", sorted(_PRIVATE_SIDE))
def test_the_private_side_names_private_attributes(module: str) -> None:
    """The pattern of the test above still finds what it looks for."""
    assert [] != _PRIVATE_NAMES.findall(_source(module))


def test_only_homeserver_imports_time() -> None:
    """In the server there is one place where the time comes from."""
    server_side = sorted(_PURE | _EDGE)
    assert ["homeserver"] == [module for module in server_side if "time" in _top_imports(module)]


@pytest.mark.parametrize("module", sorted(_COMMAND_LINE))
def test_command_line_needs_no_synapse(module: str) -> None:
    """A configuration can be checked on a machine that has no server."""
    assert set() == _top_imports(module) & {"synapse", "twisted"}
    assert _own_imports(module) <= _PURE | {"cli", "client", "forecast", "signals", "simulation"}


@pytest.mark.parametrize("module", sorted(_COMMAND_LINE))
def test_command_line_imports_nothing_slow_at_first(module: str) -> None:
    """httpx, rich and the client that needs httpx are imported where they are used."""
    slow = {"httpx", "rich"}
    assert set() == slow & {name.split(".")[0] for name in _imports_at_top(module)}
    assert not [
        name for name in _imports_at_top(module) if name.startswith("synapse_bgthrottle.client")
    ]


@pytest.mark.parametrize("module", sorted(_CLIENT))
def test_client_needs_nothing_else_of_ours(module: str) -> None:
    """A program can use the client without a server, and without what the command needs."""
    assert set() == _top_imports(module) & {"synapse", "twisted", "click", "rich", "yaml"}
    assert _own_imports(module) <= {"client", "_version"}


@pytest.mark.parametrize("module", sorted((_PURE | _EDGE) - _SIMULATION - _FORECAST))
def test_server_needs_no_simulation(module: str) -> None:
    """What runs in a server leans neither on the model of one nor on forecasts."""
    assert set() == {"forecast", "simulation"} & _own_imports(module)


@pytest.mark.parametrize("module", sorted(_PURE | _EDGE))
def test_server_needs_no_command_line(module: str) -> None:
    """What only the command line needs is not asked of a server."""
    assert set() == _top_imports(module) & {"click", "httpx", "rich", "yaml"}
    assert set() == {"cli", "client"} & _own_imports(module)


@pytest.mark.parametrize("module", _modules())
def test_nobody_imports_asyncio_or_threading(module: str) -> None:
    """Synapse runs on Twisted's reactor, and so do we."""
    assert set() == _top_imports(module) & {"asyncio", "threading"}


@pytest.mark.parametrize("modules", [("config",), tuple(sorted(_PURE))], ids=["config", "all"])
def test_importing_pure_modules_imports_no_synapse(modules: tuple[str, ...]) -> None:
    """Whoever needs only the core, such as a checker of configurations, needs no Synapse."""
    imported = ", ".join(f"synapse_bgthrottle.{module}" for module in modules)
    program = f"import sys, {imported}; print({{'synapse', 'twisted'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=_PACKAGE.parent,
    )
    assert "set()" == done.stdout.strip()
