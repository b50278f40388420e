"""What every service tells of itself, and that telling it holds nobody up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client import Histogram as Reference
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.errors import Overloaded, render_openai
from cerebrum_kit.histogram import Histogram, Histograms, family
from cerebrum_kit.keys import Key, KeyRing, created_at, key_line, new_key
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.metrics import LATENCY_BUCKETS, HttpMetrics, new_registry
from cerebrum_kit.middleware.boundary import Answered
from cerebrum_kit.responses import EventStreamResponse, shutting_down
from cerebrum_kit.sse import encode_json

BOUNDS = (0.1, 1.0, 5.0)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


def service(
    registry: CollectorRegistry | None = None,
    *,
    lifecycle: Lifecycle | None = None,
    keys: KeyRing | None = None,
    answered: list[Answered] | None = None,
) -> FastAPI:
    heard = [] if answered is None else answered
    return build_app(
        AppOptions(
            service="probe",
            version="0",
            release="test",
            lifecycle=lifecycle or Lifecycle(),
            registry=registry or new_registry("probe", "0", "test"),
            lifespan=lifespan,
            max_body_bytes=4096,
            keys=keys,
            answered=heard.append,
        )
    )


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def value(text: str, series: str) -> float | None:
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(series + " ")), None)


class Stopped(Collector):
    """A collector that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.thread: int | None = None

    def collect(self) -> Iterator[Metric]:
        if self.thread is None:
            self.thread = threading.get_ident()
            self.begun.set()
            assert self.go_on.wait(10), "whoever should have told it was held up"
        yield GaugeMetricFamily("stopped", "Whether it was.", value=1)

    def describe(self) -> list[Metric]:
        return []


async def test_a_scrape_holds_nobody_up() -> None:
    registry, stopped = new_registry("probe", "0", "test"), Stopped()
    registry.register(stopped)
    async with client_of(service(registry)) as client:
        scrape = asyncio.create_task(client.get("/metrics"))
        await asyncio.to_thread(stopped.begun.wait, 10)
        assert (await client.get("/health")).status_code == 200
        assert not scrape.done()
        stopped.go_on.set()
        assert "stopped 1.0" in (await scrape).text
    assert stopped.thread != threading.get_ident()


@given(st.lists(st.floats(0, 10) | st.sampled_from(BOUNDS), max_size=30))
def test_plain_histograms_say_what_the_librarys_own_would(observed: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    plain = Histograms(ours).plain("one_seconds", "Text.", BOUNDS)
    reference = Reference("one_seconds", "Text.", buckets=BOUNDS, registry=theirs)
    for each in observed:
        plain.observe(each)
        reference.observe(each)
    # The order of the sum and the count differs, and nothing else may.
    assert sorted(generate_latest(ours).splitlines()) == sorted(generate_latest(theirs).splitlines())


def test_histograms_that_share_a_name_are_added_up() -> None:
    first, second = Histogram(BOUNDS), Histogram(BOUNDS)
    for one, observed in ((first, 0.05), (first, 2.0), (second, 9.0)):
        one.observe(observed)
    rows = {
        (row.labels["model"], row.labels.get("le"), row.name): row.value
        for row in family("x_seconds", "Text.", "model", {"both": [first, second], "first": [first]}).samples
    }
    assert [rows["both", le, "x_seconds_bucket"] for le in ("0.1", "1.0", "5.0", "+Inf")] == [1, 1, 2, 3]
    assert [rows["first", le, "x_seconds_bucket"] for le in ("0.1", "1.0", "5.0", "+Inf")] == [1, 1, 2, 2]
    assert rows["both", None, "x_seconds_sum"] == 11.05


def test_long_answers_have_buckets() -> None:
    assert {10, 600} <= set(LATENCY_BUCKETS)
    assert max(LATENCY_BUCKETS) == 600


async def test_readiness_and_drain_are_told_as_they_are() -> None:
    lifecycle = Lifecycle()
    seen = []
    async with client_of(service(lifecycle=lifecycle)) as client:

        async def look() -> None:
            text = (await client.get("/metrics")).text
            ready = (await client.get("/ready")).status_code == 200
            told = value(text, "cerebrum_probe_ready"), value(text, "cerebrum_probe_draining")
            assert told[0] == ready
            seen.append(told)

        await look()
        lifecycle.problem = None
        await look()
        lifecycle.begin_drain()
        await look()
    assert seen == [(0, 0), (1, 0), (0, 1)]


async def test_ages_of_keys_follow_the_file(tmp_path: Path) -> None:
    path, old, new = tmp_path / "keys", new_key(), new_key()
    line = key_line("pi.old", old, now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    path.write_text(line + "\n", encoding="utf-8")
    app = service(keys=KeyRing(path, extra=(Key("environment", b"x" * 32, "-"),)))

    async def ages(key: str) -> dict[str, float]:
        text = (await client.get("/metrics", headers={"x-api-key": key})).text
        rows = [line for line in text.splitlines() if line.startswith("cerebrum_probe_key_created_timestamp_seconds{")]
        return {row.partition('"')[2].partition('"')[0]: float(row.rpartition(" ")[2]) for row in rows}

    async with client_of(app) as client:
        assert await ages(old) == {"pi.old": 1767323045.0}, "a key that does not tell its age has none"
        later = key_line("pi.new", new, now=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))
        path.write_text(f"{line}\n{later}\n", encoding="utf-8")
        assert await ages(old) == {"pi.old": 1767323045.0, "pi.new": 1767323046.0}
        path.write_text(later + "\n", encoding="utf-8")
        assert await ages(new) == {"pi.new": 1767323046.0}


@pytest.mark.parametrize("created", ["-", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01"])
def test_what_is_no_time_is_no_age(created: str) -> None:
    assert created_at(Key("pi", b"", created)) is None


async def test_every_answer_is_told_once_with_its_outcome() -> None:
    heard: list[Answered] = []
    app = service(answered=heard)

    @app.get("/stream/{fault}")
    async def stream(fault: str) -> EventStreamResponse:
        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            async def events() -> AsyncIterator[bytes]:
                yield encode_json({})
                if fault == "busy":
                    raise Overloaded("no room")
                if fault == "drained":
                    raise shutting_down()
                if fault == "bug":
                    raise RuntimeError

            yield events()

        return EventStreamResponse(
            opened, lifecycle=Lifecycle(), render_error=lambda error: encode_json(render_openai(error, ""))
        )

    @app.get("/drained")
    async def drained() -> None:
        raise shutting_down()

    async with client_of(app) as client:
        for path in ("/stream/none", "/stream/busy", "/stream/drained", "/stream/bug", "/drained", "/nowhere"):
            await client.get(path)
    route = "/stream/{fault}"
    assert [(one.route, one.status, one.outcome) for one in heard] == [
        (route, 200, "ok"),
        (route, 200, "overloaded"),
        (route, 200, "shutting_down"),
        (route, 200, "internal"),
        ("/drained", 503, "shutting_down"),
        ("unmatched", 404, "not_found"),
    ]
    assert all(one.seconds >= 0 for one in heard)


def test_methods_are_words_of_ours() -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics("probe", registry)
    for method in ("GET", "BREW", "SECRET"):
        metrics.observe("/x", method, 200, "ok", 0.1)
    text = generate_latest(registry).decode()
    assert value(text, 'cerebrum_probe_http_requests_total{method="other",outcome="ok",route="/x",status="200"}') == 2
    assert "SECRET" not in text
