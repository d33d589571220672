"""`bgthrottle forecast`: of a server's queue, or of numbers that are given."""

import os
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from synapse_bgthrottle.cli import output
from synapse_bgthrottle.cli.commands.check_config import parsed
from synapse_bgthrottle.cli.errors import CommandError
from synapse_bgthrottle.cli.inputs import forecast_inputs
from synapse_bgthrottle.cli.inputs.forecast_options import (
    LEARNED,
    SLOPES,
    items_option,
    load_option,
    one_shot_option,
    rate_option,
    read_load,
)
from synapse_bgthrottle.cli.options import config_option
from synapse_bgthrottle.cli.render.forecast import UNNAMED, forecast_lines
from synapse_bgthrottle.cli.render.text import share
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.client.errors import NoModuleError
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.stock import stock_settings
from synapse_bgthrottle.core.scheduling.effective_limits import IN_ONE_GO
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.expected_pace import UNKNOWN_SLOPE, Range
from synapse_bgthrottle.core.tracking.timeline import Job
from synapse_bgthrottle.core.tracking.weekly_load import HOURS, learned
from synapse_bgthrottle.forecast import accuracy
from synapse_bgthrottle.forecast.charts import svg
from synapse_bgthrottle.forecast.forecast import Question, closed_ratio, forecast, slope_of
from synapse_bgthrottle.forecast.models import Forecast
from synapse_bgthrottle.schema import SeenHour, ThrottleStatus

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client

_FORMULA = (
    "while clients are there, the duty cycle is computed: the slowdown that the profile allows,"
    " divided by the slowdown from batches without rests, which is"
)
_FILE = click.Path(dir_okay=False, path_type=Path)
_OWN_SPEED = "the speed in batches is assumed to stay the same"


@attrs.frozen
class _Asked:
    """The command's options."""

    update: str | None
    items: float | None
    rate: float | None
    one_shot_s: float | None
    load: str | None
    slope: Range | None


