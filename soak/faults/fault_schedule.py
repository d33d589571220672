"""Faults of a server while its updates run, one after the other, and administrators."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

from soak.faults.traffic import disabled, paused
from testbed.faults import faults
from testbed.faults.faults import Fault
from testbed.servers.matrix import MatrixClient
from testbed.servers.process import SynapseProcess

_NOTHING = "nothing"

Lever = Callable[[], AbstractContextManager[bool]]


class Breakage:
    """Causes the next fault in a random order.

    Args:
        admin: the server's administrator.
        of_database: possible faults of its database, by name.
        rng: makes the order.

    Attributes:
        happened: how often, by name.
        together: how often, by fault of the database, administrator's action during it, and whether
            the action was acknowledged. A suspended server does not answer.
    """

    def __init__(
        self,
        server: SynapseProcess,
        admin: MatrixClient,
        of_database: Mapping[str, Fault],
        rng: random.Random,
    ) -> None:
        self._rng = rng
        self._levers: dict[str, Lever] = {
            "paused": lambda: paused(admin),
            "disabled": lambda: disabled(admin),
        }
        self._of_database = of_database
        self._of_server: dict[str, Fault] = {"suspended": lambda: faults.suspended(server)}
        self._turns: list[str] = []
        self._amid: dict[str, list[str]] = {name: [] for name in of_database}
        self.happened: Counter[str] = Counter()
        self.together: Counter[str] = Counter()

    @property
    def never_happened(self) -> list[str]:
        """What should have happened, and did not. During most faults no pause can be stored."""
        every = {*self._of_database, *self._of_server, *self._levers}
        amid = {f"{name}, disabled" for name in self._of_database}
        return sorted((every - self.happened.keys()) | (amid - self.together.keys()))

    def once(self) -> None:
        """Cause the next fault, for some seconds."""
        every = (*self._of_database, *self._of_server, *self._levers)
        name = self._next(self._turns, every)
        if name in self._levers:
            with self._levers[name]() as is_acknowledged:
                if is_acknowledged:
                    self.happened[name] += 1
                self._wait()
            return
        self.happened[name] += 1
        if name in self._of_server:
            with self._of_server[name]():
                self._wait()
            return
        with ExitStack() as lever, self._of_database[name]():
            self._wait()
            # It is ended after the fault, because that needs the database.
            self.together[f"{name}, {self._pulled(name, lever)}"] += 1
            self._wait()

    def _pulled(self, fault: str, until: ExitStack) -> str:
        name = self._next(self._amid[fault], (_NOTHING, *self._levers))
        if name == _NOTHING or until.enter_context(self._levers[name]()):
            return name
        return f"{name} in vain"

    def _next(self, turns: list[str], every: tuple[str, ...]) -> str:
        if not turns:
            turns.extend(self._rng.sample(sorted(every), len(every)))
        return turns.pop()

    def _wait(self) -> None:
        time.sleep(self._rng.uniform(0.2, 3))
