"""The result of a forecast. Times are ms since the epoch; None: unknown, or never."""

import attrs

PRESENT = "present"


@attrs.frozen
class UpdateForecast:
    """The forecast for one pending update.

    Attributes:
        left, unit: what is left to do.
        items_per_second: within batches.
        starts_ms, ends_ms: the most likely times; earliest_ms, latest_ms: range of the end.
        share_in_batches: of the time without holds.
        why: why its end is unknown, or why it never ends; empty: neither.
    """

    database: str
    update: str
    left: float | None = None
    unit: str = "items"
    items_per_second: float | None = None
    starts_ms: float | None = None
    ends_ms: float | None = None
    earliest_ms: float | None = None
    latest_ms: float | None = None
    share_in_batches: float | None = None
    why: str = ""


@attrs.frozen
class ConfigurationForecast:
    """The forecast for the whole queue under one configuration.

    Attributes:
        name: `present`, a profile, or `stock`.
        ends_ms, earliest_ms, latest_ms: end of the last update that ends.
        share_in_batches: of the time without holds.
        clients_slower: share by which requests are slower meanwhile; None: no clients.
        is_complete: whether all updates of the queue end.
        course: times, and the share of the work done by then.
    """

    name: str
    ends_ms: float | None = None
    earliest_ms: float | None = None
    latest_ms: float | None = None
    share_in_batches: float | None = None
    clients_slower: float | None = None
    is_complete: bool = True
    course: tuple[tuple[float, float], ...] = ()


@attrs.frozen
class PastForecasts:
    """How accurate earlier forecasts were.

    Attributes:
        compared: how many could be compared with reality.
        median_error: relative to the time from the forecast to the end; 0.1 is 10 %, late or early.
        worst_error: the largest one.
        within_range: share of those that ended within the forecast range.
    """

    compared: int = 0
    median_error: float | None = None
    worst_error: float | None = None
    within_range: float | None = None


@attrs.frozen
class Forecast:
    """A whole forecast: updates in order, by database; the present configuration first.

    Attributes:
        load: name of the week's load.
        notes: its assumptions, and what it cannot know.
        past: accuracy of earlier ones; None: nothing to compare.
    """

    made_ms: float
    load: str
    updates: tuple[UpdateForecast, ...]
    configurations: tuple[ConfigurationForecast, ...]
    notes: tuple[str, ...] = ()
    past: PastForecasts | None = None
