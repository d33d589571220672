"""`bgthrottle forecast`: of a server's queue, or of numbers that are given."""

import os
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from synapse_bgthrottle.cli import forecast_inputs, forecast_online, forecast_queue, output
from synapse_bgthrottle.cli.commands.check_config import FILE, parsed
from synapse_bgthrottle.cli.commands.forecast_options import (
    LEARNED,
    items_option,
    load_option,
    one_shot_option,
    rate_option,
    read_load,
    seeds,
)
from synapse_bgthrottle.cli.errors import CommandError
from synapse_bgthrottle.cli.render.forecast import UNNAMED, forecast_lines
from synapse_bgthrottle.cli.render.text import escape, share
from synapse_bgthrottle.cli.session import Session, online
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.quirks import runs_in_one_go
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.forecast import accuracy, from_history
from synapse_bgthrottle.forecast.forecast import Question, forecast
from synapse_bgthrottle.forecast.models import Job
from synapse_bgthrottle.forecast.results import Forecast
from synapse_bgthrottle.forecast.server_section import settings_of_section
from synapse_bgthrottle.forecast.svg import svg
from synapse_bgthrottle.forecast.weekly_load import flat
from testbed.simulation import presets
from testbed.simulation.model import ServerModel

if TYPE_CHECKING:
    from synapse_bgthrottle.client import Client
    from synapse_bgthrottle.schema import SeenHour, ThrottleStatus

_SERVERS = {name.lower().replace(" ", "-"): model for name, model in presets.SERVERS.items()}

_MODEL = (
    "clients' requests are modelled, not yours: trust the order of the profiles, not each digit"
)
_OWN_SPEED = "the speed in batches is taken for the same from beginning to end"


@attrs.frozen
class _Asked:
    """The command's options."""

    update: str | None
    items: float | None
    rate: float | None
    one_shot_s: float | None
    load: str | None
    server: ServerModel | None


