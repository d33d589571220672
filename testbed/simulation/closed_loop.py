"""The smallest server on which a law for soft pressures can be tried: one line of arithmetic."""

from collections.abc import Callable, Iterator

import attrs

from testbed.simulation.model import Uniform


@attrs.frozen(kw_only=True)
class Plant:
    """A server whose pressure is p = f + g u, delayed and with noise.

    Attributes:
        foreground: f, the pressure that others cause, by look.
        gain: g, the pressure that a duty cycle of 1 adds.
        delay: the age of the measured pressure, in looks.
        noise_ratio: largest relative error of the measured pressure.
    """

    foreground: Callable[[int], float]
    gain: float
    delay: int = 0
    noise_ratio: float = 0.0


def course(
    plant: Plant, law: Callable[[float], float], looks: int, draw: Uniform, start: float = 0.1
) -> Iterator[tuple[float, float]]:
    """For each look, the true pressure and the duty cycle that the law chooses."""
    ratio, past = start, [plant.foreground(0) + plant.gain * start] * plant.delay
    for look in range(looks):
        pressure = plant.foreground(look) + plant.gain * ratio
        past.append(pressure)
        seen = past.pop(0) * (1 + plant.noise_ratio * (2 * draw() - 1))
        ratio = law(max(seen, 0.0))
        yield pressure, ratio
