"""Asking one server, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cerebrum_cli.settings import Target

# A picture that comes late is of no use, and another one is asked for soon.
_SECONDS = 5.0


class NoAnswerError(Exception):
    """The server did not answer with what was asked for; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is expected at an address, and how it is given."""

    name: str
    address: str
    key: str | None = None


EDGE = Kind("edge", "--url or CEREBRUM_URL", "--api-key-file or CEREBRUM_API_KEY_FILE")
INFERENCE = Kind("inference service", "--inference", "--inference-key-file")
PROMETHEUS = Kind("Prometheus", "--prometheus")


class Endpoint:
    """A server of a kind at an address."""

    def __init__(self, kind: Kind, to: Target) -> None:
        self.url = to.url
        self._kind = kind
        self._has_key = to.key is not None
        headers = {"x-api-key": to.key} if to.key else {}
        self._client = httpx.Client(base_url=to.url, headers=headers, timeout=_SECONDS, trust_env=False)

    @property
    def place(self) -> str:
        """Its host and port."""
        return httpx.URL(self.url).netloc.decode()

    def text(self, path: str) -> str:
        return self._get(path, {}).text

    def json(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer = self._get(path, params or {})
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NoAnswerError(f"{self.url} sent what is no answer of {self._named()}; is {self._kind.address} right?")
        return found

    def _get(self, path: str, params: Mapping[str, str]) -> httpx.Response:
        kind = self._kind
        try:
            answer = self._client.get(path, params=params)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise NoAnswerError(
                f"no {kind.name} answers at {self.url}; is it running, and is {kind.address} right?"
            ) from exc
        except httpx.TimeoutException as exc:
            raise NoAnswerError(f"{self.url} was silent for {_SECONDS:g} s") from exc
        except httpx.HTTPError as exc:
            raise NoAnswerError(f"the connection to {self.url} broke: {exc}") from exc
        if answer.status_code == 401:
            ask = "does not know this key" if self._has_key else "asks for a key"
            how = f"; give one that it knows by {kind.key}" if kind.key else ""
            raise NoAnswerError(f"{self.url} {ask}{how}")
        if answer.status_code != 200:
            raise NoAnswerError(f"{self.url} answered {answer.status_code} to {path}; is it {self._named()}?")
        return answer

    def _named(self) -> str:
        return f"{'an' if self._kind.name[0] in 'aeiou' else 'a'} {self._kind.name}"
