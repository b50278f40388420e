"""The edge's native API from the client's side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from cerebrum_cli.settings import Target
from cerebrum_kit import sse


class EdgeFailure(Exception):
    """The edge did not answer, or answered with an error; the text is for a person."""


class EdgeClient:
    """Talks to one edge.

    Args:
        idle_timeout: seconds of silence that are borne; the edge sends a sign of life every 15.
    """

    def __init__(self, to: Target, *, idle_timeout: float = 60.0) -> None:
        self._url = to.url
        headers = {"x-api-key": to.key} if to.key else {}
        self._client = httpx.Client(
            base_url=to.url, headers=headers, timeout=httpx.Timeout(idle_timeout, connect=5.0), trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> dict[str, Any]:
        with self._explained():
            response = self._client.get(path)
            self._check(response)
            answer: dict[str, Any] = response.json()
            return answer

    def stream(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of a completion; the last one has `done`.

        Raises:
            EdgeFailure: also when the stream ends without its last event.
        """
        decoder = sse.Decoder()
        with self._explained(), self._client.stream("POST", "/v1/complete/stream", json=body) as response:
            if response.status_code != 200:
                response.read()
                self._check(response)
            for chunk in response.iter_bytes():
                for event in decoder.feed(chunk):
                    payload = json.loads(event.data)
                    if not isinstance(payload, dict):
                        raise ValueError("an event that is no object")
                    if payload.get("error"):
                        error = payload["error"]
                        raise EdgeFailure(_explain(error if isinstance(error, dict) else {"message": error}))
                    yield payload
                    if payload.get("done"):
                        return
            decoder.finish()
        raise EdgeFailure("the stream was cut before its end")

    def _check(self, response: httpx.Response) -> None:
        if response.status_code < 400:
            return
        try:
            error = response.json()["error"]
            if not isinstance(error, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise EdgeFailure(f"{self._url} answered {response.status_code}, which is no answer of an edge") from None
        wait = response.headers.get("retry-after")
        raise EdgeFailure(_explain(error) + (f"; try again in {wait} s" if wait else ""))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as exc:
            raise EdgeFailure(f"no edge answers at {self._url}; is it running, and is CEREBRUM_URL right?") from exc
        except httpx.TimeoutException as exc:
            raise EdgeFailure(f"{self._url} was silent for too long") from exc
        except httpx.HTTPError as exc:
            raise EdgeFailure(f"the connection to {self._url} broke: {exc}") from exc
        except (sse.SSEError, ValueError) as exc:
            raise EdgeFailure(f"{self._url} sent what is no stream of an edge: {exc}") from exc


def _explain(error: dict[str, Any]) -> str:
    return f"{error.get('message')} [{error.get('code')}, request {error.get('request_id')}]"
