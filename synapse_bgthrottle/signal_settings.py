"""What the configuration's `signals:` says."""

from collections.abc import Mapping

import attrs

from synapse_bgthrottle.check_urls import shown


@attrs.frozen(kw_only=True)
class SignalSettings:
    """Thresholds and the operator's own checks; what is left out is as in `signals`.

    Attributes:
        thresholds: by name of signal, only those that are configured, in the signal's unit; None:
            off.
        disk_path: a path on the disk of the database; None: found out where it is on this machine.
        pause_file: the file whose presence holds all updates; None: none.
        http_url: what is asked; None: nothing.
        sql_query: what is asked of the main database; None: nothing.
    """

    thresholds: Mapping[str, float | None] = attrs.field(factory=dict)
    disk_path: str | None = None
    pause_file: str | None = None
    http_url: str | None = attrs.field(default=None, repr=lambda url: repr(url and shown(url)))
    sql_query: str | None = None
