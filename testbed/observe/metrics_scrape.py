"""The module's metrics from a metrics endpoint."""

import urllib.request
from collections.abc import Iterator

import attrs
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from testbed.waiting import HANG_S

PREFIX = "synapse_bgthrottle_"


@attrs.frozen
class Scrape:
    """One scrape of the module's metrics.

    Attributes:
        samples: name without the prefix, labels, value.
        families: names of all metrics with the prefix, with and without samples.
    """

    samples: list[tuple[str, dict[str, str], float]]
    families: frozenset[str]

    @classmethod
    def of(cls, port: int | None = None) -> "Scrape":
        """Scrape a server's metrics listener; without a port, this process."""
        if port is None:
            text = generate_latest().decode()
        else:
            url = f"http://127.0.0.1:{port}/metrics"
            with urllib.request.urlopen(url, timeout=HANG_S) as answer:
                text = answer.read().decode()
        ours = [
            family
            for family in text_string_to_metric_families(text)
            if family.name.startswith(PREFIX) and not family.name.endswith("_created")
        ]
        return cls(
            [
                (sample.name.removeprefix(PREFIX), sample.labels, sample.value)
                for family in ours
                for sample in family.samples
            ],
            frozenset(family.name for family in ours),
        )

    def find(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """Samples of this name with at least these labels."""
        for found, has, value in self.samples:
            if found == name and labels.items() <= has.items():
                yield has, value

    def values(self, name: str, **labels: str) -> list[float]:
        return [value for _, value in self.find(name, **labels)]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the only sample; None: no sample."""
        values = self.values(name, **labels)
        assert len(values) <= 1, f"{name} {labels}: {values}"
        return values[0] if values else None

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Values by one of their labels."""
        return {has[label]: value for has, value in self.find(name, **labels)}
