"""The operator's one word: how careful the adaptive pace is, as numbers."""

from types import MappingProxyType

import attrs


@attrs.frozen(kw_only=True)
class Profile:
    """The numbers that a profile sets.

    Attributes:
        tolerance_ratio: by how much clients' requests may become slower, as Synapse measures them;
            clients, who also wait for it to read a request, see up to twice that; inf: anything.
        like_stock: whether an update may always do as much as with stock Synapse, and cost clients
            as much, unless the server is short of something.
        busy_target_ms: wanted duration of a batch while clients are there.
        quiet_after_s: the least time without requests after which nobody is there.
    """

    tolerance_ratio: float
    like_stock: bool
    busy_target_ms: float
    quiet_after_s: float


PROFILES = MappingProxyType(
    {
        "gentle": Profile(
            tolerance_ratio=0.01,
            like_stock=False,
            busy_target_ms=50.0,
            quiet_after_s=2.0,
        ),
        "balanced": Profile(
            tolerance_ratio=0.03,
            like_stock=True,
            busy_target_ms=100.0,
            quiet_after_s=0.5,
        ),
        "fast": Profile(
            tolerance_ratio=0.12,
            like_stock=True,
            busy_target_ms=100.0,
            quiet_after_s=0.3,
        ),
        "finish": Profile(
            tolerance_ratio=float("inf"),
            like_stock=True,
            busy_target_ms=float("inf"),
            quiet_after_s=0.0,
        ),
    }
)
