"""What is to be done: updates in their order, how much is left of each, and how quick it is."""

import re

import attrs

_RATE = re.compile(r"([0-9][0-9_.e+]*) ?/ ?(ms|s|m|min|h)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@attrs.frozen(kw_only=True)
class Job:
    """One pending update.

    Attributes:
        database, update: names.
        items: left to do; None: unknown.
        unit: of `items`, in the plural.
        per_batch_s: items for each second spent in batches, so without any rest; None: unknown.
        speed_error: by what share that speed may be off.
        one_shot: whether all of it is one batch, which nothing stops once it runs.
        one_shot_s: how long that takes; None: unknown.
        not_before_s: since the epoch; a pause ends then.
        released_until_s: since the epoch; a release lets it go if it comes to the head of its queue
            before that, and then to its end. Infinite: it is in use.
    """

    database: str = "master"
    update: str
    items: float | None = None
    unit: str = "items"
    per_batch_s: float | None = None
    speed_error: float = 0.0
    one_shot: bool = False
    one_shot_s: float | None = None
    not_before_s: float = 0.0
    released_until_s: float = 0.0

    @property
    def work_s(self) -> float | None:
        """The seconds of batches that it is; None: unknown."""
        if self.one_shot:
            return self.one_shot_s
        if self.items is None or not self.per_batch_s:
            return None
        return self.items / self.per_batch_s

    def work_in(self, case: str) -> float:
        """The same where the speed is as good (`high`) or as bad (`low`) as it may be."""
        work_s = self.work_s or 0.0
        sign = {"high": 1, "low": -1}.get(case, 0)
        return work_s if self.one_shot else work_s / (1 + sign * min(self.speed_error, 0.9))

    @property
    def unknown(self) -> str:
        """What is missing for a forecast; empty: nothing."""
        if self.work_s is not None:
            return ""
        if self.one_shot:
            return "how long it takes is not known: say --one-shot SPAN"
        if self.items is None:
            return "how much is left is not known: say --items"
        return "its speed is not known yet: say --rate"


def parse_count(text: str) -> float:
    """A number of items: `1e9`, `250000`, `1,000,000`.

    Raises:
        ValueError: it is none.
    """
    count = float(text.replace(",", "") if _THOUSANDS.fullmatch(text.strip()) else text)
    if not 0 < count < 1e18:
        raise ValueError("out of range")
    return count


def parse_rate(text: str) -> float:
    """Items a second, from `5/ms`, `300/s` or `1e6/h`.

    Raises:
        ValueError: it is none.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError("no rate")
    rate = float(match[1]) / _SECONDS[match[2].lower()]
    if not 0 < rate < 1e15:
        raise ValueError("out of range")
    return rate
