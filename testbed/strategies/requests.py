"""Bodies of lever requests: any JSON, and JSON with the right keys."""

from hypothesis import strategies as st

from synapse_bgthrottle.core.levers.request import OVERRIDE_KEYS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
KEYS = st.sampled_from(["update", "database", "settings", "for", "reason"])
SETTINGS = st.dictionaries(st.sampled_from(OVERRIDE_KEYS), JSON)
