"""Metrics at moments, and what happened between them. Pure.

Rates are of counters that may start anew with their service; quantiles are of what histograms counted in between.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Origin:
    """A process that was looked at."""

    job: str
    instance: str


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    origin: Origin
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class _Key:
    origin: Origin
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Snapshot:
    """One look.

    Attributes:
        times: when each origin was looked at; one that did not answer is not there.
    """

    times: Mapping[Origin, float]
    _values: Mapping[str, Mapping[_Key, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, times: Mapping[Origin, float], samples: Iterable[Sample]) -> Snapshot:
        values: defaultdict[str, dict[_Key, float]] = defaultdict(dict)
        for one in samples:
            values[one.name][_Key(one.origin, tuple(sorted(one.labels.items())))] = one.value
        return cls(times, values)

    def samples(self, name: str, **where: str) -> list[Sample]:
        """Series of `name` whose labels are as `where` says."""
        return [
            Sample(name, key.origin, dict(key.labels), value)
            for key, value in self._values.get(name, {}).items()
            if where.items() <= dict(key.labels).items()
        ]

    def total(self, name: str, **where: str) -> float | None:
        """Their sum; None where there are none."""
        found = self.samples(name, **where)
        return sum(one.value for one in found) if found else None

    def by(self, name: str, label: str, **where: str) -> dict[str, float]:
        """Sums by a label's values."""
        return _summed(self.samples(name, **where), label)


class History:
    """Looks of which the last is now; the others are as old as rates are to go back.

    Args:
        since_start: the first look stands for the starts of the processes, when every counter was 0.
    """

    def __init__(self, looks: Sequence[Snapshot], *, since_start: bool = False) -> None:
        self._looks = looks
        self.since_start = since_start
        self.now = looks[-1] if looks else Snapshot({})

    @property
    def seconds(self) -> float:
        """What rates are over."""
        return max(self._spans().values(), default=0.0)

    def rates(self, name: str, **where: str) -> list[Sample]:
        """Per second, of each series of a counter; nothing where there was one look alone."""
        spans = self._spans()
        return [
            Sample(name, one.origin, one.labels, one.value / spans[one.origin])
            for one in self.increases(name, **where)
            if spans.get(one.origin)
        ]

    def rate(self, name: str, **where: str) -> float | None:
        found = self.rates(name, **where)
        return sum(one.value for one in found) if found else None

    def rate_by(self, name: str, label: str, **where: str) -> dict[str, float]:
        return _summed(self.rates(name, **where), label)

    def increases(self, name: str, **where: str) -> list[Sample]:
        """How much each series of a counter grew."""
        grown: defaultdict[_Key, float] = defaultdict(float)
        for old, new in itertools.pairwise(self._looks):
            before = old._values.get(name, {})
            for key, value in new._values.get(name, {}).items():
                # Of an origin that did not answer before nobody knows what is new.
                if key.origin in old.times:
                    grown[key] += grown_by(before.get(key, 0.0), value)
        return [
            Sample(name, key.origin, dict(key.labels), value)
            for key, value in grown.items()
            if where.items() <= dict(key.labels).items()
        ]

    def quantiles(self, name: str, *qs: float, **where: str) -> list[float | None]:
        """Of what a histogram observed; None where it observed nothing."""
        buckets: defaultdict[float, float] = defaultdict(float)
        for one in self.increases(f"{name}_bucket", **where):
            buckets[float(one.labels["le"])] += one.value
        return [quantile(q, buckets) for q in qs]

    def _spans(self) -> dict[Origin, float]:
        spans: defaultdict[Origin, float] = defaultdict(float)
        for old, new in itertools.pairwise(self._looks):
            for origin, moment in new.times.items():
                if origin in old.times:
                    spans[origin] += max(0.0, moment - old.times[origin])
        return spans


def grown_by(before: float, after: float) -> float:
    """A counter that is less than it was began anew at 0."""
    return after - before if after >= before else after


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """The value below which the share `q` of observations is, by buckets that count all up to their bound.

    As Prometheus has it: evenly spread within a bucket, the last finite bound for what is above all of them.
    """
    bounds = sorted(buckets)
    if not bounds or bounds[-1] != math.inf or buckets[math.inf] <= 0:
        return None
    rank = q * buckets[math.inf]
    lower, below = 0.0, 0.0
    for bound in bounds:
        # Looks at different moments may leave a bucket behind a smaller one.
        upto = max(below, buckets[bound])
        if upto >= rank and upto > below:
            if bound == math.inf:
                return lower if len(bounds) > 1 else None
            return lower + (bound - lower) * (rank - below) / (upto - below)
        lower, below = (bound, upto) if bound != math.inf else (lower, upto)
    return lower


def read_page(text: str, origin: Origin, wanted: Iterable[str]) -> Iterator[Sample]:
    """The samples of a `/metrics` page whose names are `wanted`.

    Raises:
        ValueError: it is none.
    """
    names = frozenset(wanted)
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name in names:
                yield Sample(one.name, origin, one.labels, float(one.value))


def _summed(samples: Iterable[Sample], label: str) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for one in samples:
        sums[one.labels.get(label, "")] += one.value
    return dict(sums)
