"""The whole decision is always usable, even with false signals, levers and clock jumps."""

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.parser import Config
from testbed.strategies.lives import ANY_LIFE, live


@examples(max_examples=50)  # `make soak` has any number
@given(*ANY_LIFE)
def test_decision_is_usable_whatever_happens(
    config: Config, sees_requests: bool, is_sqlite: bool, data: st.DataObject
) -> None:
    """No wait is negative or NaN, no batch is 0, no target is None, NaN or inf."""
    live(config, sees_requests, is_sqlite, data)
