"""Asks for the status again and again, with or without the module, while servers come and go."""

import math
from typing import TYPE_CHECKING

import attrs

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.cli.render.status import Status
from synapse_bgthrottle.client import errors
from synapse_bgthrottle.schema import UpdatesStatus

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

LOOKS_WITHOUT_MODULE = 3

# A server that has never answered is waited for so long: it may be starting.
LONGEST_START_S = 300.0

# Enough for an answer to what is asked at the end of the time.
_MOMENT_S = 1.0


@attrs.define
class Ending:
    """Whether the updates have come to their end, by several looks where one cannot tell.

    Between two updates nothing runs for a moment, which Synapse's own status cannot tell from an
    end. The module's status has the queue.
    """

    _idle_looks: int = 0

    def has_come(self, status: Status) -> bool:
        """Whether nothing is pending, as far as is known from all statuses up to this one."""
        is_idle = verdicts.is_done(status)
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        needed = LOOKS_WITHOUT_MODULE if isinstance(status, UpdatesStatus) else 1
        return self._idle_looks >= needed


class Poller:
    """Asks one server. Once the module has answered, a later 404 comes from a proxy."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._timeout_s = client.timeout_s
        self._has_module: bool | None = None

    def look(self) -> Status:
        """Ask once: the module's status or, without the module, Synapse's own.

        Raises:
            ClientError: the server does not answer as it should.
        """
        if self._has_module is not False:
            try:
                full = self._client.throttle_status()
            except errors.NoModuleError:
                if self._has_module:
                    raise
            else:
                self._has_module = True
                return full
        official = self._client.status()
        self._has_module = False
        return official

    def look_again(self, left_s: float = math.inf) -> Status | errors.ClientError:
        """Ask once more; returns errors that may pass.

        It waits for the answer for `left_s`, but at least for a moment.

        Raises:
            ClientError: the token is no longer accepted; or the server has never answered, and
                waiting does not help.
        """
        self._client.timeout_s = min(self._timeout_s, max(left_s, _MOMENT_S))
        try:
            return self.look()
        except (errors.NotAllowedError, errors.NotAdministratorError):
            raise
        except errors.ClientError as error:
            if not self.has_answered and not error.may_pass:
                raise
            return error

    @property
    def has_answered(self) -> bool:
        """Whether there ever was a status."""
        return self._has_module is not None

    def give_up(self, looked: object, waited_s: float, longest_s: float = math.inf) -> None:
        """Raise the error that was looked at if the server has never answered for so long.

        Raises:
            ClientError: this error.
        """
        is_over = waited_s >= min(LONGEST_START_S, longest_s)
        if is_over and not self.has_answered and isinstance(looked, Exception):
            raise looked
