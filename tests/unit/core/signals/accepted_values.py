"""The words of `signals:`, written a second time: accepted values and problems."""

from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals import Unit
from tests.unit.core.config.accepted_values import problems_of

ACCEPTED = {
    Unit.DURATION: "a duration from 1ms to 1d, such as 50ms, 10s, 5m",
    Unit.COUNT: "a number above 0, such as 4",
    Unit.SIZE: "a size from 1 byte, such as 10GiB, 500MB, or a whole number of bytes",
    Unit.RATE: "a size per second, such as 50MiB/s",
    Unit.FACTOR: "a number above 1, such as 10",
    Unit.YES_NO: "on",
}
OWN = {
    "pause_file": "an absolute path, such as /run/synapse/pause, or off",
    "http": (
        "an http or https URL with a host, and without a user, such as http://127.0.0.1:8000/go,"
        " or off"
    ),
    "sql": "a mapping with both query and threshold, or off",
}


def signals_of(raw: object) -> SignalSettings:
    return parse({"signals": raw}).signals


def signal_problems_of(raw: object) -> list[str]:
    """What is wrong with it, each as it is told."""
    return problems_of({"signals": raw})
