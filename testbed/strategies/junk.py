"""Arbitrary values that YAML might contain instead of a configuration."""

from hypothesis import strategies as st

from synapse_bgthrottle.core.config.keys import MATCH_KEYS, SETTING_KEYS

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**4000)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=3)
    | st.dates()
    | st.sampled_from(("10%", "5s", "mon-fri", "22:00", "always", "off", "UTC", "event_*", 1320))
)
_KEYS = (
    st.sampled_from((*SETTING_KEYS, *MATCH_KEYS, "rules", "days", "start", "end"))
    | st.text(max_size=5)
    | st.integers()
    | st.none()
    | st.tuples(st.booleans())
)
ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
JUNK_LEVEL = st.dictionaries(
    st.sampled_from((*SETTING_KEYS, *MATCH_KEYS)), _LEAVES | ANYTHING, max_size=6
)
