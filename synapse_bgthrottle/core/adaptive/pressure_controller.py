"""The duty cycle that soft pressures allow: what is short now, whatever is the cause. Pure."""

import attrs

from synapse_bgthrottle.core.signals.signal_set import Soft

# What stock Synapse does, where nothing can be seen.
BLIND_RATIO = 0.09

# How far the law's ratio may lie above what is used of it: a single look at a high pressure is
# passed over, three at more than twice the threshold halve what is used.
_HEADROOM = 4.0


@attrs.define
class SoftLaw:
    """The duty cycle that soft pressures allow: quick to yield, a few seconds to recover.

    A multiplicative law, whose loop gain is 0.25 (1 - f) at a pressure p = f + g u, whatever the
    server's own gain g is; z^2 - z + b (1 - f) has real roots for b (1 - f) <= 1/4, so that it does
    not ring with one sample of delay.
    """

    ratio: float = 1.0

    def step(self, soft: Soft, least_ratio: float, most_ratio: float = 1.0) -> None:
        """To be called for each look, four times a second.

        `most_ratio` is what is used of the ratio at most: what lies far above it would have to be
        given up first, before anybody notices that a pressure is yielded to.
        """
        most_ratio = max(min(most_ratio * _HEADROOM, 1.0), least_ratio)
        if soft.pressure is None:
            self.ratio = BLIND_RATIO
            return
        pressure = min(soft.pressure, soft.momentary)
        factor = 1.0
        if pressure > 2:
            factor = 0.5
        elif not 0.9 < pressure < 1.1:
            factor = 1 + 0.25 * (1 - pressure)
        ratio = min(self.ratio, most_ratio) * factor
        if soft.stale:  # nothing gets faster by what is left, but than where all is lost
            ratio = min(ratio, max(self.ratio, BLIND_RATIO))
        self.ratio = min(max(ratio, least_ratio), most_ratio)
