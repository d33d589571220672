"""The limits of an update: the configuration, and the overrides in force. Pure."""

import attrs

from synapse_bgthrottle.core.config.limits import Limits, Rule, Settings, first_match, merge
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers, UpdateKey
from synapse_bgthrottle.core.scheduling.quirks import least_batch_items, runs_in_one_go


@attrs.define
class EffectiveLimits:
    """The limits of one update, with the overrides in force.

    Attributes:
        limits: merged from all levels.
        rule: the matching rule; None: the top level.
        levers: the levers for this update; None: they have not been read yet.
        overrides: the levers that are merged into `limits`.
    """

    limits: Limits
    rule: Rule | None = None
    levers: Levers | None = None
    overrides: tuple[Lever, ...] = ()
    _chosen_from: Levers | None = None

    def choose(self, levers: Levers | None, key: UpdateKey) -> None:
        """Select the levers for this update; None: they have not been read yet."""
        # levers change seldom, but this is called for each decision
        if levers is not self._chosen_from:
            database_name, update_name = key
            self.levers = None if levers is None else levers.about(update_name, database_name)
            self._chosen_from = levers  # last, so that a failure above is tried again

    def override(self, overrides: tuple[Lever, ...], limits: Limits) -> None:
        """These overrides are in force, and these are the limits with them."""
        self.limits, self.overrides = limits, overrides


class UpdateLimits:
    """Merges the levels: overrides (newest first), rule, top level, Synapse's own settings."""

    def __init__(self, config: Config, server: Settings) -> None:
        """`server` has the settings of Synapse's own configuration."""
        self._config = config
        self._server = server

    def of(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> tuple[Rule | None, Limits]:
        """The first matching rule and the limits of an update, without overrides."""
        one_shot = one_shot or runs_in_one_go(update_name)
        rule = first_match(self._config.rules, update_name, database_name, one_shot)
        return rule, self._merged(update_name, (), rule)

    def refresh(
        self, effective: EffectiveLimits, key: UpdateKey, levers: Levers | None, wall_s: float
    ) -> None:
        """Apply the levers to an update; None: they have not been read yet."""
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
