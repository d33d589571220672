"""`bgthrottle run`."""

import re

import click

from synapse_bgthrottle.cli.errors import CommandError
from synapse_bgthrottle.cli.options import yes_option
from synapse_bgthrottle.cli.render.text import Line
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.client import JOBS, RefusedError
from synapse_bgthrottle.core.config.problems import did_you_mean

# As Synapse reads it: the ID, a blank, and 32 bytes in base64.
_KEY = re.compile(r"ed25519:[^ ]+ [A-Za-z0-9+/_-]{43}=?")


def _completions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [job for job in JOBS if job.startswith(incomplete)]


@click.command("run")
@click.argument("job", shell_complete=_completions)
@click.option(
    "--old-key",
    help="For event_resign: the key whose signatures are replaced, as 'ed25519:NAME KEY'.",
)
@click.option("--before-ts", type=int, help="For event_resign: only older events; ms since 1970.")
@yes_option
@online
def run_command(
    session: Session, job: str, old_key: str | None, before_ts: int | None, yes: bool
) -> None:
    """Put one of Synapse's own jobs into the queue.

    JOB is populate_stats_process_rooms, regenerate_directory, event_resign, or another one that the
    server knows. It works without the module. event_resign without --old-key signs all events that
    lack the current key's signature, and asks first.

    \b
    Example:
      bgthrottle run regenerate_directory
    """
    if job != "event_resign" and (old_key is not None or before_ts is not None):
        raise click.UsageError("--old-key and --before-ts are for event_resign")
    if old_key is not None and not _KEY.fullmatch(old_key):
        # Synapse would take it, and fail with it until it gives up on all updates.
        raise click.UsageError("--old-key has to be like 'ed25519:a_old XGX0...', in base64")
    if job == "event_resign" and old_key is None:
        before = "" if before_ts is None else f" received before {before_ts} ms"
        session.confirm(f"Sign all events{before} that lack the current key's signature?", yes)
    with session.client(changes=True) as client:
        try:
            client.run(job, old_key=old_key, before_ts_ms=before_ts)
        except RefusedError as error:
            if job in JOBS:
                raise
            jobs = f"the jobs are {', '.join(JOBS)}{did_you_mean(job, JOBS)}"
            raise CommandError(f"{error}; {jobs}") from None
    session.show({"job": job}, [Line(f"{job} is in the queue")])
