"""Settings as people write them in YAML, in one line. Pure."""

from collections.abc import Mapping
from typing import Any


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """`profile=finish windows=[{days: [sat, sun], start: 22:00}]`, as the command takes it."""
    return " ".join(f"{key}={written(value)}" for key, value in settings.items())


def written(value: object) -> str:
    """A value of JSON without Python's quotes and words."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
