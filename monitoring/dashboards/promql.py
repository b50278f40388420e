"""Expressions, put together so that what must hold for each of them holds by itself.

Every selector is bound to a job and its instances; counters are only ever seen through a rate or an increase; what is
divided by, and what has no observations, gives no value when nothing happens, where plain PromQL gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

# Grafana makes it at least four scrapes long, by the scrape interval that its data source was told.
INTERVAL = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where series are looked for: the jobs and instances that two variables of the dashboard name.

    Attributes:
        metric: of which every such job has a series; the variables' values are found by it.
        title: what the variables are called above the dashboard.
    """

    prefix: str
    metric: str
    title: str

    @property
    def job(self) -> str:
        return f"{self.prefix}job"

    @property
    def instance(self) -> str:
        return f"{self.prefix}instance"

    def __call__(self, metric: str, *matchers: str) -> str:
        """A selector of `metric`; `matchers` are added to the scope's own."""
        own = (f'job=~"${self.job}"', f'instance=~"${self.instance}"')
        return f"{metric}{{{', '.join((*own, *matchers))}}}"


def rate(counter: str, window: str = INTERVAL) -> str:
    return f"rate({counter}[{window}])"


def increase(counter: str, window: str = INTERVAL) -> str:
    return f"increase({counter}[{window}])"


def total(what: str, *by: str) -> str:
    return _aggregate("sum", what, by)


def average(what: str, *by: str) -> str:
    return _aggregate("avg", what, by)


def count(what: str, *by: str) -> str:
    return _aggregate("count", what, by)


def highest(what: str, *by: str) -> str:
    return _aggregate("max", what, by)


def lowest(what: str, *by: str) -> str:
    return _aggregate("min", what, by)


def share(part: str, whole: str) -> str:
    """`part / whole`; nothing where `whole` is 0."""
    return f"{part} / ({whole} > 0)"


def quantile(q: float, histogram: str, *by: str, window: str = INTERVAL) -> str:
    """Of a histogram's selector, which names its buckets; nothing where nothing was observed."""
    # Without observations the quantile is NaN, which is not >= 0 and falls out.
    return f"histogram_quantile({q:g}, {total(rate(histogram, window), 'le', *by)}) >= 0"


def distribution(histogram: str) -> str:
    """What a heatmap shows: how many observations came into each bucket."""
    return total(increase(histogram), "le")


def age(timestamp: str) -> str:
    return f"time() - {timestamp}"


def _aggregate(how: str, what: str, by: tuple[str, ...]) -> str:
    return f"{how} by ({', '.join(by)}) ({what})" if by else f"{how}({what})"
