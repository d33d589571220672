"""Settings as people write them."""

from typing import Any

import pytest

from synapse_bgthrottle.core.units import settings_in_words


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        ("profile=finish", {"profile": "finish"}),
        ("sleep=0 duty_cycle=5%", {"sleep": 0, "duty_cycle": "5%"}),
        (
            "windows=[{days: [sat, sun], start: 22:00, end: 06:00}]",
            {"windows": [{"days": ["sat", "sun"], "start": "22:00", "end": "06:00"}]},
        ),
        ("a=true b=null c=[] d={}", {"a": True, "b": None, "c": [], "d": {}}),
    ],
)
def test_settings(expected: str, settings: dict[str, Any]) -> None:
    """Without Python's quotes and words."""
    assert expected == settings_in_words(settings)
