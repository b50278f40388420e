"""A model hub, through huggingface_hub: the only module that imports it, and only when something is fetched.

Its `hf_hub_download` keeps a cache beside the file that was asked for (twice the room, or links into it), and resumes
there under names of its own; so its parts are used: the address, the metadata, and `http_get`, which writes into a
file of ours, resumes it by Range, and takes up a broken connection again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from cerebrum_inference.manifest import Source
from cerebrum_inference.store.errors import StoreError
from cerebrum_inference.store.files import Part, TooLong
from cerebrum_inference.store.plan import Offer
from cerebrum_inference.store.progress import size_text

if TYPE_CHECKING:
    import httpx2

# A write, and so a step of the progress, and what a killed process loses.
_CHUNK = 1 << 18


class Hub:
    """One hub, with one token.

    Args:
        endpoint: `https://host[:port]`; empty for huggingface.co.
        token: sent to the endpoint's own host and to no other.
        timeout: seconds without a byte after which a connection is given up; huggingface_hub tries five more times.
    """

    def __init__(self, endpoint: str, token: str | None, timeout: int) -> None:
        self._token, self._timeout = token, timeout
        # Read when the library is imported. Plain HTTP, which mirrors speak and which resumes; nothing is reported to
        # anybody; no token but ours.
        os.environ.update(
            {
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_VERBOSITY": "error",  # what it would warn of is in our own words
            }
        )
        os.environ.pop("HF_HUB_OFFLINE", None)
        import huggingface_hub
        from huggingface_hub import constants

        constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
        constants.HF_HUB_DOWNLOAD_TIMEOUT = timeout
        self.endpoint = (endpoint or "https://huggingface.co").rstrip("/")
        self._secure = self.endpoint.startswith("https://")
        huggingface_hub.set_client_factory(self._client)

    def look(self, source: Source) -> Offer:
        """What the hub says of the file, without the file."""
        from huggingface_hub import get_hf_file_metadata

        try:
            found = get_hf_file_metadata(
                self._url(source),
                token=self._token or False,
                timeout=self._timeout,
                library_name="cerebrum",
                endpoint=self.endpoint,
                retry_on_errors=False,
            )
        except Exception as exc:
            raise self._in_words(exc, source, None) from exc
        return Offer(found.size, found.etag, found.commit_hash)

    def fetch(self, source: Source, part: Part, size: int) -> None:
        """Writes what is missing behind what `part` has."""
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # its documented place

        headers = build_hf_headers(token=self._token or False, library_name="cerebrum")
        headers["Accept-Encoding"] = "identity"  # a Range of something compressed is a range of something else
        try:
            # The hub's own address each time, not the one it redirects to: that one is signed and expires.
            http_get(
                self._url(source),
                cast(BinaryIO, part),
                resume_size=part.done,
                headers=headers,
                expected_size=size,
                displayed_filename=source.file,
            )
        except Exception as exc:
            raise self._in_words(exc, source, part) from exc

    def _url(self, source: Source) -> str:
        from huggingface_hub import hf_hub_url

        assert source.repo is not None
        assert source.file is not None
        return hf_hub_url(source.repo, source.file, revision=source.revision, endpoint=self.endpoint)

    def _client(self) -> httpx2.Client:
        import httpx2

        return httpx2.Client(event_hooks={"request": [self._guard]}, follow_redirects=True, timeout=self._timeout)

    def _guard(self, request: httpx2.Request) -> None:
        """Sees every request, those after a redirect too. (httpx2 takes the token away where the host changes.)"""
        scheme = request.url.scheme
        if scheme != "https" and (self._secure or scheme != "http"):
            raise StoreError(
                f"{self.endpoint} redirects to {scheme}://, which is refused: a model comes over "
                f"{'https' if self._secure else 'http or https'} only. Somebody on the way, or a mirror, is not what "
                "it should be: choose another models_hf_endpoint or network"
            )

    def _in_words(self, exc: Exception, source: Source, part: Part | None) -> Exception:
        import httpx2
        from huggingface_hub import errors

        what = f"{source.repo}/{source.file} at {self.endpoint}"
        kept = ""
        if part is not None and part.done:
            kept = f" {size_text(part.done)} are kept: run the play again, and it goes on there."
        access = "set models_hf_token to a token that may read it" if not self._token else "the token may not read it"
        words: str
        match exc:
            case StoreError():
                return exc
            case TooLong():
                words = (
                    f"{what} does not end where it should: more came than size_bytes says. The partial file is "
                    "removed. Correct size_bytes in the manifest, or use another source"
                )
            case errors.GatedRepoError():
                words = f"{what} is gated: accept its licence on the hub's page as the token's owner; {access}"
            case errors.RevisionNotFoundError():
                words = f"{what}: the hub has no revision {source.revision}; correct source.revision in the manifest"
            case errors.RepositoryNotFoundError():
                words = f"{what}: the hub has no such repository, or hides it; correct source.repo, or {access}"
            case errors.EntryNotFoundError():
                words = f"{what}: revision {source.revision} has no such file; correct source.file in the manifest"
            case errors.HfHubHTTPError() | httpx2.HTTPStatusError():
                words = _status_words(exc.response.status_code, what, access) + kept
            case httpx2.TimeoutException():
                words = (
                    f"{what}: nothing came for {self._timeout} s, several times over.{kept} If that repeats, raise "
                    "models_timeout, use a mirror (models_hf_endpoint), or put the file into the controller's models/"
                )
            case httpx2.ConnectError() | httpx2.ProxyError():
                words = (
                    f"{what} cannot be reached ({exc}).{kept} The host needs a way to it: check its DNS, clock and "
                    "firewall, use a mirror (models_hf_endpoint), or put the file into the controller's models/"
                )
            case httpx2.TooManyRedirects():
                words = f"{what} redirects without end; use another models_hf_endpoint"
            case OSError() if exc.errno is not None and part is not None:
                words = f"{part.path} cannot be written ({exc.strerror}); look at the volume, then run the play again"
            case httpx2.HTTPError() | OSError():
                got = f"after {size_text(part.done)}" if part is not None else "at once"
                words = (
                    f"{what} ended {got}, again and again, before the file was whole.{kept} If that repeats, the "
                    "source or something on the way cuts it: use a mirror (models_hf_endpoint), or put the file into "
                    "the controller's models/"
                )
            case _:
                return exc
        return StoreError(words)


def _status_words(status: int, what: str, access: str) -> str:
    if status in (401, 403):
        return f"{what} is not for everybody ({status}): {access}."
    if status == 404:
        return f"{what} does not exist (404): correct repo, file and revision of its source in the manifest."
    if status == 429:
        return f"{what}: the hub wants fewer requests (429): wait some minutes, or set models_hf_token."
    return f"{what} answers with status {status}: that is the hub's own trouble; run the play again later."


def credential_token() -> str | None:
    """The token: a systemd credential, or HF_TOKEN of a person's own shell."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (path := Path(folder) / "hf_token").exists():
        return path.read_text(encoding="utf-8").strip() or None
    return os.environ.get("HF_TOKEN") or None
