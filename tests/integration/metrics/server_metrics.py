"""Servers in virtual time and their metrics."""

from collections.abc import Callable
from typing import Any

from testbed.observe.metrics_scrape import Scrape
from testbed.virtual.server import VirtualServer

MakeServer = Callable[..., VirtualServer]


def make(
    virtual_server: MakeServer, config: Any, name: str = "one.test", **arguments: Any
) -> VirtualServer:
    """A server of this name, with the module."""
    return load(virtual_server(**arguments), config, name)


def load(server: VirtualServer, config: Any, name: str) -> VirtualServer:
    """Give the server this name, and the module."""
    server.api.server_name = name
    server.api.module = server.load(config)
    return server


def size(name: str) -> int:
    """How many samples are shown of this server."""
    return sum(labels["server_name"] == name for _, labels, _ in Scrape.of().samples)


def value(metric: str, name: str = "one.test", **labels: str) -> float | None:
    """What is shown of its main database."""
    return Scrape.of().value(metric, server_name=name, database_name="master", **labels)
