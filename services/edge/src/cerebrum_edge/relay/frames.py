"""From a backend's bytes to the frames of its event stream, sans-IO.

A frame is everything between two blank lines, as it came: most of them are handed on without being looked into. What is
checked is what would break the client's own stream: that a frame is whole, that it is UTF-8, and that it is bounded.
"""

from __future__ import annotations

from cerebrum_kit.sse import SSEError

_MOST_BYTES = 1 << 20


class Frames:
    """Splits bytes, however they are cut, into frames without the blank line at their end.

    Args:
        most_bytes: how much one frame may hold before `SSEError` is raised.
    """

    def __init__(self, *, most_bytes: int = _MOST_BYTES) -> None:
        self._rest = b""
        self._most = most_bytes
        self._broken: SSEError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes.

        What came whole before the bytes went wrong is returned first; the error is raised by the next call.

        Raises:
            SSEError: the bytes are not UTF-8, or a frame is larger than allowed.
        """
        if self._broken is not None:
            raise self._broken
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            data = _plain_ends(data)
        *frames, self._rest = data.split(b"\n\n")
        if not data.isascii():
            frames = self._valid(frames)
        if len(self._rest) > self._most and self._broken is None:
            self._broken = SSEError(f"an event is larger than {self._most} bytes")
        if self._broken is not None and not frames:
            raise self._broken
        return frames

    def _valid(self, frames: list[bytes]) -> list[bytes]:
        for count, frame in enumerate(frames):
            try:
                frame.decode()
            except UnicodeDecodeError:
                self._broken = SSEError("the stream is not valid UTF-8")
                return frames[:count]
        return frames


def _plain_ends(data: bytes) -> bytes:
    """Every line end as LF; a CR at the end stays, since its LF may still be on the way."""
    held = b"\r" if data.endswith(b"\r") else b""
    return data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
