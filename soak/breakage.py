"""What happens to a server amid its updates: each fault in its turn, and administrators."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext

from harness import faults
from harness.faults import Fault
from harness.worlds import World
from soak.traffic import disabled, paused


class Breakage:
    """Breaks something, each time the next kind in a random order.

    Args:
        world: the server that it happens to.
        of_database: what may happen to its database, by name.
        rng: chooses.

    Attributes:
        happened: how often, by name.
        together: how often, by name and what administrators did meanwhile. Only while the database
            is broken they do: a server that is suspended does not answer them.
    """

    def __init__(self, world: World, of_database: Mapping[str, Fault], rng: random.Random) -> None:
        self._rng = rng
        self._levers: dict[str, Fault] = {
            "paused": lambda: paused(world.admin),
            "disabled": lambda: disabled(world.admin),
        }
        self._of_database = of_database
        self._faults: dict[str, Fault] = {
            **of_database,
            **self._levers,
            "suspended": lambda: faults.suspended(world.server),
        }
        self._turns: list[str] = []
        self.happened: Counter[str] = Counter()
        self.together: Counter[str] = Counter()

    @property
    def never_happened(self) -> list[str]:
        return sorted(self._faults.keys() - self.happened.keys())

    def once(self) -> None:
        """Break the next thing, for some seconds."""
        self._turns = self._turns or self._rng.sample(sorted(self._faults), len(self._faults))
        name = self._turns.pop()
        amid: dict[str, Fault] = {"nothing": nullcontext}
        if name in self._of_database:
            amid |= self._levers
        what = self._rng.choice(sorted(amid))
        self.happened[name] += 1
        self.together[f"{name}, {what}"] += 1
        with ExitStack() as lever, self._faults[name]():
            self._wait()
            # Taken back after the fault: that needs the database.
            lever.enter_context(amid[what]())
            self._wait()

    def _wait(self) -> None:
        time.sleep(self._rng.uniform(0.2, 3))
