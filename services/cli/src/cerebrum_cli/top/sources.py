"""Where pictures come from: the services' own pages, or a Prometheus that watches them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cerebrum_cli.top.endpoint import Endpoint, NoAnswerError
from cerebrum_cli.top.facts import START, WANTED, facts, firing
from cerebrum_cli.top.picture import Facts
from cerebrum_cli.top.series import History, Origin, Sample, Snapshot, read_page

WINDOW = 60.0
"""Seconds that rates and quantiles are over, once so much was seen."""
_STEP = 15.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, and what did not answer; nothing was found where `facts` is None."""

    facts: Facts | None
    problems: Sequence[str]


class Source(Protocol):
    @property
    def name(self) -> str:
        """What the picture says where it comes from."""

    def look(self) -> Look:
        """How it is now. What does not answer is told, not raised."""


class Pages:
    """The edge's page, those of inference hosts where their addresses are known, and the edge's `/v1/stats`."""

    def __init__(self, edge: Endpoint, hosts: Sequence[Endpoint]) -> None:
        self._edge = edge
        self._endpoints = [("edge", edge), *(("inference", host) for host in hosts)]
        self._looks: deque[Snapshot] = deque()
        self._starts: dict[Origin, float] = {}

    @property
    def name(self) -> str:
        return ", ".join(endpoint.url for _, endpoint in self._endpoints)

    def look(self) -> Look:
        times: dict[Origin, float] = {}
        samples: list[Sample] = []
        problems = []
        for job, endpoint in self._endpoints:
            origin = Origin(job, endpoint.place)
            try:
                page = list(read_page(endpoint.text("/metrics"), origin, {*WANTED, START}))
            except NoAnswerError as exc:
                problems.append(str(exc))
                continue
            except ValueError as exc:
                problems.append(f"{endpoint.url}/metrics is no page of metrics: {exc}")
                continue
            times[origin] = time.time()
            samples += page
            self._starts.setdefault(origin, next((one.value for one in page if one.name == START), times[origin]))
        if not times:
            return Look(None, problems)
        history = self._history(Snapshot.of(times, samples))
        return Look(facts(history, moment=time.time(), stats=self._stats(problems, times)), problems)

    def _history(self, now: Snapshot) -> History:
        newest = max(now.times.values())
        self._looks.append(now)
        # The last look that is older than the window is where it begins.
        while len(self._looks) > 2 and max(self._looks[1].times.values()) <= newest - WINDOW:
            self._looks.popleft()
        if len(self._looks) == 1:
            return History([Snapshot(self._starts), now], since_start=True)
        return History(list(self._looks))

    def _stats(self, problems: list[str], times: Mapping[Origin, float]) -> dict[str, Any]:
        if not any(origin.job == "edge" for origin in times):
            return {}
        try:
            return self._edge.json("/v1/stats")
        except NoAnswerError as exc:
            problems.append(str(exc))
            return {}


class Prometheus:
    """A Prometheus that watches edge, inference hosts and the probe, by whatever names its jobs have."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint

    @property
    def name(self) -> str:
        return f"Prometheus at {self._at.url}"

    def look(self) -> Look:
        try:
            moment = float(self._ask("/api/v1/query", query="time()")[1])
            looks = self._looks(moment)
            alerts = firing(row["metric"] for row in self._ask("/api/v1/query", query="ALERTS", time=str(moment)))
            down = [row["metric"] for row in self._ask("/api/v1/query", query="up == 0", time=str(moment))]
        except NoAnswerError as exc:
            return Look(None, [str(exc)])
        except (ValueError, KeyError, IndexError, TypeError) as exc:
            return Look(None, [f"{self._at.url} sent what is no answer of Prometheus: {exc!r}"])
        problems = [f"{row.get('job', '?')} on {row.get('instance', '?')} does not answer Prometheus" for row in down]
        if not looks[-1].times:
            problems.append(
                f"{self._at.url} has no metrics of Cerebrum; are edge and inference hosts in its scrape_configs?"
            )
        return Look(facts(History(looks), moment=moment, alerts=alerts), problems)

    def _looks(self, moment: float) -> list[Snapshot]:
        """How it was within the window, the last look being at `moment`."""
        names = f'{{__name__=~"{"|".join(sorted(WANTED))}"}}'
        moments = [moment - WINDOW + step * _STEP for step in range(round(WINDOW / _STEP) + 1)]
        rows = self._ask(
            "/api/v1/query_range", query=names, start=str(moments[0]), end=str(moments[-1]), step=str(_STEP)
        )
        return list(_snapshots(rows, moments))

    def _ask(self, path: str, **params: str) -> list[Any]:
        answer = self._at.json(path, params)
        if answer.get("status") != "success":
            raise ValueError(f"{answer.get('errorType')}: {answer.get('error')}")
        return list(answer["data"]["result"])


def _snapshots(rows: Sequence[Mapping[str, Any]], moments: Sequence[float]) -> Iterator[Snapshot]:
    """A matrix of Prometheus as looks; what has no value at a moment was not seen then."""
    found: list[list[Sample]] = [[] for _ in moments]
    for row in rows:
        labels = dict(row["metric"])
        origin = Origin(labels.pop("job", ""), labels.pop("instance", ""))
        name = labels.pop("__name__")
        for at, value in row["values"]:
            found[round((float(at) - moments[0]) / _STEP)].append(Sample(name, origin, labels, float(value)))
    for at, samples in zip(moments, found, strict=True):
        yield Snapshot.of({one.origin: at for one in samples}, samples)
