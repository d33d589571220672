"""The profiles, which say how careful the adaptive pace is, as numbers."""

from types import MappingProxyType

import attrs


@attrs.frozen(kw_only=True)
class Profile:
    """The numbers of a profile.

    Attributes:
        tolerance_ratio: how much slower clients' requests may become, as Synapse measures them;
            inf: no limit. Clients also wait until Synapse reads a request: up to twice that.
        like_stock: whether an update may always be as fast, and slow clients down as much, as with
            stock Synapse, unless a pressure is high.
        busy_target_ms: wanted duration of a batch while clients are active.
        quiet_after_s: least time without requests after which no client counts as active.
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