@click.command("forecast")
@config_option
@items_option
@rate_option
@click.option(
    "--update", metavar="NAME", help="Only this update. Offline: the name that rules match."
)
@one_shot_option
@load_option
@click.option(
    "--server",
    "slope",
    type=click.Choice(list(SLOPES)),
    callback=lambda _, __, name: SLOPES.get(name),
    help="The kind of server, if its slowdown is not measured.",
)
@click.option("--svg", "picture", type=_FILE, metavar="FILE", help="Write the chart into it.")
@online
def forecast_command(
    session: Session,
    files: tuple[Path, ...],
    picture: Path | None,
    **options: Any,
) -> None:
    """Estimate when updates will be done.

    It asks the server for its queue, limits and history. With --config or --items it asks no
    server. It compares the present configuration with each profile, and with stock Synapse.

    \b
    Examples:
      bgthrottle forecast
      bgthrottle forecast --load office --svg forecast.svg
      bgthrottle forecast --items 1e9 --rate 5/ms --config /etc/matrix-synapse/homeserver.yaml
    """
    asked = _Asked(**options)
    is_given = asked.items is not None or (
        asked.one_shot_s is not None and not session.settings().url
    )
    if not files and not is_given:
        made = _of_server(session, asked)
    else:
        made = _of_numbers(session, asked, files)
    if picture is not None:
        try:
            picture.write_text(svg(made), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{picture}: {error.strerror}") from None
    session.show(made, forecast_lines(made))


def _of_numbers(session: Session, asked: _Asked, files: tuple[Path, ...]) -> Forecast:
    config, server_settings = Config(), Settings()
    if files:
        config, found = parsed(files)
        server_settings = stock_settings(found.server_section)[0].tuned()
    name = asked.update or UNNAMED
    job = Job(
        update=name,
        items=asked.items,
        per_batch_s=asked.rate,
        one_shot=asked.one_shot_s is not None or name in IN_ONE_GO,
        one_shot_s=asked.one_shot_s,
    )
    if job.unknown:
        raise click.UsageError(job.unknown)
    zone = _zone(config, server_settings, [job])
    if asked.load == LEARNED:
        raise click.UsageError(
            "--load learned is what a server has seen: leave out --config, --items"
        )
    question = Question(
        jobs=(job,),
        config=config,
        server_settings=server_settings,
        load=read_load(asked.load or "flat", zone),
        slope=asked.slope or UNKNOWN_SLOPE,
        start_s=session.around.wall_ms() / 1000,
    )
    notes = [_OWN_SPEED, "offline: pauses, releases and budgets are not looked at"]
    return attrs.evolve(forecast(question), notes=(*_load_notes(question), *notes))


def _of_server(session: Session, asked: _Asked) -> Forecast:
    with session.client() as client:
        status, history = client.throttle_status(), client.history(1000)
        week = _week(client, asked.load)
        jobs = _jobs(status, asked)
        stated = [client.explain(job.update, job.database, job.one_shot) for job in jobs]
    try:
        config = forecast_inputs.config_of(stated)
    except ValueError as error:
        raise CommandError(f"the server's limits are not understood: {error}") from None
    now_ms = session.around.wall_ms() if status.now_ms is None else status.now_ms
    notes = list(forecast_inputs.why_held(stated))
    if asked.load in (None, LEARNED):
        hours = [hour for hour in week or () if 0 <= hour.hour < HOURS]
        load = learned(hours, forecast_inputs.seen_now(status))
        notes.append(forecast_inputs.learned_note(load, is_stated=week is not None))
    else:
        load = read_load(asked.load or "", _zone(config, Settings(), jobs))
    closed = closed_ratio(history)
    if closed:
        notes.append(f"budgets: closed for {share(closed)} of the time, as they were")
    memory = forecast_inputs.kept_file(os.environ)
    earlier = forecast_inputs.read_kept(memory)
    compared = accuracy.compared(earlier, history, status.server_name)
    is_sqlite = any(database.engine == "sqlite" for database in status.databases)
    question = Question(
        jobs=tuple(jobs),
        config=config,
        load=load,
        slope=asked.slope or (SLOPES["sqlite"] if is_sqlite else UNKNOWN_SLOPE),
        start_s=now_ms / 1000,
        closed_ratio=closed,
        error=compared.median_error or 0.0,
    )
    notes += [_OWN_SPEED, *_load_notes(question)]
    if len({job.database for job in jobs}) > 1:
        notes.append("each database is computed alone: together they may take longer")
    made = attrs.evolve(forecast(question), notes=tuple(notes), past=compared)
    if asked.update is not None:
        made = forecast_inputs.only(made, asked.update)
    try:
        forecast_inputs.keep(memory, accuracy.kept_of(made, status.server_name))
    except OSError as error:
        output.say(f"{memory}: {error.strerror}: this forecast is not kept")
    return made


def _week(client: "Client", load: str | None) -> tuple[SeenHour, ...] | None:
    """What the server saw of the week, where it matters; None: it does not say."""
    if load not in (None, LEARNED):
        return ()
    try:
        return client.load()
    except NoModuleError:  # an older one, which has stated its status
        if load is None:
            return None
        raise CommandError(f"--load {LEARNED}: {forecast_inputs.NO_LOAD}") from None


def _load_notes(question: Question) -> Iterator[str]:
    if question.load.most:
        slope = slope_of(question)
        yield f"{_FORMULA} {share(slope.likely)} ({share(slope.low)} to {share(slope.high)})"


def _jobs(status: ThrottleStatus, asked: _Asked) -> list[Job]:
    """What is pending; where one update is asked for, no more than up to it."""
    jobs = [_filled(job, asked) for job in forecast_inputs.jobs_of(status)]
    if asked.update is None:
        return jobs
    try:
        return forecast_inputs.up_to(jobs, asked.update)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _filled(job: Job, asked: _Asked) -> Job:
    """With what the command line says where the server does not know."""
    if job.one_shot:
        return attrs.evolve(job, one_shot_s=asked.one_shot_s)
    return attrs.evolve(job, per_batch_s=job.per_batch_s or asked.rate)


def _zone(config: Config, server: Settings, jobs: list[Job]) -> tzinfo:
    job = jobs[0] if jobs else Job(update="")
    limits = Throttle(config, server).limits.of(job.update, job.database, job.one_shot)[1]
    return limits.time_zone
