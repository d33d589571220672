"""A forecast in lines for people. Pure."""

from collections.abc import Iterator
from datetime import tzinfo

from synapse_bgthrottle.cli.lines import Line, duration, moment, number, share
from synapse_bgthrottle.forecast.plot import plot
from synapse_bgthrottle.forecast.results import (
    ConfigurationForecast,
    Forecast,
    PastForecasts,
    UpdateForecast,
)

_HEAD = f"{'configuration':<13} {'done in':>9} {'range':>17}  {'in batches':>10}  clients slower"


def forecast_lines(forecast: Forecast, zone: tzinfo) -> Iterator[Line]:
    """Finish dates, the comparison, the plot, and what it rests on."""
    if not forecast.updates:
        yield Line("nothing pending", "good")
    for update in forecast.updates:
        yield Line(_update_line(update, forecast.made_ms), "held" if update.why else "")
    if any(each.ends_ms is not None for each in forecast.configurations):
        yield Line("")
        yield Line(_HEAD, "title")
        for each in forecast.configurations:
            yield Line(_configuration_line(each, forecast.made_ms))
        yield Line("")
        for text in plot(forecast, zone):
            yield Line(text)
        yield Line("")
    for note in forecast.notes:
        yield Line(note, "faint")
    if forecast.past is not None:
        yield Line(_past_line(forecast.past), "faint")


def _update_line(update: UpdateForecast, made_ms: float) -> str:
    left = "" if update.left is None else f" {number(update.left)} {update.unit} left;"
    name = f"{update.update} in {update.database}:"
    if update.ends_ms is None:
        return f"{name}{left} {update.why or 'no end is known'}"
    parts = [f"{name}{left} done {moment(update.ends_ms)}, in {_ahead(update.ends_ms, made_ms)}"]
    latest = "never" if update.latest_ms is None else moment(update.latest_ms)
    parts.append(f"between {moment(update.earliest_ms)} and {latest}")
    if update.share_in_batches is not None:
        parts.append(f"{share(update.share_in_batches)} of the time in batches")
    if update.items_per_second:
        parts.append(f"{number(update.items_per_second)}/s there")
    return "; ".join(parts)


def _configuration_line(each: ConfigurationForecast, made_ms: float) -> str:
    low, high = (_ahead(at_ms, made_ms) for at_ms in (each.earliest_ms, each.latest_ms))
    in_batches = "" if each.share_in_batches is None else share(each.share_in_batches)
    slower = "" if each.clients_slower is None else share(each.clients_slower)
    rest = "" if each.is_complete else "  (not all updates)"
    return (
        f"{each.name:<13} {_ahead(each.ends_ms, made_ms):>9} {f'{low} to {high}':>17}"
        f"  {in_batches:>10}  {slower}{rest}"
    ).rstrip()


def _ahead(at_ms: float | None, made_ms: float) -> str:
    return "never" if at_ms is None else duration(at_ms - made_ms)


def _past_line(past: PastForecasts) -> str:
    if not past.compared:
        return "past forecasts: none has come to its end yet"
    return (
        f"past forecasts: {past.compared} compared, median error {share(past.median_error)},"
        f" worst {share(past.worst_error)}, {share(past.within_range)} ended within their range"
    )
