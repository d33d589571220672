"""Configurations in homeserver.yaml, at the start of a real Synapse."""

from collections.abc import Callable
from pathlib import Path

import yaml

from synapse_bgthrottle.cli.inputs.synapse_source import installed_update_names
from testbed.servers.server import MODULE
from testbed.waiting import wait_until
from tests.end_to_end.conftest import RealServer

MakeServer = Callable[..., RealServer]

_CONTROLS = "synapse_bgthrottle controls the background updates"


def test_sections_with_every_line_commented_out(make_server: MakeServer) -> None:
    """Synapse starts, and the module is as without them; what is hardly meant is in its log."""
    server = make_server({})
    config = yaml.safe_load(server.synapse.config_path.read_text())
    del config["modules"]
    text = (
        f"modules:\n  - module: {MODULE}\n    config:\n      target_duration: 50\n"
        "      rules:\n      # - update: x\n      signals:\n      #  pool_wait: 5ms\n"
        "      windows:\n      # - days: sun\n"
    )
    server.synapse.config_path.write_text(yaml.safe_dump(config) + text)
    with server.synapse:
        wait_until(lambda: _CONTROLS in server.synapse.log())
        wait_until(lambda: "target_duration: 50 is 50 ms; write 50s" in server.synapse.log())


def test_the_names_that_are_read_from_the_source(make_server: MakeServer, tmp_path: Path) -> None:
    """What the command reads from Synapse's source is what a server with it can run."""
    names = tmp_path / "names"
    module = {
        "module": "tests.end_to_end.server.other_modules.NamesModule",
        "config": {"names": str(names)},
    }
    server = make_server(None, {"modules": [module]})
    with server.synapse:
        wait_until(names.exists)
        registered = set(names.read_text().split())
    assert set() == registered - installed_update_names()
    # Some are PostgreSQL's alone, or of workers.
    assert len(registered) > 0.9 * len(installed_update_names())
