"""`bgthrottle run`."""

import click

from synapse_bgthrottle.cli.lines import Line
from synapse_bgthrottle.cli.session import Session, online

# As in the client, which is not imported for a mere completion.
JOBS = ("populate_stats_process_rooms", "regenerate_directory", "event_resign")


def _completions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [job for job in JOBS if job.startswith(incomplete)]


@click.command("run")
@click.argument("job", shell_complete=_completions)
@click.option("--old-key", help="For event_resign: the key whose signatures are replaced.")
@click.option("--before-ts", type=int, help="For event_resign: ms since the epoch.")
@online
def run_command(session: Session, job: str, old_key: str | None, before_ts: int | None) -> None:
    """Put one of Synapse's own jobs into the queue.

    JOB is populate_stats_process_rooms, regenerate_directory, event_resign, or what else the
    server knows. Works without the module.

    \b
    Example:
      bgthrottle run regenerate_directory
    """
    if job != "event_resign" and (old_key is not None or before_ts is not None):
        raise click.UsageError("--old-key and --before-ts are for event_resign")
    with session.client(changes=True) as client:
        client.run(job, old_key=old_key, before_ts_ms=before_ts)
    session.show({"job": job}, [Line(f"{job} is in the queue")])
