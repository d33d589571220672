"""A forecast in lines for people. Pure."""

from collections.abc import Iterator

from synapse_bgthrottle.cli.render.text import Line, duration, moment, number, share
from synapse_bgthrottle.forecast.charts import plot
from synapse_bgthrottle.forecast.models import (
    ConfigurationForecast,
    Forecast,
    PastForecasts,
    UpdateForecast,
)

_HEAD = f"{'configuration':<13} {'done in':>9} {'range':>17}  {'in batches':>10}  clients slower"

# Of an update that is given in numbers alone.
UNNAMED = "(unnamed)"

_MOST_NAMES = 3
_SOON_MS = 60_000.0


def forecast_lines(forecast: Forecast) -> Iterator[Line]:
    """Finish dates, the comparison, the plot, and what it rests on."""
    if not forecast.updates:
        yield Line("nothing is pending, so there is nothing to forecast", "good")
        return
    yield from _update_lines(forecast)
    if any(each.ends_ms is not None for each in forecast.configurations):
        yield Line("")
        yield Line(_HEAD, "title")
        for each in forecast.configurations:
            yield Line(_configuration_line(each, forecast.made_ms))
        yield Line("")
        for text in plot(forecast):
            yield Line(text)
        yield Line("")
    for note in forecast.notes:
        yield Line(note, "faint")
    if forecast.past is not None:
        yield Line(_past_line(forecast.past), "faint")


def _update_lines(forecast: Forecast) -> Iterator[Line]:
    """When each update is done; those without a known end together, by their reason."""
    is_one = len({update.database for update in forecast.updates}) < 2
    unknown: dict[str, list[UpdateForecast]] = {}
    for update in forecast.updates:
        if update.ends_ms is None:
            unknown.setdefault(update.why or "no end is known", []).append(update)
        else:
            text = _update_line(update, update.ends_ms, forecast.made_ms, is_one)
            yield Line(text, "held" if update.why else "")
    for why, updates in unknown.items():
        yield Line(_unknown_line(why, updates, is_one), "held")


def _update_line(update: UpdateForecast, ends_ms: float, made_ms: float, is_one: bool) -> str:
    left = _left(update)
    parts = [
        f"{_name(update, is_one)}:{left} done {moment(ends_ms)}, in {_ahead(ends_ms, made_ms)}"
    ]
    latest = "never" if update.latest_ms is None else moment(update.latest_ms)
    parts.append(f"between {moment(update.earliest_ms)} and {latest}")
    if update.starts_ms is not None and update.starts_ms - made_ms >= _SOON_MS:
        parts.insert(0, f"{parts.pop(0)}, from {moment(update.starts_ms)} on")
    if update.share_in_batches is not None:
        parts.append(f"{share(update.share_in_batches)} of the time in batches")
        if update.items_per_second:
            parts[-1] += f", at {number(update.items_per_second)} {update.unit}/s"
    return "; ".join(parts)


def _unknown_line(why: str, updates: list[UpdateForecast], is_one: bool) -> str:
    """Those of which no end is known for the same reason."""
    if len(updates) == 1:
        return f"{_name(updates[0], is_one)}:{_left(updates[0])} {why}"
    names = ", ".join(_name(update, is_one) for update in updates[:_MOST_NAMES])
    more = len(updates) - _MOST_NAMES
    return f"{len(updates)} updates: {why}: {names}" + (f" and {more} more" if more > 0 else "")


def _name(update: UpdateForecast, is_one: bool) -> str:
    return update.update if is_one else f"{update.update} in {update.database}"


def _left(update: UpdateForecast) -> str:
    return "" if update.left is None else f" {number(update.left)} {update.unit} left;"


def _configuration_line(each: ConfigurationForecast, made_ms: float) -> str:
    if each.ends_ms is None:
        return f"{each.name:<13} {'no end':>9}"
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
