"""The share of the time that is spent in batches, at any load: measured at a few, then read off."""

from collections.abc import Sequence

import attrs

# Of clients who are there for less of the time too little is seen.
_LITTLE = 0.1

# The least duty cycle that there is unless told otherwise.
_LEAST_SHARE = 0.01


@attrs.frozen
class Knot:
    """What was measured at one load.

    Attributes:
        load: 0 to 1.
        share: of the time in batches.
        low, high: the least and the greatest that it may be.
        slower: by what share clients were slower than without the update.
    """

    load: float
    share: float
    low: float
    high: float
    slower: float = 0.0


@attrs.frozen
class Pace:
    """Shares of the time in batches, at one load; what clients bear of it."""

    share: float
    low: float
    high: float
    slower: float = 0.0

    def of(self, case: str) -> float:
        """`share`, `low` or `high`."""
        return float(getattr(self, case))


@attrs.frozen
class Paces:
    """The paces of one update under one configuration.

    Attributes:
        knots: measured, by rising load; a pace never grows with the load.
        is_share: whether loads are shares of the time with clients, not rates of requests.
    """

    knots: tuple[Knot, ...]
    is_share: bool = False

    def at(self, load: float) -> Pace:
        """At any load, between what was measured at those around it."""
        knots = (self.knots[0], self.knots[-1]) if self.is_share else self.knots
        before = after = knots[0]
        for knot in knots:
            before, after = after, knot
            if knot.load >= load:
                break
        width = after.load - before.load
        far = min(max((load - before.load) / width, 0.0), 1.0) if width else 0.0

        def between(one: float, other: float) -> float:
            return one + (other - one) * far

        return Pace(
            between(before.share, after.share),
            between(before.low, after.low),
            between(before.high, after.high),
            between(before.slower, after.slower),
        )


def as_observed(paces: Paces, share: float, level: float, error: float) -> Paces:
    """The same, such that the share at a load is the one that was observed there.

    Of two paces, one with clients and one without, the one that went on for longer is put right.

    Args:
        paces: as they were measured on the modelled server.
        share: of the time in batches, observed.
        level: the load meanwhile.
        error: by what share what follows may be another.
    """
    if not paces.is_share:
        modelled = paces.at(level).share
        factor = share / modelled if modelled else 1.0
        return attrs.evolve(
            paces, knots=tuple(_at_share(knot, knot.share * factor, error) for knot in paces.knots)
        )
    idle, busy = paces.knots[0], paces.knots[-1]
    if level < _LITTLE:
        idle = _at_share(idle, (share - level * busy.share) / (1 - level), error)
        busy = _at_share(busy, min(busy.share, idle.share), error)
    else:
        seen = (share - (1 - level) * idle.share) / level
        busy = _at_share(busy, min(seen, idle.share), error)
    return attrs.evolve(paces, knots=(idle, busy))


def _at_share(knot: Knot, share: float, error: float) -> Knot:
    share = min(max(share, _LEAST_SHARE), 1.0)
    high = min(share * (1 + error), 1.0)
    return attrs.evolve(knot, share=share, low=share * (1 - error), high=high)


def falling(knots: Sequence[Knot]) -> tuple[Knot, ...]:
    """The same by load, where no pace is above the one at a lower load: that is chance."""
    found: list[Knot] = []
    for knot in sorted(knots, key=lambda knot: knot.load):
        if found:
            before = found[-1]
            knot = attrs.evolve(  # noqa: PLW2901
                knot,
                share=min(knot.share, before.share),
                low=min(knot.low, before.low),
                high=min(knot.high, before.high),
            )
        found.append(knot)
    return tuple(found)


def slowed(paces: Paces, closed_ratio: float, *, only_at_worst: bool = False) -> Paces:
    """With a budget that is closed for this share of the time, or (at best) never.

    `only_at_worst`: most likely never either, as most budgets do not hold what is released.
    """
    open_ratio = 1 - closed_ratio
    likely_ratio = 1.0 if only_at_worst else open_ratio
    return attrs.evolve(
        paces,
        knots=tuple(
            attrs.evolve(knot, share=knot.share * likely_ratio, low=knot.low * open_ratio)
            for knot in paces.knots
        ),
    )


def wanted_loads(levels: Sequence[float], is_share: bool, most: int = 3) -> tuple[float, ...]:
    """The loads at which to measure, from the highest: all that occur, or some that span them."""
    if is_share:
        return (1.0, 0.0) if any(levels) else (0.0,)
    found = sorted(set(levels), reverse=True)
    if len(found) <= most:
        return tuple(found)
    high, low = found[0], found[-1]
    between = (high + (low - high) * number / (most - 1) for number in range(1, most - 1))
    return (high, *between, low)
