"""The verdict on a life with an error of the module."""

from typing import Any

import pytest

from soak.injection.allowed_effects import ALWAYS, ONCE, not_forgiven
from testbed.virtual.one_life import Lived

_BUDGET = "homeserver.sampling.operator_checks:1:2 shutil.disk_usage(path)"
_READ = "core.signals.signal_state:1:2 math.isfinite(value)"
_SERVED = "api.resource:1:2 run_in_background(self._serve, request)"
_ANY = "homeserver.iteration:1:2 self._start()"


def lived(**changes: Any) -> Lived:
    """All was well, but for this."""
    well = {"held": [], "told": [], "failed": [], "done_s": 9.0, "tracebacks": 0}
    return Lived(**{**well, "is_closed": False, **changes})


@pytest.mark.parametrize(
    ("name", "times", "changes", "expected"),
    [
        (_ANY, ALWAYS, {}, []),
        (_ANY, ALWAYS, {"held": ["late"], "is_closed": True}, ["late"]),
        (_ANY, ONCE, {"told": ["twice"], "failed": ["aborted"]}, ["aborted", "twice"]),
        (_BUDGET, ALWAYS, {"held": ["late"], "is_closed": True}, []),
        (_BUDGET, ALWAYS, {"held": ["late"]}, ["late"]),
        (_BUDGET, ALWAYS, {"held": ["late"], "is_closed": True, "tracebacks": 1}, ["late"]),
        (_BUDGET, ALWAYS, {"failed": ["aborted"], "is_closed": True}, ["aborted"]),
        (_BUDGET, ALWAYS, {"told": ["twice"], "is_closed": True}, ["twice"]),
        (_READ, ALWAYS, {"held": ["late"], "is_closed": True, "tracebacks": 1}, []),
        (_READ, ALWAYS, {"held": ["late"]}, ["late"]),
        (_READ, ONCE, {"held": ["left"], "is_closed": True, "tracebacks": 1}, ["left"]),
        (_BUDGET, ONCE, {"held": ["left"], "is_closed": True}, ["left"]),
        (_SERVED, ALWAYS, {"told": ["twice"]}, []),
        (_SERVED, ONCE, {"told": ["twice"]}, ["twice"]),
        (_SERVED, ALWAYS, {"held": ["late"], "failed": ["aborted"]}, ["aborted", "late"]),
    ],
)
def test_injection(name: str, times: int, changes: dict[str, Any], expected: list[str]) -> None:
    """A hold is forgiven where a budget can never be read; a failure never, and nothing once."""
    assert expected == not_forgiven(name, times, lived(**changes))
