"""A module that serves the HTTP API with a service that only records its calls."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synapse.module_api import ModuleApi

from synapse_bgthrottle.api.resource import ThrottleResource
from testbed.virtual.fake_service import FakeService

logger = logging.getLogger("synapse_bgthrottle.tests")


SLOW_S = 0.5


class SlowSteering(FakeService):
    """Takes its time for updates of the name `slow`."""

    def __init__(self, api: ModuleApi, tell: Callable[[str], object]) -> None:
        super().__init__(tell)
        self._api = api

    async def history(self, limit: int, update: str | None, database: str | None) -> Any:
        if update == "slow":
            await self._api.sleep(SLOW_S)
        return await super().history(limit, update, database)


class WebModule:
    """Its config names the file in which it writes."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        calls = Path(config["calls"])

        def tell(line: str) -> None:
            with calls.open("a") as file:
                file.write(f"{line}\n")

        def tell_error(where: str, error: Exception) -> None:
            logger.error("An error of our own %s", where, exc_info=error)

        service = SlowSteering(api, tell) if api.worker_app is None else None
        resource = ThrottleResource(api, service, tell_error)
        api.register_web_resource("/_synapse/bgthrottle", resource)
