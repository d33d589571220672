"""The cells: an update, a load and a deployment, and which arms are measured in each."""

from __future__ import annotations

import attrs

from benchmarks.latency.arms import CONTROL, STOCK, UNTHROTTLED
from testbed.data.loads import LOADS
from testbed.data.made_updates import TURNS, WAITS
from testbed.data.updates import INDEX_BUILD, UPDATES

DEPLOYMENTS = ("postgres", "sqlite", "workers")
NO_UPDATE = "none"

# Short names, for the command line and the tables.
SHORT = {
    "events_populate_state_key_rejections": "state_keys",
    INDEX_BUILD: "index_build",
    WAITS: "waits",
    TURNS: "turns",
}
_LONG = {short: name for name, short in SHORT.items()}


@attrs.frozen
class Cell:
    """What is measured together.

    Attributes:
        update: its name in the queue; `none` for the control, which all updates share.
        load: a name of `LOADS`.
        deployment: `postgres`, `sqlite`, or `workers`: a main process with two, on PostgreSQL.
        arms: the control too, where there are clients.
    """

    update: str
    load: str
    deployment: str = "postgres"
    arms: tuple[str, ...] = (CONTROL, STOCK, "balanced")

    def __str__(self) -> str:
        """UPDATE-LOAD, and -DEPLOYMENT where it is not PostgreSQL with one process."""
        where = "" if self.deployment == "postgres" else f"-{self.deployment}"
        return f"{SHORT.get(self.update, self.update)}-{self.load}{where}"

    @property
    def control(self) -> Cell:
        """The same without an update."""
        return attrs.evolve(self, update=NO_UPDATE)


def cell(name: str) -> Cell:
    """By its name, with the arms of the plan where it is in it.

    Raises:
        ValueError: there is no such update, load or deployment.
    """
    update, load, deployment = (*name.split("-", 2), DEPLOYMENTS[0])[:3]
    found = Cell(_LONG.get(update, update), load, deployment)
    for kind, word, known in (
        ("update", found.update, [*UPDATES, NO_UPDATE]),
        ("load", found.load, LOADS),
        ("deployment", found.deployment, DEPLOYMENTS),
    ):
        if word not in known:
            raise ValueError(f"no {kind} {word!r}: there are {', '.join(known)}")
    return next((each for each in PLAN if str(each) == str(found)), found)


_SEARCH, _RESIGN = "event_search", "event_resign"
_STATE_KEYS = "events_populate_state_key_rejections"
_WITH_FASTEST = (CONTROL, UNTHROTTLED, STOCK, "balanced")
_WITHOUT_CLIENTS = (UNTHROTTLED, STOCK, "balanced")
_OTHERS = ("gentle", "fast")

# All of `make bench-full`, the most telling first.
PLAN = (
    Cell(_RESIGN, "15", arms=_WITH_FASTEST),
    Cell(WAITS, "15"),
    Cell(_SEARCH, "15", arms=_WITH_FASTEST),
    Cell(_STATE_KEYS, "15", arms=_WITH_FASTEST),
    Cell(_SEARCH, "idle", arms=_WITHOUT_CLIENTS),
    Cell(WAITS, "15", "workers"),
    Cell(_RESIGN, "34", arms=_WITH_FASTEST),
    Cell(_SEARCH, "15", "sqlite", _WITH_FASTEST),
    Cell(_SEARCH, "burst", arms=_WITH_FASTEST),
    Cell(_RESIGN, "light"),
    Cell(_SEARCH, "saturation"),
    Cell(TURNS, "15"),
    Cell(_SEARCH, "34", arms=_WITH_FASTEST),
    Cell(_STATE_KEYS, "34"),
    Cell(WAITS, "34"),
    *(Cell(update, "15", arms=_OTHERS) for update in (_RESIGN, WAITS, _SEARCH, _STATE_KEYS)),
    Cell(_SEARCH, "polls", arms=_WITHOUT_CLIENTS),
    Cell(_SEARCH, "light"),
    Cell(_SEARCH, "15", "workers"),
    Cell(INDEX_BUILD, "34", arms=_WITH_FASTEST),
)
