"""What was learned of an update, kept for the next start. Pure.

Kept are what it costs clients in each way of working (slope, error, experiments, speed), and what
its batches cost. The older that is, the less it counts: the sums that all this is made of, and the
number of experiments, are taken times

    0.5 ** (age / 7 days)

so that what comes after the start soon outweighs them.
"""

from collections.abc import Mapping, Sequence

import attrs

from synapse_bgthrottle.core.adaptive.effort import Impact
from synapse_bgthrottle.core.levers.lever import UpdateKey
from synapse_bgthrottle.core.scheduling.batch_cost import BatchCost
from synapse_bgthrottle.core.scheduling.state import UpdateState

# What is kept in another way is not read.
VERSION = 1

# Of updates that were looked at last.
MOST_LEARNED = 500

_HALF_LIFE_S = 7 * 86_400.0

_COST = "COST"


@attrs.frozen
class Learned:
    """What was known of an update."""

    database: str
    update: str
    at_s: float  # when, since the epoch
    values: Mapping[str, Sequence[float]]  # by what it is about

    @property
    def key(self) -> UpdateKey:
        """Database and update."""
        return self.database, self.update

    @classmethod
    def of(cls, key: UpdateKey, state: UpdateState, wall_s: float) -> "Learned":
        """What is known now."""
        impact = {way.name: record.kept() for way, record in state.impact.ways.items()}
        return cls(*key, wall_s, {_COST: state.cost.kept(), **impact})

    def recalled(self, wall_s: float) -> tuple[BatchCost, Impact]:
        """The same, as it counts now. Raises ValueError if a value is out of range."""
        share = 0.5 ** (max(wall_s - self.at_s, 0.0) / _HALF_LIFE_S)
        cost, impact = BatchCost(), Impact()
        if _COST in self.values:
            cost.recall(self.values[_COST], share)
        for way, record in impact.ways.items():
            if way.name in self.values:
                record.recall(self.values[way.name], share)
        return cost, impact
