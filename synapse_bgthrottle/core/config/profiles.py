"""The profiles, which say how careful the adaptive pace is, as numbers."""

import math
from types import MappingProxyType

import attrs


@attrs.frozen
class Profile:
    """The numbers of a profile."""

    # How much slower clients' requests may become, as Synapse measures them; inf: no limit. Clients
    # also wait until Synapse reads a request: up to twice that.
    tolerance_ratio: float
    # Whether an update may always be as fast, and slow clients down as much, as with stock Synapse,
    # unless a pressure is high.
    like_stock: bool
    busy_target_ms: float  # wanted duration of a batch while clients are active
    quiet_after_s: float  # least time without requests after which no client counts as active

    @property
    def is_careful(self) -> bool:
        """Whether it limits by how much clients' requests become slower."""
        return math.isfinite(self.tolerance_ratio)


# Tolerance, like stock, wanted duration of a batch while clients are active, quiet after.
PROFILES = MappingProxyType(
    {
        "gentle": Profile(0.01, False, 50.0, 2.0),
        "balanced": Profile(0.03, True, 100.0, 0.5),
        "fast": Profile(0.12, True, 100.0, 0.3),
        "finish": Profile(math.inf, True, math.inf, 0.0),
    }
)
