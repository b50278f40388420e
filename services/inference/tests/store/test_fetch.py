"""Fetching from a hub that does what hubs, mirrors and networks do; the client is the real huggingface_hub."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cerebrum_inference.manifest import Manifest
from cerebrum_inference.store.errors import NoRoom, StoreError
from cerebrum_inference.store.fetch import fetch_all
from cerebrum_inference.store.files import Store
from cerebrum_inference.store.hub import Hub
from cerebrum_inference.store.plan import Wanted, wanted
from cerebrum_inference.store.report import Report
from support.fake_hub import Behaviour, FakeHub
from support.gguf_file import llama_file
from support.waiting import eventually

REVISION = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "secret"
CUT = 1 << 20


@pytest.fixture
def files(tmp_path: Path, shipped_model: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    shutil.copy(shipped_model, folder / "tiny.gguf")
    llama_file().write(folder / "small.gguf")
    (folder / "page.gguf").write_bytes(b"<!DOCTYPE html>" + bytes(5000))
    return folder


@pytest.fixture
def hub(files: Path) -> Iterator[FakeHub]:
    made = FakeHub(files)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    made.make()
    return made


def row(path: Path, **source: str) -> dict[str, object]:
    data = path.read_bytes()
    return {
        "id": path.stem,
        "name": path.stem,
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "ram_bytes": 1,
        "kv_bytes_per_token": 1,
        "context": 1,
        "licence": "none",
        "source": source or {"repo": "owner/repo", "file": path.name, "revision": REVISION},
    }


def rows(files: Path, *names: str) -> list[Wanted]:
    manifest = Manifest.model_validate({"models": [row(files / f"{name}.gguf") for name in names]})
    return wanted(manifest.models, names)


def fetch(store: Store, chosen: list[Wanted], hub: FakeHub, *, token: str | None = None, timeout: int = 2) -> list[str]:
    return fetch_all(store, chosen, lambda: Hub(hub.url, token, timeout), Report(None))


def refused(store: Store, chosen: list[Wanted], hub: FakeHub, *, token: str | None = None, timeout: int = 2) -> str:
    """The words of a fetch that must fail, and must not leave anything under a final name."""
    with pytest.raises(StoreError) as caught:
        fetch(store, chosen, hub, token=token, timeout=timeout)
    assert not list(store.folder.glob("*.gguf"))
    return str(caught.value)


def test_file_comes_whole_and_under_its_hash(store: Store, files: Path, hub: FakeHub) -> None:
    chosen = rows(files, "tiny", "small")
    assert fetch(store, chosen, hub) == ["tiny", "small"]
    for one in chosen:
        assert (store.folder / one.name).read_bytes() == (files / one.row.file).read_bytes()
        assert (store.folder / one.name).stat().st_mode & 0o777 == 0o644
    assert not list(store.incoming.iterdir())
    assert hub.requests[0]["path"] == f"/owner/repo/resolve/{REVISION}/tiny.gguf"
    hub.requests.clear()
    assert fetch(store, chosen, hub) == []
    assert not hub.requests


def test_token_reaches_the_hub_and_not_where_it_sends_us(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(token=TOKEN)
    message = refused(store, rows(files, "small"), hub)
    assert "set models_hf_token" in message
    fetch(store, rows(files, "small"), hub, token=TOKEN)
    assert {one["authorization"] for one in hub.requests if one["host"] == "hub"} == {None, f"Bearer {TOKEN}"}
    assert {one["authorization"] for one in hub.requests if one["host"] == "cdn"} == {None}


def test_tokens_of_the_environment_are_not_taken(store: Store, files: Path, hub: FakeHub, tmp_path: Path) -> None:
    """huggingface_hub would look for one in a home directory too."""
    fetch(store, rows(files, "small"), hub, token=None)
    assert {one["authorization"] for one in hub.requests} == {None}


def test_connection_that_breaks_is_taken_up_where_it_broke(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(cut_after=3 * CUT)
    fetch(store, rows(files, "tiny"), hub)
    assert [one["range"] for one in hub.fetches()] == [None, f"bytes={3 * CUT}-"]


def test_connection_that_breaks_for_good_keeps_what_came(store: Store, files: Path, hub: FakeHub) -> None:
    (one,) = rows(files, "tiny")
    (store.incoming / one.part).write_bytes((files / "tiny.gguf").read_bytes()[:CUT])
    hub.behaviour = Behaviour(cut_after=0)
    message = refused(store, [one], hub)
    assert "ended after 1.0 MB, again and again" in message
    assert "1.0 MB are kept: run the play again" in message
    assert store.part_size(one.part) == CUT
    hub.behaviour, hub.requests = Behaviour(), []
    fetch(store, [one], hub)
    assert [one["range"] for one in hub.fetches()] == [f"bytes={CUT}-"]


def test_silence_is_given_up(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(stall_at=CUT)
    message = refused(store, rows(files, "tiny"), hub, timeout=1)
    assert "nothing came for 1 s, several times over. 1.0 MB are kept: run the play again" in message
    assert "models_timeout" in message


def test_another_file_is_refused_before_it_is_fetched(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(etag="a" * 64)
    message = refused(store, rows(files, "tiny"), hub)
    assert f"owner/repo/tiny.gguf has sha256 {'a' * 64}; the manifest says fe62" in message
    assert "Nothing was fetched" in message
    assert not hub.fetches()


def test_bytes_that_are_others_are_found_and_removed(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(corrupt=True)
    message = refused(store, rows(files, "tiny"), hub)
    for words in ("owner/repo/tiny.gguf has sha256", "the manifest says fe62", "is removed", "models_hf_endpoint"):
        assert words in message
    assert not list(store.incoming.iterdir())


def test_partial_file_of_something_else_is_found_by_the_hash(store: Store, files: Path, hub: FakeHub) -> None:
    (one,) = rows(files, "tiny")
    (store.incoming / one.part).write_bytes(bytes(CUT))
    assert "has sha256" in refused(store, [one], hub)
    fetch(store, [one], hub)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_to_other_schemes_are_refused(store: Store, files: Path, hub: FakeHub, target: str) -> None:
    hub.behaviour = Behaviour(redirect=target)
    message = refused(store, rows(files, "tiny"), hub)
    assert f"redirects to {target.partition(':')[0]}://, which is refused" in message
    assert not list(store.incoming.glob("*")) or not store.part_size(next(store.incoming.iterdir()).name)


def test_wrong_length_is_refused_before_it_is_fetched(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(length=1000)
    message = refused(store, rows(files, "tiny"), hub)
    assert "has 1000 bytes; the manifest says 5957856" in message
    assert not hub.fetches()


def test_file_without_end_does_not_fill_the_volume(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(surplus=1 << 20)
    message = refused(store, rows(files, "tiny"), hub)
    assert "more came than size_bytes says" in message
    assert not list(store.incoming.iterdir())


def test_mirror_without_ranges_begins_anew(store: Store, files: Path, hub: FakeHub) -> None:
    (one,) = rows(files, "tiny")
    (store.incoming / one.part).write_bytes(bytes(CUT))
    hub.behaviour = Behaviour(ranges=False)
    fetch(store, [one], hub)


def test_another_revision_is_refused(store: Store, files: Path, hub: FakeHub) -> None:
    hub.behaviour = Behaviour(commit="f" * 40)
    assert f"revision {'f' * 40} where {REVISION} was asked for" in refused(store, rows(files, "tiny"), hub)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "RepoNotFound", "correct source.repo"),
        (403, "GatedRepo", "accept its licence"),
        (404, "EntryNotFound", "has no such file"),
        (404, "RevisionNotFound", f"has no revision {REVISION}"),
        (500, "", "answers with status 500"),
        (403, "", "not for everybody"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(
    store: Store, files: Path, hub: FakeHub, status: int, code: str, words: str
) -> None:
    hub.behaviour = Behaviour(status=status, error_code=code)
    assert words in refused(store, rows(files, "tiny"), hub)


def test_hub_that_is_not_there(store: Store, files: Path, hub: FakeHub) -> None:
    hub.close()
    message = refused(store, rows(files, "tiny"), hub)
    assert f"owner/repo/tiny.gguf at {hub.url} cannot be reached" in message
    assert "controller's models/" in message


def test_what_is_no_model_is_refused_though_its_hash_is_right(store: Store, files: Path, hub: FakeHub) -> None:
    message = refused(store, rows(files, "page"), hub)
    assert "no usable GGUF" in message
    assert "a web page" in message
    assert not list(store.incoming.iterdir())


def test_one_that_fails_does_not_keep_others_back(store: Store, files: Path, hub: FakeHub) -> None:
    with pytest.raises(StoreError, match=r"^page: "):
        fetch(store, rows(files, "page", "small"), hub)
    assert len(list(store.folder.glob("*.gguf"))) == 1


def test_file_of_the_host_itself(store: Store, files: Path, tmp_path: Path) -> None:
    path = files / "small.gguf"
    manifest = Manifest.model_validate({"models": [row(path, url=f"file://{path}")]})
    (one,) = wanted(manifest.models, ["small"])
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be read"):
        fetch_all(store, [one], no_hub, Report(None))
    (tmp_path / "elsewhere").rename(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError, match=r"bytes; the manifest says \d+\. Copy the file again"):
        fetch_all(store, [one], no_hub, Report(None))
    llama_file().write(path)
    assert fetch_all(store, [one], no_hub, Report(None)) == ["small"]


def no_hub() -> Hub:
    raise AssertionError("a file of the host needs no hub")


def test_two_at_a_time_are_one_too_many(store: Store, files: Path, hub: FakeHub) -> None:
    with store.locked(), pytest.raises(StoreError, match="another cerebrum-models works on"):
        fetch(store, rows(files, "tiny"), hub)


def command(files: Path, store: Store, tmp_path: Path, name: str = "tiny") -> list[str]:
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(yaml.safe_dump({"models": [row(files / f"{name}.gguf")]}), encoding="utf-8")
    fetching = [sys.executable, "-m", "cerebrum_inference.store.cli", "fetch", str(manifest), name]
    return [*fetching, "--store", str(store.folder), "--progress", str(tmp_path / "progress.json")]


def environment(hub: FakeHub) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}


def test_killed_in_the_middle_it_goes_on_there(store: Store, files: Path, hub: FakeHub, tmp_path: Path) -> None:
    (one,) = rows(files, "tiny")
    hub.behaviour = Behaviour(rate=4 * CUT)
    with subprocess.Popen(command(files, store, tmp_path), env=environment(hub), stdout=subprocess.DEVNULL) as process:
        eventually(lambda: store.part_size(one.part) >= CUT, "a part of the file")
        process.send_signal(signal.SIGKILL)
    there = store.part_size(one.part)
    assert CUT <= there < one.row.size_bytes
    assert not list(store.folder.glob("*.gguf"))
    hub.behaviour, hub.requests = Behaviour(), []
    done = subprocess.run(
        command(files, store, tmp_path), env=environment(hub), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [one["range"] for one in hub.fetches()] == [f"bytes={there}-"]
    assert "it goes on where it was" in done.stdout
    assert (store.folder / one.name).read_bytes() == (files / "tiny.gguf").read_bytes()
    assert hub.requests[0]["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in done.stdout + done.stderr + (tmp_path / "progress.json").read_text(encoding="utf-8")


def test_volume_that_fills_up_keeps_what_came(store: Store, files: Path, hub: FakeHub, tmp_path: Path) -> None:
    """As a limit on the file's size, which a volume that is full looks like; molecule/models has a volume."""
    (one,) = rows(files, "tiny")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        subprocess.run(
            command(files, store, tmp_path),
            env=environment(hub),
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2 * CUT, 2 * CUT)),
        )
    assert caught.value.returncode == 1
    assert "is full (File too large)" in caught.value.stderr
    assert "make room, then run the play again" in caught.value.stderr
    assert store.part_size(one.part) == 2 * CUT
    assert not list(store.folder.glob("*.gguf"))
    assert fetch(store, [one], hub) == ["tiny"]


def test_room_is_looked_at_before_anything_is_asked_for(store: Store, files: Path, hub: FakeHub) -> None:
    data = {**row(files / "tiny.gguf"), "size_bytes": 1 << 50}
    chosen = wanted(Manifest.model_validate({"models": [data]}).models, ["tiny"])
    with pytest.raises(NoRoom, match=rf"{store.folder} has .* free and needs .* are missing"):
        fetch(store, chosen, hub)
    assert not hub.requests
