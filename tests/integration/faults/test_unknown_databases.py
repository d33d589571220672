"""Requests for an unknown database are refused, unless something is stored for it."""

from collections.abc import Callable
from typing import Any

import pytest

from synapse_bgthrottle.core.config.problems import InvalidConfigError
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import (
    change_levers,
    levers_of,
    queued,
    restarted,
    service_of,
    stated,
)

MakeServer = Callable[..., VirtualServer]

_REFUSED = "database: found 'state'; accepted is master"


@pytest.mark.parametrize(
    ("end", "make", "settings"),
    [("resume", "pause", {}), ("reset", "override", {"settings": {"sleep": 0}})],
)
def test_levers(
    virtual_server: MakeServer, end: str, make: str, settings: dict[str, dict[str, Any]]
) -> None:
    """What was made while it was there can still be ended by its name."""
    server = virtual_server()
    queued(server, "work")
    server.load({})
    server.advance(0)
    change_levers(server, make, update="*", **settings)
    with pytest.raises(InvalidConfigError, match=_REFUSED):
        change_levers(server, end, database="state")
    rename = "UPDATE bgthrottle_levers SET database_name = 'state'"
    server.pools["master"].connection.execute(rename)
    later = restarted(server, virtual_server())
    later.pools["master"].updates.register_background_update_handler("work", Work(later, 1, 1))
    module = later.load({})
    later.advance(0)
    assert ["state"] == [lever.database for lever in levers_of(module)]
    change_levers(later, end, database="state")
    assert () == levers_of(module)
    with pytest.raises(InvalidConfigError, match=_REFUSED):
        change_levers(later, end, database="state")


def test_history(virtual_server: MakeServer) -> None:
    """What ran while it was there is told."""
    server = virtual_server()
    queued(server, "work", 300)
    server.load({"sleep": "1s"})
    server.start()
    server.advance(60)

    def told(database: str, update: str | None = None) -> list[str]:
        entries = stated(server, service_of(server).history(10, update, database))
        return [entry["update"] for entry in entries]

    assert [] == told("master", "other")
    with pytest.raises(InvalidConfigError, match=_REFUSED):
        told("state")
    rename = "UPDATE bgthrottle_history SET database_name = 'state'"
    server.pools["master"].connection.execute(rename)
    assert ["work"] == told("state")


def test_explanation(virtual_server: MakeServer) -> None:
    """Limits and holds of what is not there would mean nothing."""
    server = virtual_server(databases=("main", "state"))
    for name in ("main", "state"):
        server.pools[name].queue("work", Work(server, 1, 1))
    server.load({})
    server.advance(0)
    with pytest.raises(InvalidConfigError, match="found 'master'; accepted is main, state"):
        stated(server, service_of(server).explain("work", "master", False))
