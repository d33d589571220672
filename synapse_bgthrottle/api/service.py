"""What the HTTP API asks of the module. Pure."""

from typing import Protocol

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.levers.request import LeverRequest


class Service(Protocol):
    """Tells and changes what background updates do.

    Each call ends within seconds, whatever the database does: nobody else puts an end to it.

    Raises:
        StoreUnavailableError: any of them; the database does not answer. Nothing has changed,
            or it may still be done; the error says which.
    """

    async def status(self) -> schema.ThrottleStatus:
        """What goes on, and what waits."""

    async def history(
        self, limit: int, update: str | None, database: str | None
    ) -> tuple[schema.HistoryEntry, ...]:
        """Runs of updates whose name the glob `update` matches (None: all), newest first.

        Raises:
            InvalidConfigError: there is no such database, and there was none.
        """

    async def uses(self, limit: int) -> tuple[schema.Use, ...]:
        """Who pulled which lever, newest first."""

    async def load(self) -> tuple[schema.SeenHour, ...]:
        """What was seen of each hour of the week, by its number."""

    async def explain(self, update: str, database: str, one_shot: bool) -> schema.Explanation:
        """What an update of this name is, or would be, limited and held by.

        Raises:
            InvalidConfigError: there is no such database.
        """

    async def pull(self, request: LeverRequest, author: str) -> schema.LeverAnswer:
        """Do what is asked for; tells the levers made, ended, and in force, and notes on them.

        Args:
            request: checked.
            author: the full user ID of the administrator who asks.

        Raises:
            InvalidConfigError: there is no such database.
            NothingMatchesError: there is nothing that it is about.
            TooManyLeversError: no further lever can be made.
        """
