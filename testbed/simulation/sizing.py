"""How Synapse itself chooses batch sizes (`synapse/storage/background_updates.py`)."""

import attrs

_WEIGHT = 0.1
_FIRST_ITEMS = 100


@attrs.define
class SynapseSizing:
    """The average rate of one update: the quotient of two moving averages.

    Attributes:
        total_items: items counted so far.
    """

    total_items: int = 0
    _items: float = 0.0
    _duration_ms: float = 0.0

    def next_items(self, target_ms: float) -> int:
        """The size of the next batch, by its own settings."""
        if self.total_items == 0:
            return _FIRST_ITEMS
        rate = self._items / self._duration_ms if self._duration_ms else 0.0
        return max(int(target_ms * rate), 1)

    def record(self, items: int, begin_s: float, end_s: float) -> None:
        """A batch has ended. Synapse's clock has whole milliseconds."""
        self.total_items += items
        self._items += _WEIGHT * (items - self._items)
        self._duration_ms += _WEIGHT * (int(end_s * 1000) - int(begin_s * 1000) - self._duration_ms)
