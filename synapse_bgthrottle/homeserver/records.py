"""The data about updates that lasts, and who keeps it."""

import attrs

from synapse_bgthrottle.core.adaptive.weekly_activity import WeeklyActivity
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from synapse_bgthrottle.homeserver.progress_tracker import ProgressTracker
from synapse_bgthrottle.homeserver.restarter import Restarter
from synapse_bgthrottle.homeserver.storage.lever_writer import LeverWriter
from synapse_bgthrottle.homeserver.storage.loader import StoreLoader
from synapse_bgthrottle.homeserver.storage.store import Store


@attrs.frozen
class Records:
    """The owners of lasting data.

    Attributes:
        store: the module's tables.
        loader: reads them at the start; every update is held until then.
        levers: changes pauses, overrides and releases, first in the tables.
        runs: current runs of updates, and ended ones that are not written yet.
        progress: progress of updates.
        restarter: restarts Synapse's updates where they stand still.
        week: the hours of the week in which clients are active.
    """

    store: Store
    loader: StoreLoader
    levers: LeverWriter
    runs: UpdateRuns
    progress: ProgressTracker
    restarter: Restarter
    week: WeeklyActivity
