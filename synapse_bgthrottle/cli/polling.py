"""Asks for the status again and again, with or without the module, while servers come and go."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.cli.render.status import Status
from synapse_bgthrottle.cli.session import Surroundings
from synapse_bgthrottle.client import errors
from synapse_bgthrottle.schema import UpdatesStatus

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

LOOKS_WITHOUT_MODULE = 3

# A server that has never answered is waited for so long: it may be starting.
LONGEST_START_S = 300.0

# Enough for an answer to what is asked at the end of the time.
_MOMENT_S = 1.0


class Poller:
    """Asks one server. Once the module has answered, a later 404 comes from a proxy."""

    def __init__(self, client: "Client", around: Surroundings) -> None:
        self._client = client
        self._around = around
        self._timeout_s = client.timeout_s
        self._has_module: bool | None = None  # None: it has never answered
        self._idle_looks = 0

    def look(self) -> Status:
        """The module's status or, without the module, Synapse's own; may raise ClientError."""
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

    def looks(
        self, interval_ms: float, longest_s: float = math.inf
    ) -> Iterator[Status | errors.ClientError]:
        """Ask again and again for so long; gives errors that may pass, too.

        Raises ClientError if the token is no longer accepted; or the server has never answered, and
        waiting does not help, or has not helped for `LONGEST_START_S`.
        """
        start_s = self._around.monotonic_s()
        waited_s = 0.0
        while True:
            looked = self._look_again(longest_s - waited_s)
            yield looked
            waited_s = self._around.monotonic_s() - start_s
            is_over = waited_s >= min(LONGEST_START_S, longest_s)
            if is_over and self._has_module is None and isinstance(looked, Exception):
                raise looked
            if waited_s >= longest_s:
                return
            self._around.sleep(min(max(interval_ms, 100) / 1000, longest_s - waited_s))
            waited_s = self._around.monotonic_s() - start_s

    def _look_again(self, left_s: float) -> Status | errors.ClientError:
        """Ask once more, waiting for the answer for `left_s`, but at least for a moment."""
        self._client.timeout_s = min(self._timeout_s, max(left_s, _MOMENT_S))
        try:
            return self.look()
        except (errors.NotAllowedError, errors.NotAdministratorError):
            raise
        except errors.ClientError as error:
            if self._has_module is None and not error.may_pass:
                raise
            return error

    def has_ended(self, status: Status) -> bool:
        """Whether nothing is pending, as far as is known from all statuses up to this one.

        Between two updates nothing runs for a moment, which Synapse's own status cannot tell from
        an end. The module's status has the queue.
        """
        self._idle_looks = self._idle_looks + 1 if verdicts.is_done(status) else 0
        needed = LOOKS_WITHOUT_MODULE if isinstance(status, UpdatesStatus) else 1
        return self._idle_looks >= needed
