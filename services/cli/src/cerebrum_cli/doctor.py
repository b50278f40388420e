"""Which link of edge → network → backend → key → model is broken, and how to mend it. Pure: facts in, lines out.

The first links, up to the edge and its own key, are tried from here; those behind it by the edge (`GET /v1/doctor`), in
order, and what comes after a broken one was not asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

LineStyle = Literal["heading", "ok", "broken", "unknown", "mend"]

# The edge's names of its links, in the order in which it tries them, and what they are to a person.
_LINKS = {"connect": "network", "health": "backend", "key": "backend's key", "model": "model"}
_WORDS: dict[bool | None, tuple[str, LineStyle]] = {
    True: ("ok", "ok"),
    False: ("BROKEN", "broken"),
    None: ("-", "unknown"),
}
_MENDS = {
    "connect": "See that its host is up and the tunnel or tailnet stands: `tailscale status`, `curl {url}/health`.",
    "health": "Look at the inference service on the backend's host: `systemctl status 'cerebrum-inference@*'`.",
    "key": "Give the edge a key that the backend knows: `api_key_file` of this backend in CEREBRUM_EDGE_BACKENDS.",
    "model": "Install a model on the backend: `cerebrum_models` in the inventory; its log says what it refused.",
}


@dataclass(frozen=True, slots=True)
class Link:
    """One link, as it was found.

    Attributes:
        ok: None where it was not asked, since one before it is broken.
        mend: what to do about it.
    """

    of: str
    name: str
    ok: bool | None
    message: str
    mend: str | None = None


def edge_link(url: str, *, health: dict[str, Any] | None, problem: str | None) -> Link:
    """Whether an edge is at the address."""
    if health is None:
        return Link(
            "edge",
            "edge",
            False,
            problem or "no answer",
            "Start it (`systemctl start cerebrum-edge.socket`, `make dev`), or say where it is: --url or CEREBRUM_URL.",
        )
    service = health.get("service")
    if service not in (None, "edge"):
        return Link(
            "edge",
            "edge",
            False,
            f"{url} is the {service} service of Cerebrum, not its edge",
            "The edge listens on port 7000 unless told otherwise: --url or CEREBRUM_URL.",
        )
    state = str(health.get("status", "unknown"))
    detail = f"; it says: {health['problem']}" if health.get("problem") else ""
    return Link("edge", "edge", True, f"{url} answers: {state}, release {health.get('release', 'unknown')}{detail}")


def key_link(*, has_key: bool, problem: str | None, unauthorized: bool) -> Link:
    """Whether the edge takes the client's key."""
    if not unauthorized and problem is None:
        return Link("edge", "key", True, "the edge takes it" if has_key else "the edge asks for none")
    if not unauthorized:
        return Link("edge", "key", False, problem or "", "Look at the edge's log under this request id.")
    return Link(
        "edge",
        "key",
        False,
        "the edge does not know this key" if has_key else "the edge asks for a key, and none was given",
        "Put a key that the edge knows into a file and name it: --api-key-file or CEREBRUM_API_KEY_FILE.",
    )


def backend_links(report: dict[str, Any]) -> list[Link]:
    """The links behind the edge, by its own report; those that it did not ask are there with `ok` None."""
    backends = report.get("backends")
    if not isinstance(backends, list) or not backends:
        mend = "Name one in CEREBRUM_EDGE_BACKENDS and restart the edge."
        return [Link("edge", "backends", False, "the edge knows no backend", mend)]
    return [link for row in backends for link in _of_backend(row)]


def _of_backend(row: dict[str, Any]) -> Iterable[Link]:
    url = str(row.get("url", "its address"))
    of = f"{row.get('name', 'backend')} at {url}"
    seen = {str(link.get("link")): link for link in row.get("links", ())}
    for name, title in _LINKS.items():
        link = seen.get(name)
        if link is None:
            yield Link(of, title, None, "not asked: the link before it is broken")
            continue
        ok = bool(link.get("ok"))
        took = f" ({link['seconds'] * 1000:.0f} ms)" if ok and isinstance(link.get("seconds"), int | float) else ""
        message = str(link.get("message") or ("ok" if ok else "broken")) + took
        yield Link(of, title, ok, message, None if ok else str(link.get("mend") or _MENDS[name].format(url=url)))


def old_edge_links(*, backend: str | None, models: int | None, problem: str | None) -> list[Link]:
    """The links behind an edge that has no `/v1/doctor` yet: coarser, by what its other answers tell."""
    if problem is not None:
        mend = "Upgrade the edge to hear which link it is; until then its log tells."
        return [Link("backend", "backend", False, problem, mend)]
    some = f"{models} model{'' if models == 1 else 's'}" if models else "no model is installed"
    return [
        Link(f"{backend}", "backend", True, "answers, and takes the edge's key"),
        Link(f"{backend}", "model", bool(models), some, None if models else _MENDS["model"]),
    ]


def verdict(links: Iterable[Link]) -> bool:
    """Whether every link holds."""
    return all(link.ok for link in links)


def lines(links: list[Link]) -> list[tuple[LineStyle, str]]:
    """What is printed."""
    said: list[tuple[LineStyle, str]] = []
    width = max(len(link.name) for link in links)
    of = None
    for link in links:
        if link.of != of:
            of = link.of
            said.append(("heading", of))
        word, style = _WORDS[link.ok]
        said.append((style, f"  {word:<6}  {link.name:<{width}}  {link.message}"))
        if link.mend:
            said.append(("mend", f"          {'':<{width}}  {link.mend}"))
    return said


def as_json(links: list[Link]) -> dict[str, Any]:
    return {"ok": verdict(links), "links": [asdict(link) for link in links]}