@click.command("forecast")
@click.option("--config", "file", type=FILE, help="Offline, by homeserver.yaml, say.")
@items_option
@rate_option
@click.option("--update", metavar="NAME", help="Only this update; offline, which rules match.")
@one_shot_option
@load_option
@click.option("--server", type=click.Choice(list(_SERVERS)), help="What it is like.")
@click.option("--svg", "picture", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@online
def forecast_command(
    session: Session,
    file: Path | None,
    items: float | None,
    rate: float | None,
    update: str | None,
    one_shot: float | None,
    load: str | None,
    server: str | None,
    picture: Path | None,
) -> None:
    """Tell when updates will be done, and what else would cost.

    The server is asked for its queue, limits and history. With --config or --items nobody is asked.
    The module's own decisions are made on a modelled server, for the present configuration, each
    profile, and stock Synapse.

    \b
    Examples:
      bgthrottle forecast
      bgthrottle forecast --load office --svg forecast.svg
      bgthrottle forecast --items 1e9 --rate 5/ms --config /etc/matrix-synapse/homeserver.yaml
    """
    model = None if server is None else _SERVERS[server]
    asked = _Asked(update, items, rate, one_shot, load, model)
    if file is None and items is None and (one_shot is None or session.settings().url):
        told = _of_server(session, asked)
    else:
        told = _of_numbers(session, asked, file)
    if picture is not None:
        try:
            picture.write_text(svg(told), encoding="utf-8")
        except OSError as error:
            raise CommandError(escape(f"{picture}: {error.strerror}")) from None
    session.show(told, forecast_lines(told))


def _of_numbers(session: Session, asked: _Asked, file: Path | None) -> Forecast:
    config, server_settings = Config(), Settings()
    if file is not None:
        config, found = parsed(file)
        server_settings = settings_of_section(found.server_section)
    name = asked.update or UNNAMED
    one_shot = asked.one_shot_s is not None or runs_in_one_go(name)
    job = Job(
        update=name,
        items=asked.items,
        per_batch_s=asked.rate,
        one_shot=one_shot,
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
        server=asked.server or presets.TWO_CORES,
        start_s=session.around.wall_ms() / 1000,
        seeds=seeds,
    )
    notes = [_OWN_SPEED, "pauses, releases and budgets are the server's to know: none is in it"]
    return attrs.evolve(forecast(question), notes=(*_load_notes(question), *notes))


def _of_server(session: Session, asked: _Asked) -> Forecast:
    with session.client() as client:
        status, history = client.throttle_status(), client.history(1000)
        week = _week(client, asked.load)
        jobs = _jobs(status, asked)
        told = [client.explain(job.update, job.database, job.one_shot) for job in jobs]
    try:
        config = forecast_online.config_of(told)
    except ValueError as error:
        raise CommandError(escape(f"the server's limits are not understood: {error}")) from None
    now_ms = session.around.wall_ms() if status.now_ms is None else status.now_ms
    zone = _zone(config, Settings(), jobs)
    notes = list(forecast_online.why_held(told))
    observed = None
    if asked.load in (None, LEARNED):
        found = from_history.load_of_the_week(forecast_online.week_of(week or ()))
        load = flat(zone) if found is None else found.load
        notes.append(forecast_online.learned_note(found, is_told=week is not None))
        observed = forecast_online.observed_now(status, config, load, now_ms)
    else:
        load = read_load(asked.load or "", zone)
    if observed is not None:
        notes.append(
            f"observed: {share(observed.share)} of the time in batches so far, which the dates"
            " rest on; all other rows are the model's alone, present too"
        )
    closed_ratio = from_history.budgets_closed(forecast_online.pasts_of(history, now_ms))
    if closed_ratio:
        notes.append(f"budgets: closed for {share(closed_ratio)} of the time, as they were")
    memory = forecast_inputs.default_file(os.environ)
    earlier = forecast_inputs.read(memory)
    compared = accuracy.compared(earlier, forecast_online.went_of(history), status.server_name)
    is_sqlite = any(database.engine == "sqlite" for database in status.databases)
    question = Question(
        jobs=tuple(jobs),
        config=config,
        load=load,
        server=asked.server or (presets.SQLITE if is_sqlite else presets.TWO_CORES),
        start_s=now_ms / 1000,
        seeds=seeds,
        closed_ratio=closed_ratio,
        observed=observed,
        error=compared.median_error or 0.0,
    )
    notes += [_OWN_SPEED, *_load_notes(question)]
    if len({job.database for job in jobs}) > 1:
        notes.append("each database as if it were alone: together they may take longer")
    made = attrs.evolve(forecast(question), notes=tuple(notes), past=compared)
    if asked.update is not None:
        made = forecast_queue.only(made, asked.update)
    try:
        forecast_inputs.add(memory, accuracy.kept_of(made, status.server_name))
    except OSError as error:
        output.say(f"{memory}: {error.strerror}: this forecast is not kept")
    return made


def _week(client: "Client", load: str | None) -> "tuple[SeenHour, ...] | None":
    """What the server saw of the week, where it matters; None: it does not tell."""
    from synapse_bgthrottle.client.errors import NoModuleError  # noqa: PLC0415

    if load not in (None, LEARNED):
        return ()
    try:
        return client.load()
    except NoModuleError:  # which has told its status
        if load is None:
            return None
        raise CommandError(f"--load {LEARNED}: {forecast_online.NO_LOAD}") from None


def _load_notes(question: Question) -> Iterator[str]:
    if question.load.most:
        yield _MODEL


def _jobs(status: "ThrottleStatus", asked: _Asked) -> list[Job]:
    """What is pending; where one update is asked for, no more than up to it."""
    jobs = [_filled(job, asked) for job in forecast_queue.jobs_of(status)]
    if asked.update is None:
        return jobs
    try:
        return forecast_queue.up_to(jobs, asked.update)
    except ValueError as error:
        raise CommandError(escape(str(error))) from None


def _filled(job: Job, asked: _Asked) -> Job:
    """With what the command line says where the server does not know."""
    if job.one_shot:
        return attrs.evolve(job, one_shot_s=asked.one_shot_s)
    return attrs.evolve(job, per_batch_s=job.per_batch_s or asked.rate)


def _zone(config: Config, server: Settings, jobs: list[Job]) -> tzinfo:
    job = jobs[0] if jobs else Job(update="")
    limits = Throttle(config, server).limits_of(job.update, job.database, job.one_shot)[1]
    return limits.time_zone
