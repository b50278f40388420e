"""What one attempt looks like in a backend's own words, sans-IO. A service of ours needs none but the edge's.

`foreign` has the other kind: servers that speak OpenAI's API.
"""

from __future__ import annotations

from cerebrum_kit.errors import CerebrumError


class Exchange:
    """See the module; this one is a service of ours, and hands everything on as it is.

    Attributes:
        error: what the attempt has ended with, behind the frames that were given last.
    """

    error: CerebrumError | None = None

    def request(self, path: str, body: bytes) -> tuple[str, bytes]:
        """Path and body of the attempt, from those that a service of ours would get."""
        return path, body

    def frames(self, frames: list[bytes]) -> list[bytes]:
        """The frames that a service of ours would have sent, for those that came."""
        return frames

    def end(self) -> list[bytes]:
        """The connection is over, however: the frames that are still missing where the answer is complete all the
        same. None where it is not, or where they were given already.
        """
        return []

    def amended(self, error: CerebrumError) -> bool:
        """Whether the next attempt leaves out what this one was refused for."""
        return False


OURS = Exchange()
