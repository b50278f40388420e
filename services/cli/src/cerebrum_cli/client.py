"""The edge's native API from the client's side."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from cerebrum_cli.settings import Target
from cerebrum_kit import sse

KEY_HINT = "give the edge's key with --api-key-file FILE or CEREBRUM_API_KEY_FILE"


class EdgeFailure(Exception):
    """The edge did not answer, or answered with an error; the text is for a person.

    Attributes:
        status: of the answer, where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EdgeClient:
    """Talks to one edge.

    Args:
        idle_timeout: seconds of silence that are borne; the edge sends a sign of life every 15.
    """

    def __init__(self, to: Target, *, idle_timeout: float = 60.0) -> None:
        self._to = to
        self.url = to.url
        self._timeout = httpx.Timeout(idle_timeout, connect=5.0)
        self._client = self._new()

    @property
    def has_key(self) -> bool:
        return self._to.key is not None

    def close(self) -> None:
        self._client.close()

    def renew(self) -> None:
        """Drops every connection, whatever state an interrupt left them in."""
        self._client.close()
        self._client = self._new()

    def get(self, path: str, *, seconds: float | None = None) -> dict[str, Any]:
        with self._explained():
            timeout = self._timeout if seconds is None else httpx.Timeout(seconds)
            return self._answer(self._client.get(path, timeout=timeout))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._explained():
            return self._answer(self._client.post(path, json=body))

    def stream(self, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The events of a completion; the last one has `done`. Closing the iterator closes the connection.

        Raises:
            EdgeFailure: also when the stream ends without its last event.
        """
        decoder = sse.Decoder()
        with self._explained(), self._client.stream("POST", "/v1/complete/stream", json=body) as response:
            if response.status_code != 200:
                response.read()
                self._check(response)
                raise ValueError(f"status {response.status_code}")
            for chunk in response.iter_bytes():
                for event in decoder.feed(chunk):
                    payload = json.loads(event.data)
                    if not isinstance(payload, dict):
                        raise ValueError("an event that is no object")
                    if payload.get("error"):
                        error = payload["error"]
                        raise EdgeFailure(_explain(error if isinstance(error, dict) else {"message": error}))
                    if not payload.get("done") and not isinstance(payload.get("token"), str):
                        raise ValueError("an event without a token")
                    yield payload
                    if payload.get("done"):
                        return
            decoder.finish()
        raise EdgeFailure("the stream was cut before its end")

    def _new(self) -> httpx.Client:
        headers = {"x-api-key": self._to.key} if self._to.key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=self._timeout, trust_env=False)

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        self._check(response)
        answer = response.json()
        if not isinstance(answer, dict):
            raise ValueError("an answer that is no object")
        return answer

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status < 400:
            return
        try:
            error = response.json()["error"]
            if not isinstance(error, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise EdgeFailure(f"{self.url} answered {status}, which is no answer of an edge", status=status) from None
        wait = response.headers.get("retry-after")
        hint = f"; {KEY_HINT}" if status == 401 else f"; try again in {wait} s" if wait else ""
        raise EdgeFailure(_explain(error) + hint, status=status)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise EdgeFailure(f"no edge answers at {self.url}; is it running, and is CEREBRUM_URL right?") from exc
        except httpx.TimeoutException as exc:
            raise EdgeFailure(f"{self.url} was silent for too long") from exc
        except httpx.HTTPError as exc:
            raise EdgeFailure(f"the connection to {self.url} broke: {exc}") from exc
        except (sse.SSEError, ValueError) as exc:
            raise EdgeFailure(f"{self.url} sent what is no answer of an edge: {exc}") from exc


def _explain(error: dict[str, Any]) -> str:
    request = error.get("request_id")
    marks = ", ".join(filter(None, [error.get("code"), f"request {request}" if request else None]))
    return str(error.get("message")) + (f" [{marks}]" if marks else "")
