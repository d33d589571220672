"""The versions of Synapse and Python, and the pins that make each of them work today."""

import attrs

NEWEST = "newest"

# Newer versions of these packages fail, although the old Synapse allows them.
_PROMETHEUS = "prometheus-client<0.24"
_PYDANTIC = "pydantic<2"
_REDIS = "txredisapi<1.6"  # newer versions prevent the start of every process with a Redis

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
# The newest and the one before it. Older ones start only the main database's updates, and
# configure workers differently.
OF_TODAY = tuple(_PINS)[-2:]
_PYTHON = "3.11"
_OTHER_PYTHONS = ("3.10", "3.12", "3.13")


@attrs.frozen
class Target:
    """A Synapse on a Python.

    Attributes:
        synapse: `major.minor` (its last patch is installed), or `newest`.
        python: `major.minor`.
        pins: further requirements for pip.
    """

    synapse: str
    python: str
    pins: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.synapse}-py{self.python}"

    @property
    def requirement(self) -> str:
        """Synapse itself, as a requirement for pip."""
        if self.synapse == NEWEST:
            return "matrix-synapse[redis]"
        return f"matrix-synapse[redis]~={self.synapse}.0"

    @property
    def is_other_python(self) -> bool:
        return self.python != _PYTHON

    @property
    def is_at_an_end(self) -> bool:
        """Whether it is the oldest or the newest, which run all tests."""
        return not self.is_other_python and self.synapse in (OLDEST, NEWEST)

    @property
    def is_of_today(self) -> bool:
        """Whether it also tests workers, several databases and misbehaving updates."""
        return not self.is_other_python and self.synapse in OF_TODAY


TARGETS = (
    *(Target(synapse, _PYTHON, pins) for synapse, pins in _PINS.items()),
    *(Target(NEWEST, python, ()) for python in _OTHER_PYTHONS),
)


def chosen(words: str) -> tuple[Target, ...]:
    """The targets with these names, such as `1.60` or `newest-py3.12`; empty: all.

    Raises:
        ValueError: there is no target of that name.
    """
    names = words.replace(",", " ").split()
    if not names:
        return TARGETS
    unknown = [n for n in names if not any(n in (t.name, t.synapse) for t in TARGETS)]
    if unknown:
        known = ", ".join(target.name for target in TARGETS)
        raise ValueError(f"no such version: {', '.join(unknown)}; there are {known}")
    return tuple(t for t in TARGETS if t.name in names or t.synapse in names)
