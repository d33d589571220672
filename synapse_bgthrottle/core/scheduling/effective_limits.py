"""The limits that an update gets: by the configuration, and by overrides in force. Pure."""

import attrs

from synapse_bgthrottle.core.config.limits import Limits, Rule, Settings, first_match, merge
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers, UpdateKey
from synapse_bgthrottle.core.scheduling.quirks import least_batch_items, runs_in_one_go


@attrs.define
class EffectiveLimits:
    """The limits of one update, with the overrides in force in them.

    Attributes:
        limits: merged from all levels.
        rule: that gave them; None: the top level.
        levers: what was done by hand about the update; None: that is to be read yet.
        overrides: those of the levers that `limits` has in it.
    """

    limits: Limits
    rule: Rule | None = None
    levers: Levers | None = None
    overrides: tuple[Lever, ...] = ()
    _chosen_from: Levers | None = None

    def choose(self, levers: Levers | None, key: UpdateKey) -> None:
        """Take those levers that are about the update; None: they have not been read yet."""
        if levers is not self._chosen_from:  # seldom, unlike this question
            database_name, update_name = key
            self.levers = None if levers is None else levers.about(update_name, database_name)
            self._chosen_from = levers  # last: whatever fails here is done again

    def override(self, overrides: tuple[Lever, ...], limits: Limits) -> None:
        """These overrides are in force, which makes these limits."""
        self.limits, self.overrides = limits, overrides


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

    def refresh(
        self, effective: EffectiveLimits, key: UpdateKey, levers: Levers | None, wall_s: float
    ) -> None:
        """Let the levers act on an update; None: they have not been read yet."""
        effective.choose(levers, key)
        chosen = effective.levers
        if chosen is None or not (chosen.all or effective.overrides):
            return
        overrides = chosen.in_force(wall_s, LeverKind.OVERRIDE)
        if overrides != effective.overrides:
            limits = self._merged(key[1], overrides, effective.rule)
            effective.override(overrides, limits)

    def _merged(self, update_name: str, overrides: tuple[Lever, ...], rule: Rule | None) -> Limits:
        levels = [lever.settings for lever in reversed(overrides)]
        if rule is not None:
            levels.append(rule.settings)
        levels += (self._config.settings, self._server)
        return merge(levels, least_batch_items(update_name))
