"""The result of a forecast. Times are ms since the epoch; None: unknown, or never."""

import attrs

PRESENT = "present"


@attrs.frozen
class UpdateForecast:
    """The forecast for one pending update."""

    database: str
    update: str
    # What is left to do.
    left: float | None = None
    unit: str = "items"
    items_per_second: float | None = None  # within batches
    # The most likely times, then the range of the end.
    starts_ms: float | None = None
    ends_ms: float | None = None
    earliest_ms: float | None = None
    latest_ms: float | None = None
    share_in_batches: float | None = None  # of the time without holds
    why: str = ""  # why its end is unknown, or why it never ends; empty: neither


@attrs.frozen
class ConfigurationForecast:
    """The forecast for the whole queue under one configuration."""

    name: str  # `present`, a profile, or `stock`
    # End of the last update that ends.
    ends_ms: float | None = None
    earliest_ms: float | None = None
    latest_ms: float | None = None
    share_in_batches: float | None = None  # of the time without holds
    # Share by which requests are slower meanwhile; None: no clients.
    clients_slower: float | None = None
    is_complete: bool = True  # whether all updates of the queue end
    course: tuple[tuple[float, float], ...] = ()  # times, and the share of the work done by then


@attrs.frozen
class PastForecasts:
    """How accurate earlier forecasts were."""

    compared: int = 0  # how many could be compared with reality
    # Relative to the time from the forecast to the end; 0.1 is 10 %, late or early.
    median_error: float | None = None
    worst_error: float | None = None  # the largest one
    within_range: float | None = None  # share of those that ended within the forecast range


@attrs.frozen
class Forecast:
    """A whole forecast: updates in order, by database; the present configuration first."""

    made_ms: float
    load: str  # name of the week's load
    updates: tuple[UpdateForecast, ...]
    configurations: tuple[ConfigurationForecast, ...]
    notes: tuple[str, ...] = ()  # its assumptions, and what it cannot know
    past: PastForecasts | None = None  # accuracy of earlier ones; None: nothing to compare
