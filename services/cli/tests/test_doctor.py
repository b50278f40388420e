"""What the doctor says of what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from cerebrum_cli.doctor import (
    Link,
    as_json,
    backend_links,
    edge_link,
    key_link,
    lines,
    old_edge_links,
    verdict,
)
from support.fake_edge import HEALTH

ORDER = ["connect", "health", "key", "model"]


def report(broken: str | None = None, mend: str | None = None) -> dict[str, Any]:
    links: list[dict[str, Any]] = []
    for name in ORDER:
        ok = name != broken
        links.append(
            {"link": name, "ok": ok, "seconds": 0.0123, "message": f"{name} said", "mend": None if ok else mend}
        )
        if not ok:
            break
    return {"backends": [{"name": "vps", "url": "http://10.0.0.2:9000", "links": links}]}


def test_all_is_well() -> None:
    links = backend_links(report())
    assert verdict(links)
    assert [link.name for link in links] == ["network", "backend", "backend's key", "model"]
    assert links[0].message == "connect said (12 ms)"


@pytest.mark.parametrize("broken", ORDER)
def test_the_first_broken_link_is_named_with_its_mend_and_those_behind_it_are_not_judged(broken: str) -> None:
    links = backend_links(report(broken))
    assert not verdict(links)
    at = ORDER.index(broken)
    assert [link.ok for link in links] == [True] * at + [False] + [None] * (3 - at)
    assert links[at].mend
    assert all(link.mend is None for link in links[:at] + links[at + 1 :])


def test_the_edges_own_advice_goes_first() -> None:
    assert backend_links(report("key", mend="Turn the key."))[2].mend == "Turn the key."


@pytest.mark.parametrize("answer", [{}, {"backends": []}, {"backends": None}])
def test_an_edge_without_backends_is_broken(answer: dict[str, Any]) -> None:
    assert not verdict(backend_links(answer))


@pytest.mark.parametrize("row", [{}, {"links": []}, {"name": "x", "links": [{"link": "connect", "ok": True}]}])
def test_a_report_that_tells_less_is_no_clean_bill(row: dict[str, Any]) -> None:
    assert not verdict(backend_links({"backends": [row]}))


def test_edge_and_key() -> None:
    assert edge_link("http://e", health=HEALTH, problem=None).ok
    assert edge_link("http://e", health={}, problem=None).ok
    gone = edge_link("http://e", health=None, problem="no edge answers")
    assert (gone.ok, gone.message) == (False, "no edge answers")
    assert "CEREBRUM_URL" in str(gone.mend)
    wrong = edge_link("http://e", health={"service": "inference"}, problem=None)
    assert "is the inference service" in wrong.message
    assert (
        "degraded"
        in edge_link("http://e", health={"status": "degraded", "problem": "no backend"}, problem=None).message
    )
    assert key_link(has_key=True, problem=None, unauthorized=False).message == "the edge takes it"
    assert key_link(has_key=False, problem=None, unauthorized=False).message == "the edge asks for none"
    assert "does not know" in key_link(has_key=True, problem="x", unauthorized=True).message
    assert "none was given" in key_link(has_key=False, problem="x", unauthorized=True).message
    assert key_link(has_key=False, problem="x", unauthorized=False).message == "x"


def test_an_edge_that_cannot_examine_is_judged_by_what_it_can_tell() -> None:
    assert verdict(old_edge_links(backend="vps", models=1, problem=None))
    assert not verdict(old_edge_links(backend="vps", models=0, problem=None))
    assert not verdict(old_edge_links(backend=None, models=None, problem="no"))


def test_lines_are_grouped_and_aligned() -> None:
    links = [Link("edge", "edge", True, "yes"), *backend_links(report("key", mend="Turn it."))]
    text = [line for _, line in lines(links)]
    assert text == [
        "edge",
        "  ok      edge           yes",
        "vps at http://10.0.0.2:9000",
        "  ok      network        connect said (12 ms)",
        "  ok      backend        health said (12 ms)",
        "  BROKEN  backend's key  key said",
        "                         Turn it.",
        "  -       model          not asked: the link before it is broken",
    ]
    assert as_json(links)["ok"] is False
