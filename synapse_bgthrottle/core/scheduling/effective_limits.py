"""The limits that an update gets: by the configuration, and by overrides in force. Pure."""

from synapse_bgthrottle.core.config.limits import Limits, Rule, Settings, first_match, merge
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.scheduling.quirks import least_batch_items, runs_in_one_go
from synapse_bgthrottle.core.scheduling.state import UpdateState


class UpdateLimits:
    """Merges the levels: overrides, the newest first; the rule; the top level; the server's own."""

    def __init__(self, config: Config, server: Settings) -> None:
        """`server` is what the administrator set in the server's own configuration."""
        self._config = config
        self._server = server

    def of(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> tuple[Rule | None, Limits]:
        """The first matching rule, and the limits of an update, by the configuration alone."""
        one_shot = one_shot or runs_in_one_go(update_name)
        rule = first_match(self._config.rules, update_name, database_name, one_shot)
        return rule, self._merged(update_name, (), rule)

    def new_state(
        self, update_name: str, database_name: str, one_shot: bool, sees_requests: bool
    ) -> UpdateState:
        """What is known of an update that comes for the first time."""
        rule, limits = self.of(update_name, database_name, one_shot)
        return UpdateState(limits, rule, one_shot or runs_in_one_go(update_name), sees_requests)

    def apply(
        self,
        levers: Levers | None,
        update_name: str,
        database_name: str,
        update: UpdateState,
        wall_s: float,
    ) -> None:
        """Let the levers act on an update; None: they have not been read yet."""
        if levers is not update.levers_seen:  # seldom, unlike this question
            update.levers = None if levers is None else levers.about(update_name, database_name)
            update.levers_seen = levers  # last: whatever fails here is done again
        if update.levers is None or not (update.levers.all or update.overrides):
            return
        overrides = update.levers.in_force(wall_s, LeverKind.OVERRIDE)
        if overrides != update.overrides:
            update.limits = self._merged(update_name, overrides, update.rule)
            update.overrides = overrides

    def _merged(self, update_name: str, overrides: tuple[Lever, ...], rule: Rule | None) -> Limits:
        levels = [lever.settings for lever in reversed(overrides)]
        if rule is not None:
            levels.append(rule.settings)
        levels += (self._config.settings, self._server)
        return merge(levels, least_batch_items(update_name))
