"""Which Synapse on which Python, and what pip needs to be told to make such a one work today."""

from __future__ import annotations

import attrs

NEWEST = "newest"

# Newer ones than these no longer work with the version, but are not excluded by it.
_PROMETHEUS = "prometheus-client<0.24"
_PYDANTIC = "pydantic<2"
_REDIS = "txredisapi<1.6"  # with it no process with a Redis starts

# Oldest first.
_PINS: dict[str, tuple[str, ...]] = {
    "1.60": (_PROMETHEUS, _REDIS),
    "1.74": (_PROMETHEUS, _PYDANTIC, _REDIS),
    "1.90": (_PROMETHEUS, _REDIS),
    "1.105": (_PROMETHEUS, _REDIS),
    "1.120": (_PROMETHEUS, _REDIS),
    "1.135": (_PROMETHEUS, _REDIS),
    "1.150": (_REDIS,),
    NEWEST: (),
}
OLDEST = next(iter(_PINS))
# The newest and the one before it: old ones start the updates of the main database only, and
# workers are set up otherwise.
OF_TODAY = tuple(_PINS)[-2:]
_PYTHON = "3.11"
_OTHER_PYTHONS = ("3.10", "3.12", "3.13")


@attrs.frozen
class Target:
    """A Synapse on a Python.

    Attributes:
        synapse: `major.minor`, of which the last patch is taken, or `newest`.
        python: `major.minor`.
        pins: what else pip is asked for.
    """

    synapse: str
    python: str
    pins: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.synapse}-py{self.python}"

    @property
    def requirement(self) -> str:
        """Of Synapse itself."""
        if self.synapse == NEWEST:
            return "matrix-synapse[redis]"
        return f"matrix-synapse[redis]~={self.synapse}.0"

    @property
    def is_other_python(self) -> bool:
        return self.python != _PYTHON

    @property
    def is_at_an_end(self) -> bool:
        """The oldest or the newest: all tests are run there."""
        return not self.is_other_python and self.synapse in (OLDEST, NEWEST)

    @property
    def is_of_today(self) -> bool:
        """Workers, split databases and updates that misbehave are tried there too."""
        return not self.is_other_python and self.synapse in OF_TODAY


TARGETS = (
    *(Target(synapse, _PYTHON, pins) for synapse, pins in _PINS.items()),
    *(Target(NEWEST, python, ()) for python in _OTHER_PYTHONS),
)


def chosen(words: str) -> tuple[Target, ...]:
    """Those that are named, by version or in full (`newest-py3.12`); all for an empty string.

    Raises:
        ValueError: there is no such.
    """
    names = words.replace(",", " ").split()
    if not names:
        return TARGETS
    unknown = [n for n in names if not any(n in (t.name, t.synapse) for t in TARGETS)]
    if unknown:
        known = ", ".join(target.name for target in TARGETS)
        raise ValueError(f"no such version: {', '.join(unknown)}; there are {known}")
    return tuple(t for t in TARGETS if t.name in names or t.synapse in names)
