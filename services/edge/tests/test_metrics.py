"""What the edge tells of its backends' releases: a share each, and never more series than there are releases."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.relay import verdict
from cerebrum_kit.errors import CerebrumError


def shares(registry: CollectorRegistry) -> dict[str, float]:
    rows = (sample for family in registry.collect() for sample in family.samples)
    return {row.labels["release"]: row.value for row in rows if row.name == "cerebrum_edge_backend_answers_total"}


def test_each_release_has_its_share() -> None:
    registry = CollectorRegistry()
    metrics = EdgeMetrics(registry, ["vps"])
    for release in ("0.1.0-a.1", "0.2.0-b.2", "0.2.0-b.2", None, 'odd"\n', "x" * 101):
        metrics.backend_answered("vps", release)
    assert shares(registry) == {"0.1.0-a.1": 1, "0.2.0-b.2": 2, "unknown": 3}


def test_a_backend_cannot_fill_the_memory_with_names() -> None:
    registry = CollectorRegistry()
    metrics = EdgeMetrics(registry, ["vps"])
    for number in range(100):
        metrics.backend_answered("vps", f"0.{number}.0-a.1")
    found = shares(registry)
    assert len(found) == 9
    assert found["other"] == 92


def test_every_failure_that_speaks_against_a_backend_has_its_child() -> None:
    metrics = EdgeMetrics(CollectorRegistry(), ["vps"])
    assert issubclass(verdict.UpstreamBroke, CerebrumError)  # the edge's own are among them
    codes = {error.code for error in kinds(CerebrumError) if error.who == "upstream"}
    assert {code for _, code in metrics.backend_failures} == codes


def kinds(base: type[CerebrumError]) -> list[type[CerebrumError]]:
    return [one for kind in base.__subclasses__() for one in (kind, *kinds(kind))]
