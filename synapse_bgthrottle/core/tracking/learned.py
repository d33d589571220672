"""What was learned of an update, stored for the next start. Pure.

It is what the update costs clients in each way of working (slope, error, experiments, speed), and
what its batches cost. All sums, and the number of experiments, are multiplied by

    0.5 ** (age / 7 days)

so that new measurements soon count more.
"""

from collections.abc import Mapping, Sequence

import attrs

from synapse_bgthrottle.core.adaptive.effort import Impact
from synapse_bgthrottle.core.levers.lever import UpdateKey
from synapse_bgthrottle.core.scheduling.batch_cost import BatchCost
from synapse_bgthrottle.core.scheduling.state import UpdateState

# Other versions of the stored values are not read.
VERSION = 1

# For the updates that were seen last.
MOST_LEARNED = 500

_HALF_LIFE_S = 7 * 86_400.0

_COST = "COST"


@attrs.frozen
class Learned:
    """What was known of an update."""

    database: str
    update: str
    at_s: float  # when, since the epoch
    values: Mapping[str, Sequence[float]]  # by way of working, or `_COST`

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
        """The same with its present weight. Raises ValueError if a value is out of range."""
        share = 0.5 ** (max(wall_s - self.at_s, 0.0) / _HALF_LIFE_S)
        cost, impact = BatchCost(), Impact()
        if _COST in self.values:
            cost.recall(self.values[_COST], share)
        for way, record in impact.ways.items():
            if way.name in self.values:
                record.recall(self.values[way.name], share)
        return cost, impact
