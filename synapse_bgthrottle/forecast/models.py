"""What a forecast says. Times are ms since the epoch; None: unknown, or never."""

import attrs

PRESENT = "present"


@attrs.frozen
class UpdateForecast:
    """One pending update.

    Attributes:
        database, update: names.
        left, unit: how much is to be done.
        items_per_second: in batches.
        starts_ms, ends_ms: as is most likely.
        earliest_ms, latest_ms: between which it ends.
        share_in_batches: of the time in which nothing holds it.
        why: what keeps it from ending, or from being known; empty: nothing.
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
    """All of the queue under one configuration.

    Attributes:
        name: `present`, a profile, or `stock`.
        ends_ms, earliest_ms, latest_ms: of the last update that ends.
        share_in_batches: of the time in which nothing holds.
        clients_slower: by what share requests are slower while it goes; None: no clients.
        is_complete: whether all updates of the queue end.
        course: times, and the share of the work that is done by then.
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
    """How good earlier ones were.

    Attributes:
        compared: how many could be compared with how it went.
        median_error: of the time from the forecast to the end; 0.1 is 10 %, late or early.
        worst_error: the greatest.
        within_range: the share of those that ended within the range that was told.
    """

    compared: int = 0
    median_error: float | None = None
    worst_error: float | None = None
    within_range: float | None = None


@attrs.frozen
class Forecast:
    """The whole.

    Attributes:
        made_ms: when.
        load: the name of the week's load.
        updates: in order, by database.
        configurations: the present one first.
        notes: what it rests on, and what it cannot know.
        past: None: there is nothing to compare.
    """

    made_ms: float
    load: str
    updates: tuple[UpdateForecast, ...]
    configurations: tuple[ConfigurationForecast, ...]
    notes: tuple[str, ...] = ()
    past: PastForecasts | None = None

    @property
    def best(self) -> ConfigurationForecast:
        """What will most likely be: of the present configuration."""
        return self.configurations[0]
