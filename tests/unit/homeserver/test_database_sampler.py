"""A replica that owes a reply, across several samples."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import ensureDeferred

from synapse_bgthrottle.homeserver.sampling.database_sampler import DatabaseSampler


class PostgresEngine:
    """Known to the module by its name, as Synapse's is."""


class Primary:
    """A database that tells of its replicas; its transaction is itself."""

    def __init__(self) -> None:
        self.database_engine = PostgresEngine()
        self.now_s = 0.0
        self.lag_s: float | None = 0.0
        self.owing: list[str] | None = []
        self._question = DatabaseSampler(self, lambda: self.now_s)  # type: ignore[arg-type]

    def tables_of(self, _: str) -> frozenset[str]:
        return frozenset()

    async def run(self, _: str, look: Callable[..., Any], *args: Any) -> Any:
        return look(
            SimpleNamespace(
                txn=self,
                database_engine=self.database_engine,
                execute=lambda *_: None,
                fetchone=self._row,
            ),
            *args,
        )

    def _row(self) -> tuple[Any, ...]:
        return (100.0, 1, 0.5, 0, False, "", self.lag_s, self.owing, 1000, 0, None)

    def lag_at(self, now_s: float, *owing: str) -> float | None:
        self.now_s, self.owing = now_s, list(owing)
        answers: list[Any] = []
        ensureDeferred(self._question.ask("an_update", lambda: None)).addCallback(answers.append)
        assert "" == answers[0].problem
        lag_s: float | None = answers[0].replica_lag_s
        return lag_s


def test_one_that_replies() -> None:
    """It owes another reply at each look: none is old."""
    primary = Primary()
    assert [0.0] * 20 == [primary.lag_at(second, f"7 0/{second}") for second in range(20)]


def test_one_that_hangs() -> None:
    """It owes the same reply at each look, until it goes on, or is no longer connected."""
    primary = Primary()
    primary.lag_s = 0.001
    lags_s = [primary.lag_at(second, "7 0/5", f"8 0/{second}") for second in range(13)]
    assert [0.001, *range(1, 13)] == lags_s
    assert 0.001 == primary.lag_at(13.0)
    assert 0.001 == primary.lag_at(14.0, "7 0/6")


def test_one_that_was_idle() -> None:
    """A reply that is old is none that is owed: that begins with what was sent since."""
    primary = Primary()
    assert [0.0, 0.0] == [primary.lag_at(0.0, "7 0/5"), primary.lag_at(9.0)]
    assert 0.0 == primary.lag_at(60.0, "7 0/5")


def test_what_postgresql_tells_is_the_least() -> None:
    """One replica replays nothing, another one hangs: the slower one counts."""
    primary = Primary()
    primary.lag_s = 5.0
    assert [5.0, 5.0, 8.0] == [primary.lag_at(at_s, "7 0/5") for at_s in (0.0, 3.0, 8.0)]


def test_what_cannot_be_observed_is_not() -> None:
    """Without the privilege, and on a replica."""
    primary = Primary()
    primary.lag_s = None
    assert [None, None] == [primary.lag_at(at_s) for at_s in (0.0, 10.0)]
