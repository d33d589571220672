"""What the import contracts of setup.cfg cannot check: calls, names and slow imports."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import synapse_bgthrottle

PACKAGE = Path(synapse_bgthrottle.__file__).parent

# They say how loud each line is; somebody else logs it.
_LOG_LINES = ("core.reports.log_lines",)
_PRIVATE_NAMES = re.compile(
    r"\b_hs\b|_background_update_handlers|_on_update_callback|_current_background_update"
    r"|\b_pool\b|_db_pool\b|_in_flight_requests|_names_to_collectors|\b_buckets\b|\b_labelnames\b"
)
_WITH_THREADS = {
    # Runs in the command, which has no reactor; nothing else ends an answer that drips.
    "client.clients",
    # In a thread, where the reactor has no timers, it ends a query that takes too long.
    "homeserver.sampling.sql_check",
    # Nothing ends a call while a name server or a disk hangs, and Twisted waits for its threads.
    "homeserver.internals.bounded_calls",
}
_FOLDERS = sorted(
    {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")} - {"."}
)


def _modules(*folders: str) -> list[str]:
    """The modules below these folders, as dotted names below the package."""
    return sorted(
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for folder in folders
        for path in (PACKAGE / folder).rglob("*.py")
    )


def _source(module: str) -> str:
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")


def _nodes(module: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(_source(module)))


def _imported(module: str) -> set[str]:
    """The first part of the name of each module that is imported anywhere in this one."""
    names = set()
    for node in _nodes(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(str(node.module).split(".")[0])
    return names


PURE = _modules("core", "forecast")


@pytest.mark.parametrize("module", PURE)
def test_pure_module_asks_for_no_time_of_its_own(module: str) -> None:
    """`datetime` is for arithmetic: nothing in the core asks it what time it is."""
    attributes = {node.attr for node in _nodes(module) if isinstance(node, ast.Attribute)}
    assert set() == attributes & {"now", "utcnow", "today", "monotonic", "perf_counter"}


@pytest.mark.parametrize("module", PURE)
def test_pure_module_reads_and_writes_nothing(module: str) -> None:
    """No file is opened and nothing is printed in the core."""
    called = {
        node.func.id
        for node in _nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert set() == called & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", PURE)
def test_pure_module_logs_nothing(module: str) -> None:
    """The core imports no logging, but for the names of the levels."""
    if module not in _LOG_LINES:
        assert "logging" not in _imported(module)
        return
    used = {
        node.attr
        for node in _nodes(module)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "logging"
    }
    assert set() < used <= {"DEBUG", "INFO", "WARNING", "ERROR"}


@pytest.mark.parametrize(
    "module", sorted(set(_modules(".")) - set(_modules("homeserver/internals")))
)
def test_only_internals_name_private_attributes(module: str) -> None:
    """Synapse's private side is known in one folder."""
    assert [] == _PRIVATE_NAMES.findall(_source(module))


def test_internals_name_private_attributes() -> None:
    """The pattern of the test above still finds what it looks for."""
    for module in ("database", "server", "synapse_metrics"):
        assert [] != _PRIVATE_NAMES.findall(_source(f"homeserver.internals.{module}"))


def test_one_module_imports_time() -> None:
    """In the server there is one place where the time comes from."""
    server_side = ["module", *_modules("api", "core", "homeserver")]
    assert ["homeserver.internals.server"] == [
        module for module in server_side if "time" in _imported(module)
    ]


def test_command_imports_nothing_slow_at_first() -> None:
    """No module of the command imports httpx: it is imported when a server is asked."""
    imported = ", ".join(f"synapse_bgthrottle.{module}" for module in _modules("cli"))
    program = f"import sys, {imported}; print('httpx' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert "False\n" == subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", sorted(set(_modules(".")) - _WITH_THREADS))
def test_nobody_imports_asyncio_or_threading(module: str) -> None:
    """Synapse runs on Twisted's reactor, and so does the module."""
    assert set() == _imported(module) & {"asyncio", "threading"}


def test_importing_the_core_imports_no_synapse() -> None:
    """Whoever needs only the core, such as a checker of configurations, needs no Synapse."""
    imported = ", ".join(f"synapse_bgthrottle.{module}" for module in PURE)
    program = f"import sys, {imported}; print({{'synapse', 'twisted'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert "set()" == done.stdout.strip()


@pytest.mark.parametrize("folder", _FOLDERS)
def test_each_folder_says_what_lives_there(folder: str) -> None:
    """Its `__init__.py` begins with a sentence or two on it."""
    assert ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text("utf-8")))
