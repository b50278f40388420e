"""What `playbooks/doctor.yml` finds between hosts: way, key, answer and model of each pair, a token through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

OK, TROUBLE, NOTE, UNASKED = "ok", "TROUBLE", "note", "-"


class Check(NamedTuple):
    verdict: str
    name: str
    message: str
    mend: str = ""


def findings(hosts: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Every check of every pair, told of the edge: verdict, host, check, what was found, what to do.

    Args:
        hosts: for each, `groups`, `transport`, and `found`, the outcome of its survey.
    """
    rows = []
    for edge in sorted(host for host, row in hosts.items() if "edge" in row["groups"] and row["found"]["facts"]):
        rows += [[one.verdict, edge, one.name, one.message, one.mend] for one in _ways(edge, hosts)]
    return rows


def _ways(edge: str, hosts: dict[str, Any]) -> Iterator[Check]:
    """From an edge to each inference host: way, key, answer, model; then a token through all of it."""
    facts = hosts[edge]["found"]["facts"]
    behind = sorted(host for host, row in hosts.items() if "inference" in row["groups"])
    # An edge before a balancer knows that alone, and has one key for all hosts behind it.
    others = sorted(set(facts["backends"]) - set(behind))
    for host in others:
        yield from _backend(host, facts["backends"][host])
    for host in [] if others else behind:
        yield from _way(host, hosts[host]["transport"], facts)
        yield _key(host, facts["keys"]["held"].get(host), hosts[host]["found"]["facts"])
        if facts["services"]["edge"]["instance"]:
            yield from _backend(host, facts["backends"].get(host))
        else:
            yield Check(UNASKED, f"reaches {host}", "not asked: no edge runs")
    answers = facts["services"]["edge"].get("answers", {})
    yield _token(answers.get("token"))


def _way(host: str, kind: str, facts: dict[str, Any]) -> Iterator[Check]:
    check = f"way to {host}"
    if kind == "ssh_tunnel":
        tunnel = facts["tunnels"].get(host, {"ActiveState": "absent"})
        if tunnel["ActiveState"] == "active":
            yield Check(OK, check, f"tunnel: {tunnel.get('StatusText', '').partition(' [')[0]}")
        else:
            mend = f"`journalctl -u cerebrum-tunnel@{host} -n 20` has ssh's words; docs/networking.md"
            yield Check(TROUBLE, check, f"cerebrum-tunnel@{host} is {tunnel['ActiveState']}", mend)


def _key(host: str, held: dict[str, Any] | None, other: dict[str, Any]) -> Check:
    """Whether the digest of the edge's key is among those that the inference host admits."""
    check, again = f"key for {host}", "run site.yml, for both hosts: it makes the pair agree"
    if held is None or not held["digest"]:
        return Check(TROUBLE, check, "there is none", again)
    if not other:
        return Check(UNASKED, check, f"not compared: {host} cannot be asked")
    if not other["keys"]["file"]:
        return Check(TROUBLE, check, f"{host} has no file of digests", again)
    known = next((row for row in other["keys"]["admitted"] if row["digest"] == held["digest"]), None)
    if known is None:
        ids = ", ".join(row["id"] for row in other["keys"]["admitted"]) or "none"
        return Check(
            TROUBLE, check, f"{host} does not admit it: it has digests of {ids}, and none is of this key", again
        )
    if held["running"] not in ([], [held["digest"]]):
        return Check(TROUBLE, check, f"the file has {known['id']}, and the edge runs with another", again)
    return Check(OK, check, f"{known['id']}, made {known['created']}, is admitted")


def _backend(host: str, found: dict[str, Any] | None) -> Iterator[Check]:
    if found is None:
        yield Check(TROUBLE, f"reaches {host}", "the running edge does not know it as a backend", "run site.yml")
        return
    slots, models = found["slots"], found["models"]
    if "answer" not in slots:
        refused = slots.get("status") in (401, 403)
        what = f"{found['url']}: {slots.get('problem', 'no answer')}"
        mend = (
            "run site.yml, for both hosts: it makes the pair agree"
            if refused
            else f"the checks of {host}, and the way to it, tell why"
        )
        yield Check(TROUBLE, f"reaches {host}", what, mend)
        yield Check(UNASKED, f"model on {host}", "not asked")
        return
    yield Check(OK, f"reaches {host}", f"{found['url']} answers, {len(slots['answer'].get('slots', []))} slots")
    rows = models.get("answer", {}).get("models", [])
    loaded = [row["id"] for row in rows if row.get("loaded")]
    if not rows:
        mend = "see inference_models; site.yml puts files into the store; docs/models.md"
        yield Check(TROUBLE, f"model on {host}", f"there is none: {models.get('problem', 'the store is empty')}", mend)
    elif not loaded:
        names = ", ".join(row["id"] for row in rows)
        yield Check(NOTE, f"model on {host}", f"none is in memory; {names} come on demand")
    else:
        yield Check(OK, f"model on {host}", f"{', '.join(loaded)} in memory")


def _token(found: dict[str, Any] | None) -> Check:
    if found is None:
        return Check(UNASKED, "token", "not asked: the edge does not answer")
    if found.get("status") == 401:
        mend = "set CEREBRUM_API_KEY_FILE, or -e survey_client_key_file=FILE, to have one made"
        return Check(UNASKED, "token", "not asked: the edge admits clients with keys only", mend)
    answer = found.get("answer")
    if answer is None:
        return Check(TROUBLE, "token", found.get("problem", "no answer"), "the checks above tell which link it is")
    return Check(OK, "token", f"came through from {answer.get('model')} in {answer.get('inference_time')} s")


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"doctor_ways": findings}
