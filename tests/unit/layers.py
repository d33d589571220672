"""Where each module is placed, in the core or at an edge, and what each imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import synapse_bgthrottle

PACKAGE = Path(synapse_bgthrottle.__file__).parent

# A new module must be placed here: either it decides and is pure, or it acts and is an edge, of
# the module that Synapse loads or of the command line, which runs without Synapse.
_SIGNALS = frozenset(f"signals.{path.stem}" for path in (PACKAGE / "signals").glob("*.py"))
# With which the command forecasts: only the command line leans on it.
FORECAST = frozenset(f"forecast.{path.stem}" for path in (PACKAGE / "forecast").glob("*.py"))
PURE = (
    _SIGNALS
    | FORECAST
    | frozenset(
        {
            "_version",
            "adaptive",
            "batch_accounting",
            "board",
            "board_level",
            "check_urls",
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
            "problems",
            "history",
            "holds",
            "idle_time",
            "internal_errors",
            "lever_changes",
            "lever_requests",
            "lever_targets",
            "levers",
            "limits",
            "log_lines",
            "next_batch",
            "observing",
            "pacing",
            "presence",
            "private_details",
            "profiles",
            "progress",
            "queue",
            "quirks",
            "remarks",
            "sample_statements",
            "seen_week",
            "signal_config",
            "signal_settings",
            "state",
            "status",
            "status_problems",
            "status_update",
            "soft_law",
            "store_rows",
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
EDGE = frozenset(
    {
        "__init__",
        "asker",
        "checks",
        "database",
        "database_sample",
        "guarded",
        "homeserver",
        "http_check",
        "iteration",
        "keeper",
        "lever_desk",
        "metric_series",
        "metrics",
        "module",
        "opening",
        "private_side",
        "progress_watch",
        "sampler",
        "server_metrics",
        "signal_metrics",
        "sql_check",
        "steering",
        "stock_iteration",
        "stock_settings",
        "store",
        "store_tables",
        "timers",
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
PRIVATE_SIDE = frozenset({"database", "homeserver", "private_details", "server_metrics"})
# They run elsewhere than the server, and without it.
CLIENT = frozenset(f"client.{path.stem}" for path in (PACKAGE / "client").glob("*.py"))
COMMAND_LINE = frozenset(f"cli.{path.stem}" for path in (PACKAGE / "cli").glob("*.py"))


def all_modules() -> list[str]:
    return sorted(
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
    )


def source(module: str) -> str:
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")


def imports(module: str) -> Iterator[str]:
    """Every name that is imported anywhere in the module, in full."""
    for node in ast.walk(ast.parse(source(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_at_top(module: str) -> Iterator[str]:
    """Those that are made as soon as the module is imported, under no condition."""
    for node in ast.parse(source(module)).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def top_imports(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def own_imports(module: str) -> set[str]:
    """The modules of ours that it imports; of those in a folder the folder, but for `web`."""
    names = [name.split(".") for name in imports(module)]
    return {
        ".".join(name[1:3]) if name[1] == "web" else name[1]
        for name in names
        if name[0] == "synapse_bgthrottle" and len(name) > 1
    }
