"""Histograms in plain numbers, for what is observed too often for a lock and a search through the buckets.

One thread writes; a scrape may read at any time and sees numbers that are at most one observation apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Histogram:
    """Observations by bucket; `bounds` are upper ones, inclusive."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def family(name: str, text: str, label: str | None, rows: Mapping[str, Iterable[Histogram]]) -> Metric:
    """A family as Prometheus has it: a child for each value of `label`, the sum of its histograms.

    Without a label there is one child, and its key says nothing.
    """
    made = HistogramMetricFamily(name, text, labels=[] if label is None else [label])
    for value, histograms in rows.items():
        every = list(histograms)
        counts = [sum(column) for column in zip(*(list(one.counts) for one in every), strict=True)]
        total = sum(one.total for one in every)
        made.add_metric([] if label is None else [value], _cumulative(every[0].bounds, counts), total)
    return made


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    so_far, rows = 0, []
    for bound, count in zip([*(str(float(bound)) for bound in bounds), "+Inf"], counts, strict=True):
        so_far += count
        rows.append((bound, float(so_far)))
    return rows


class Histograms(Collector):
    """Histograms of one service that belong to no collector of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families: list[tuple[str, str, str | None, dict[str, Histogram]]] = []
        registry.register(self)

    def plain(self, name: str, text: str, bounds: Sequence[float]) -> Histogram:
        """A histogram without a label; it is there at 0 from now on."""
        made = Histogram(bounds)
        self._families.append((name, text, None, {"": made}))
        return made

    def labelled(self, name: str, text: str, label: str) -> dict[str, Histogram]:
        """Histograms by the value of a label, for the caller to add to; by one thread, like their numbers."""
        children: dict[str, Histogram] = {}
        self._families.append((name, text, label, children))
        return children

    def collect(self) -> Iterator[Metric]:
        for name, text, label, children in self._families:
            yield family(name, text, label, {value: [one] for value, one in children.copy().items()})
