"""A module for a real server whose name servers give no answer for one name."""

import logging
import socket
import threading
from typing import Any

from synapse.module_api import ModuleApi

logger = logging.getLogger("synapse_bgthrottle.tests.names")

HOST = "hangs.test"


class HangingNames:
    """A look-up of that name never ends; it is logged."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        look_up = socket.getaddrinfo

        def hang(host: Any, *arguments: Any, **named: Any) -> Any:
            if host == HOST:
                logger.info("looking up %s", host)
                threading.Event().wait()
            return look_up(host, *arguments, **named)

        socket.getaddrinfo = hang

    @staticmethod
    def parse_config(config: Any) -> Any:
        """As it is."""
        return config
