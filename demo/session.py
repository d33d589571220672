"""Records a session at the command, against a real server on PostgreSQL, as docs/session.md.

`python -m demo.session`: 40000 events of history (made once, kept in .bench), the update of the
search index queued anew and others behind it; then each command as a process, its output as it is.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import attrs
import yaml

from testbed.data import template, updates
from testbed.data.databases import Database, Postgres
from testbed.data.provenance import cache_folder
from testbed.data.updates import UPDATES
from testbed.servers.cli_process import Command
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until

_ROOT = Path(__file__).parent.parent
_EVENTS = 40_000
_RESIGNED = 5_000
_CONFIG = """\
duty_cycle: 25%
rules:
  - update: event_search
    duty_cycle: 100%
    max_items_per_second: 1000
  - {update: event_resign, approval: required}
"""
_HEAD = f"""\
# A session

Recorded by `python -m demo.session` from a real server: Synapse {version("matrix-synapse")}
on PostgreSQL, {_EVENTS} events. Nothing is edited by hand. `BGTHROTTLE_URL` and
`BGTHROTTLE_TOKEN_FILE` are set; an exit status is shown where it is not 0. The output is no
terminal's: on one, `watch` draws instead. The module's configuration is

```yaml
{_CONFIG}```
"""


class Session:
    """What was typed and what came, in blocks of Markdown."""

    def __init__(self, command: Command, folder: Path) -> None:
        self._command = command
        self._output = folder / "output"
        self.text = _HEAD

    def say(self, text: str) -> None:
        self.text += f"\n{text}\n"

    def run(self, line: str, interrupt_after_s: float | None = None) -> None:
        """One command to its end, or until Ctrl-C."""
        process = self._command.start(self._output, *shlex.split(line))
        try:
            if interrupt_after_s is not None:
                time.sleep(interrupt_after_s)
                process.send_signal(signal.SIGINT)
            status = process.wait(120)
        finally:
            process.kill()
        shown = self._output.read_text() + ("^C\n" if interrupt_after_s is not None else "")
        exit_status = f"exit status {status}\n" if status else ""
        self.text += f"\n```text\n$ bgthrottle {line}\n{shown}{exit_status}```\n"
        print(f"$ bgthrottle {line}\n{shown}{exit_status}", flush=True)


def record(session: Session, database: Database) -> None:
    """All of it."""
    search = "SELECT progress_json FROM background_updates WHERE update_name = 'event_search'"
    wait_until(lambda: "rows_inserted" in str(database.execute(search)))
    time.sleep(6)
    session.say("What is it at, what waits, and may the server be upgraded?")
    session.run("status")
    session.run("check")
    session.say("Nothing now, for a load test:")
    session.run("pause --for 2h --reason 'load test' --yes")
    time.sleep(2)
    session.run("status")
    session.run("wait")
    session.run("resume")
    session.say("Follow it for a while, see what limits it, and give it more for now:")
    session.run("watch --interval 500ms --every 2s", interrupt_after_s=7)
    session.run("explain event_search")
    session.run("set event_search max_items_per_second=4000 --for 1h --reason 'evening'")
    time.sleep(5)
    session.run("watch --interval 500ms --every 1s", interrupt_after_s=4)
    session.say("One behind it needs approval; it gets it, and the rest is waited for:")
    session.run("explain event_resign")
    session.run("release event_resign --reason 'the old key is safe'")
    session.run("set '*' duty_cycle=100% --for 1h --yes")
    session.run("wait --interval 500ms --timeout 10m")
    session.run("check")
    session.say("How it went, and who did what:")
    session.run("history --limit 5")
    session.run("history --uses")
    session.run("status")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=_ROOT / "docs" / "session.md")
    parser.add_argument("--cache", type=Path, default=Path(".bench"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        Postgres(cache_folder(options.cache)) as database,
    ):
        folder = Path(name)
        database.restore(template.ensure(database, _EVENTS))
        span = template.span(database)
        for update in ("event_search", "event_resign", "events_populate_state_key_rejections"):
            UPDATES[update].reset(database, span)
            updates.queue(database, UPDATES[update], UPDATES[update].begin(span))
        # Slow: the last of them will do.
        late = attrs.evolve(span, low=span.high - _RESIGNED)
        updates.queue(database, UPDATES["event_resign"], UPDATES["event_resign"].begin(late))
        order = "UPDATE background_updates SET ordering = 1 WHERE update_name = %s"
        database.execute(order, "event_resign")
        extra = {"database": database.synapse_config()}
        server = SynapseServer(folder / "server", yaml.safe_load(_CONFIG), extra)
        admin = template.crowd(database).admin
        session = Session(Command.of(server.url, admin, folder / "token"), folder)
        with server:
            record(session, database)
        options.output.write_text(session.text)


if __name__ == "__main__":
    main()
