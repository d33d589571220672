"""The smallest server on which a law for soft pressures can be tried: one line of arithmetic."""

from collections.abc import Callable, Iterator

import attrs

from testbed.simulation.model import Uniform


@attrs.frozen(kw_only=True)
class Plant:
    """A server whose pressure is p = f + g u, as it was some looks ago, with noise.

    Attributes:
        foreground: f, what others make of the pressure, at a look.
        gain: g, what a duty cycle of 1 adds.
        delay: how many looks old the pressure is that a look sees.
        noise_ratio: a pressure is seen up to this share too high or too low.
    """

    foreground: Callable[[int], float]
    gain: float
    delay: int = 0
    noise_ratio: float = 0.0


def course(
    plant: Plant, law: Callable[[float], float], looks: int, draw: Uniform, start: float = 0.1
) -> Iterator[tuple[float, float]]:
    """Each look's true pressure and the duty cycle that the law answers to what it sees."""
    ratio, past = start, [plant.foreground(0) + plant.gain * start] * plant.delay
    for look in range(looks):
        pressure = plant.foreground(look) + plant.gain * ratio
        past.append(pressure)
        seen = past.pop(0) * (1 + plant.noise_ratio * (2 * draw() - 1))
        ratio = law(max(seen, 0.0))
        yield pressure, ratio
