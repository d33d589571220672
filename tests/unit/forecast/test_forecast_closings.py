"""When open windows close, which only a forecast needs."""

from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.windows import Window, is_open, next_change_s

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY_S = 1_774_825_200.0  # 2026-03-30, the day after a clock change in Berlin

WINDOWS = st.lists(
    st.builds(
        Window,
        st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
        st.integers(0, 1439),
        st.integers(1, 1440),
    ).filter(lambda window: window.start_minutes != window.end_minutes % 1440),
    min_size=1,
    max_size=3,
).map(tuple)


@settings(max_examples=60, derandomize=True)
@given(windows=WINDOWS, minute=st.integers(-3 * 1440, 3 * 1440))
def test_closing_is_the_first_closed_minute(windows: tuple[Window, ...], minute: int) -> None:
    """Windows that are open close at the first minute at which they are not, over clock changes."""
    now_s = MONDAY_S + minute * 60
    if not is_open(windows, BERLIN, now_s):
        return
    closes_s = next_change_s(windows, BERLIN, now_s)
    later = (now_s + 60 * n for n in range(1, 8 * 1440))
    assert closes_s == next((at for at in later if not is_open(windows, BERLIN, at)), None)
