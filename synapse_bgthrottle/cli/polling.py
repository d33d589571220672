"""Asks for the status again and again, with or without the module, while servers come and go."""

import math
from typing import TYPE_CHECKING, TypeAlias

import attrs

from synapse_bgthrottle.cli import verdicts

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client, ClientError
    from synapse_bgthrottle.schema import ThrottleStatus, UpdatesStatus

    Snapshot: TypeAlias = ThrottleStatus | UpdatesStatus

LOOKS_WITHOUT_MODULE = 3

# A server that has never answered is waited for so long: it may be starting.
LONGEST_START_S = 300.0

# Enough for an answer to what is asked at the end of the time.
_MOMENT_S = 1.0


@attrs.frozen
class Look:
    """What one question brought: one of the two.

    Attributes:
        full: the module's status.
        official: Synapse's own, of a server without the module.
    """

    full: "ThrottleStatus | None" = None
    official: "UpdatesStatus | None" = None

    @property
    def result(self) -> "Snapshot":
        """Whichever there is."""
        if self.full is not None:
            return self.full
        assert self.official is not None
        return self.official


@attrs.define
class Ending:
    """Whether the updates have come to their end, by several looks where one cannot tell.

    Between two updates nothing runs for a moment, which Synapse's own status cannot tell from an
    end. The module's status has the queue.
    """

    _idle_looks: int = 0

    def has_come(self, look: Look) -> bool:
        """Whether nothing is pending, for all that was told up to this look."""
        if look.full is not None:
            return verdicts.is_done(look.full)
        assert look.official is not None
        is_idle = verdicts.is_done_officially(look.official)
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        return self._idle_looks >= LOOKS_WITHOUT_MODULE


class Poller:
    """Remembers whether the module is there: once it is, a 404 comes from a proxy meanwhile."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._timeout_s = client.timeout_s
        self._has_module: bool | None = None

    def look(self) -> Look:
        """Ask once.

        Raises:
            ClientError: the server does not answer as it should.
        """
        from synapse_bgthrottle.client.errors import NoModuleError  # noqa: PLC0415

        if self._has_module is not False:
            try:
                full = self._client.throttle_status()
            except NoModuleError:
                if self._has_module:
                    raise
            else:
                self._has_module = True
                return Look(full=full)
        official = self._client.status()
        self._has_module = False
        return Look(official=official)

    def look_again(self, left_s: float = math.inf) -> "Look | ClientError":
        """Ask once more, where errors that may pass are no reason to end.

        An answer is waited for no longer than `left_s`, but for a moment.

        Raises:
            ClientError: the token is no longer good for this; or the server has never answered,
                and it is no matter of time.
        """
        from synapse_bgthrottle.client import errors  # noqa: PLC0415

        self._client.timeout_s = min(self._timeout_s, max(left_s, _MOMENT_S))
        try:
            return self.look()
        except (errors.NotAllowedError, errors.NotAdministratorError):
            raise
        except errors.ClientError as error:
            if not self.has_answered and not errors.may_pass(error):
                raise
            return error

    @property
    def has_answered(self) -> bool:
        """Whether there ever was a status."""
        return self._has_module is not None

    def give_up(self, looked: object, waited_s: float, longest_s: float = math.inf) -> None:
        """End it where a server that may be starting has not come for so long.

        Raises:
            ClientError: the last one.
        """
        is_over = waited_s >= min(LONGEST_START_S, longest_s)
        if is_over and not self.has_answered and isinstance(looked, Exception):
            raise looked
