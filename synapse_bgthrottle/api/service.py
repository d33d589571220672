"""What the HTTP API needs from the module. Pure."""

from typing import Protocol

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.levers.request import LeverRequest


class Service(Protocol):
    """Reads and changes what background updates do.

    Each call must end within seconds, whatever the database does. The API itself has no time limit.

    Raises:
        StoreUnavailableError: by any call; the database does not answer. The message says whether
            nothing has changed, or the change may still be made.
        InvalidConfigError: by those that take one, there is no such database.
    """

    async def status(self) -> schema.ThrottleStatus:
        """The status of all databases."""

    async def history(
        self, limit: int, update: str | None, database: str | None
    ) -> tuple[schema.HistoryEntry, ...]:
        """Runs of updates whose name the glob `update` matches (None: all), newest first."""

    async def uses(self, limit: int) -> tuple[schema.Use, ...]:
        """Who used which lever, newest first."""

    async def load(self) -> tuple[schema.SeenHour, ...]:
        """Clients' activity in the hours of the week."""

    async def explain(self, update: str, database: str, one_shot: bool) -> schema.Explanation:
        """The limits and holds of an update of this name, whether it is pending or not."""

    async def change_levers(self, request: LeverRequest, author: str) -> schema.LeverAnswer:
        """Carry out a valid request. `author` is the administrator's full user ID.

        Raises:
            NothingMatchesError: it matches no pending update, or no lever.
            TooManyLeversError: no further lever can be made.
        """
