"""What is known of updates for longer than a moment, and by whom it is kept."""

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
    """The owners of what is known of updates.

    Attributes:
        store: the module's tables.
        loader: reads them at the start; until then every update is held.
        levers: changes pauses, overrides and releases, in the tables first.
        runs: the updates under way, and those that ended and are not written yet.
        progress: how far updates are.
        restarter: starts Synapse's updates again where they stand still.
        week: in which hours clients are active.
    """

    store: Store
    loader: StoreLoader
    levers: LeverWriter
    runs: UpdateRuns
    progress: ProgressTracker
    restarter: Restarter
    week: WeeklyActivity
