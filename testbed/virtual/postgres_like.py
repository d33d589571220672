"""SQLite that looks like PostgreSQL to the module: it answers or skips the module's statements."""

from typing import Any

from testbed.virtual.pool import Transaction, VirtualPool

# The answer of a healthy server to the statement of `database_queries`.
_LOAD: tuple[Any, ...] = (
    100.0,
    1,
    0.5,
    0,
    False,
    "",
    0.0,
    [],
    1000,
    0,
    ["building index: scanning table", "0.5"],
)


class PostgresEngine:
    """The module recognizes it by its name, as Synapse's own."""


class _Transaction(Transaction):
    database_engine: Any = PostgresEngine()

    def __init__(self, pool: VirtualPool) -> None:
        super().__init__(pool)
        self._on_sqlite = self.execute
        self._full = pool.full
        self._row: tuple[Any, ...] | None = None
        self.execute = self._execute

    def _execute(self, sql: str, parameters: Any = ()) -> None:
        if "pg_stat" in sql:
            self._row = _LOAD
        elif "pg_settings" in sql:
            self._row = ("/", True)
        elif "to_regclass" in sql:
            self._on_sqlite("SELECT COUNT(*) FROM sqlite_master WHERE name = ?", parameters)
        elif "bgthrottle_room" in sql:
            if self._full is not None:
                raise self._full
        else:
            last = sql.rpartition(";")[2].strip() if sql.startswith("SET ") else sql
            if not last.startswith("SET "):
                self._on_sqlite(last, parameters)

    def fetchone(self) -> Any:
        row, self._row = self._row, None
        return self._cursor.fetchone() if row is None else row


def make_postgres_like(pool: VirtualPool) -> None:
    """Make the pool look like PostgreSQL."""
    pool.engine = PostgresEngine()
    pool.transaction = _Transaction


def is_postgres_like(pool: VirtualPool) -> bool:
    """Whether the pool looks like PostgreSQL."""
    return isinstance(pool.engine, PostgresEngine)
