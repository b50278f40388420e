"""uvicorn's httptools protocol with what it lacks: deadlines, header limits, errors in our shape.

uvicorn has no deadline for a request's head or body (a slow client holds a connection for ever), no limit on the
number or size of headers, and answers protocol errors in plain text. httptools itself refuses a request that carries
both Content-Length and Transfer-Encoding.
"""

from __future__ import annotations

import asyncio
import http
import json
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cerebrum_kit import request_id
from cerebrum_kit.errors import CerebrumError, HeadersTooLarge, InvalidRequest, RequestTimeout, render_openai
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)

# How long a connection without a request stays open once the service is leaving. Closing it at once would reset a
# request that is on its way, or in the kernel and not read yet.
_LEAVE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take.

    Attributes:
        header_seconds: from the connection, or from a further request's first byte, to the end of its headers.
        body_seconds: from the end of the headers to the end of the body.
        header_count: headers in one request.
        header_bytes: names, values and the target together.
    """

    header_seconds: float = 10.0
    body_seconds: float = 30.0
    header_count: int = 100
    header_bytes: int = 32 * 1024


class _Refused(Exception):
    """Raised inside a parser callback to stop the parser."""


def limited_protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol class for uvicorn's `http` option."""

    class LimitedProtocol(HttpToolsProtocol):
        _deadline: asyncio.TimerHandle | None = None
        _refusal: CerebrumError | None = None
        _header_size = 0  # of the headers that are parsed
        _head_bytes = 0  # received since the head began, as long as it has no end
        _in_head = False
        _pipelined = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            self._set_deadline(limits.header_seconds, "its headers")

        def connection_lost(self, exc: Exception | None) -> None:
            self._clear_deadline()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refusal is not None or self._pipelined or self.transport.is_closing():
                return
            if self._is_answering():
                self._refuse_pipelining()
                return
            if self._deadline is None and (self.cycle is None or not self.cycle.more_body):
                # The first byte of a further request; without its end there is no message to count from.
                self._set_deadline(limits.header_seconds, "its headers")
            super().data_received(data)
            if self._in_head and self._refusal is None:
                self._head_bytes += len(data)
                if self._head_bytes > limits.header_bytes:
                    self._refuse_size()
                    self.send_400_response("")

        def on_message_begin(self) -> None:
            if self._is_answering():
                self._refuse_pipelining()
                raise _Refused
            super().on_message_begin()
            # Closing waits until the client has read everything; for one that does not read this is the only end.
            cast("dict[str, Any]", self.scope)["cerebrum.abort"] = self.transport.abort
            self._header_size, self._head_bytes, self._in_head = 0, 0, True

        def on_url(self, url: bytes) -> None:
            self._grow_head(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._grow_head(len(name) + len(value))
            if len(self.headers) >= limits.header_count:
                self._refusal = HeadersTooLarge(f"The request has more than {limits.header_count} headers.")
                raise _Refused
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._set_deadline(limits.body_seconds, "its body")
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._clear_deadline()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle is not None and self.cycle.more_body and not self.transport.is_closing():
                # Answered before the body ended: what still comes belongs to nobody.
                self.transport.close()

        def shutdown(self) -> None:
            """The service is leaving. What asks within a moment is answered, and that answer closes the connection."""
            if self._is_idle():
                self.loop.call_later(_LEAVE_SECONDS, self._leave)
            elif not self._in_head:
                super().shutdown()  # closes behind the answer that is on its way

        def _leave(self) -> None:
            if self._is_idle() and not self.transport.is_closing():
                self.transport.close()

        def _is_idle(self) -> bool:
            """Whether nothing of a request has come, or of a further one."""
            return not self._in_head and (self.cycle is None or self.cycle.response_complete)

        def _is_answering(self) -> bool:
            """Whether a request has come whole and its answer has not gone out whole."""
            return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

        def _refuse_pipelining(self) -> None:
            """A further request before the answer: nobody needs it, and uvicorn would lose the first one's disconnect.

            It is not read; the connection closes behind the answer that is on its way (RFC 9112, 9.3.2).
            """
            self._pipelined = True
            self.cycle.keep_alive = False
            self._clear_deadline()

        def send_400_response(self, msg: str) -> None:
            if self._pipelined:
                return
            error = self._refusal or InvalidRequest("This is not a valid HTTP/1.1 request.")
            self._refusal = error
            self._clear_deadline()
            if self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started:
                self.transport.close()  # in the middle of a response there is no place for another
                return
            given = next((value for name, value in self.headers or [] if name == b"x-request-id"), None)
            identifier = request_id.accept_or_make(given)
            log.info("connection refused", code=error.code, reason=error.message, request_id=identifier)
            body = json.dumps(render_openai(error, identifier)).encode()
            phrase = http.HTTPStatus(error.status).phrase
            head = (
                f"HTTP/1.1 {error.status} {phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nx-request-id: {identifier}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()

        def _grow_head(self, size: int) -> None:
            self._header_size += size
            if self._header_size > limits.header_bytes:
                self._refuse_size()
                raise _Refused

        def _refuse_size(self) -> None:
            self._refusal = HeadersTooLarge(f"The request's headers are larger than {limits.header_bytes} bytes.")

        def _set_deadline(self, seconds: float, what: str) -> None:
            self._clear_deadline()
            self._deadline = self.loop.call_later(seconds, self._expire, seconds, what)

        def _clear_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _expire(self, seconds: float, what: str) -> None:
            self._deadline = None
            if self.transport.is_closing():
                return
            if what == "its headers" and not self._in_head:
                self.transport.close()  # nothing was ever sent: there is no request to answer
                return
            self._refusal = RequestTimeout(f"The request did not send {what} within {seconds:g} seconds.")
            self.send_400_response("")

    return LimitedProtocol
