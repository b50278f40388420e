"""From token bytes to text that may be sent: whole characters only, and never a part of a stop string. Sans-IO."""

from __future__ import annotations

import codecs


class TextAssembler:
    """Takes each token's bytes and gives back the text that is certain.

    Half a UTF-8 character is held back until it is whole (bytes that never make one become U+FFFD), and so is a tail
    that may be the beginning of a stop string. Once `stopped` is true, nothing more comes out.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.stopped = False
        self._plain = not self._stop

    def feed(self, data: bytes) -> str:
        """The text that `data` makes certain, which may be empty."""
        if self._plain and data.isascii():  # nearly every token, and nothing to hold back
            return data.decode("ascii")
        return self._feed(data)

    def _feed(self, data: bytes) -> str:
        if self.stopped:
            return ""
        text = self._take(self._decoder.decode(data))
        self._plain = not self._stop and not self._decoder.getstate()[0]
        return text

    def finish(self) -> str:
        """The rest, when no more bytes come: what was held back for a stop string that never ended."""
        if self.stopped:
            return ""
        text = self._take(self._decoder.decode(b"", final=True))
        if not self.stopped:
            text, self._held = text + self._held, ""
        return text

    def _take(self, text: str) -> str:
        text = self._held + text
        self._held = ""
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        if keep:
            text, self._held = text[:-keep], text[-keep:]
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
