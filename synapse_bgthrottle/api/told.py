"""The line that the log keeps of a lever pulled. Pure."""

from datetime import datetime, timezone

from synapse_bgthrottle.core.levers.request import Action, LeverRequest, escaped
from synapse_bgthrottle.core.units import settings_in_words
from synapse_bgthrottle.schema import LeverAnswer

_DID = {
    Action.PAUSE: "paused",
    Action.RESUME: "resumed",
    Action.RELEASE: "released",
    Action.OVERRIDE: "overrode the settings of",
    Action.RESET: "reset",
}


def told(request: LeverRequest, author: str, answer: LeverAnswer) -> str:
    """Who did what to which updates until when, and why: one line.

    Args:
        request: what was asked for.
        author: who asked.
        answer: what it made and ended.
    """
    line = f"{author} {_DID[request.action]} {request.update}"
    line += " in all databases" if request.database is None else f" in {request.database}"
    if request.settings:
        line += f" to {settings_in_words(request.settings)}"
    for lever in answer.made:
        until = datetime.fromtimestamp((lever.ends_ms or 0) / 1000, timezone.utc)
        line += f" until {until:%Y-%m-%d %H:%M:%S} UTC"
    count = len(answer.ended)
    if count:
        line += f", which ended {count} earlier" + (" one" if count == 1 else " ones")
    line += f": {request.reason}" if request.reason else ", no reason given"
    return escaped(line)
