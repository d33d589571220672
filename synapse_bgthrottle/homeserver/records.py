"""What is known of updates for longer than a moment, and by whom it is kept."""

import attrs

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenWeek
from synapse_bgthrottle.core.tracking.runs import Courses
from synapse_bgthrottle.homeserver.progress_tracker import ProgressWatch
from synapse_bgthrottle.homeserver.restarter import Restarter
from synapse_bgthrottle.homeserver.storage.lever_writer import LeverDesk
from synapse_bgthrottle.homeserver.storage.loader import Opening
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
    loader: Opening
    levers: LeverDesk
    runs: Courses
    progress: ProgressWatch
    restarter: Restarter
    week: SeenWeek
