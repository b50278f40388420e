"""What the store decides without touching anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cerebrum_inference.manifest import ModelRow, Source
from cerebrum_inference.store.errors import NoRoom, StoreError
from cerebrum_inference.store.plan import Wanted, check_room, local_path, usable_part, wanted
from cerebrum_inference.store.progress import Meter, size_text, time_text
from cerebrum_inference.store.references import Listed, manifest_of, unlisted

HASHES = [f"{number:064x}" for number in range(8)]
HUB = {"repo": "Qwen/Some-GGUF", "file": "some.gguf", "revision": "main"}


def one_row(name: str = "m", size: int = 1000, sha256: str | None = HASHES[1]) -> ModelRow:
    return ModelRow(
        id=name,
        name=name,
        file="m.gguf",
        sha256=sha256,
        size_bytes=size,
        ram_bytes=1,
        kv_bytes_per_token=1,
        context=1,
        licence="none",
    )


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"repo": "a/b", "file": "c"},
        {"url": "file:///a", **HUB},
        {"url": "https://example.org/a.gguf"},
        {"url": "file://host/a.gguf"},
        {**HUB, "repo": "../../etc"},
        {**HUB, "repo": "a/b/c"},
        {**HUB, "revision": ""},
    ],
)
def test_sources_that_name_no_pinned_file_are_refused(source: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(source)


def test_source_is_a_hub_or_a_file_of_the_host() -> None:
    assert Source.model_validate(HUB).revision == "main"
    assert local_path(str(Source.model_validate({"url": "file:///srv/a%20b.gguf"}).url)) == "/srv/a b.gguf"


def test_unknown_ids_and_rows_without_a_hash_are_refused() -> None:
    with pytest.raises(StoreError, match=r"no model x; it has m"):
        wanted([one_row()], ["x"])
    with pytest.raises(StoreError, match="m has no sha256"):
        wanted([one_row(sha256=None)], ["m"])


@given(size=st.integers(1, 1 << 45), there=st.integers(0, 1 << 46), free=st.integers(0, 1 << 46))
def test_room_counts_what_is_there_and_leaves_some(size: int, there: int, free: int) -> None:
    there = usable_part(size, there)
    assert 0 <= there <= size
    one = Wanted(one_row(size=size), HASHES[1])
    needed = size - there
    enough = not needed or free >= int(needed * 1.05) + 100_000_000
    try:
        check_room([(one, there)], free, "/store")
    except NoRoom as exc:
        assert not enough
        assert "/store has" in str(exc)  # noqa: PT017 (either outcome is right, for its numbers)
    else:
        assert enough
        assert not needed or free > needed


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (8.3e6, "8.3 MB"), (4683073536, "4.7 GB")]
)
def test_sizes(count: float, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (60, "1 min"), (401, "7 min"), (4300, "1 h 12 min")]
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_line_of_a_download() -> None:
    meter = Meter("qwen_7b", 4_683_073_536, 1_117_000_000, 0.0)
    for second in range(1, 11):
        meter.at(1_117_000_000 + second * 8_300_000, float(second))
    assert meter.line(10.0) == "qwen_7b 1.2 of 4.7 GB, 8.3 MB/s, 7 min left"
    assert meter.line(22.0) == "qwen_7b 1.2 of 4.7 GB, nothing came for 12 s"
    meter.at(4_683_073_536, 23.0)
    assert meter.line(23.0) == "qwen_7b 4.7 of 4.7 GB"


def test_line_of_one_that_began_anew() -> None:
    meter = Meter("m", 10_000_000, 5_000_000, 0.0)
    meter.at(0, 1.0)
    meter.at(1_000_000, 2.0)
    assert meter.line(2.0) == "m 1.0 of 10.0 MB, 1.0 MB/s, 9 s left"


@given(st.lists(st.tuples(st.floats(0.001, 100), st.integers(-1000, 10**9)), max_size=50), st.integers(1, 10**10))
def test_any_download_has_a_line(steps: list[tuple[float, int]], total: int) -> None:
    meter, now, done = Meter("m", total, 0, 0.0), 0.0, 0
    for wait, count in steps:
        now, done = now + wait, min(total, max(0, done + count))
        meter.at(done, now)
        assert meter.line(now).startswith("m ")
        assert meter.rate(now) >= 0


def name(number: int) -> str:
    return f"{HASHES[number]}.gguf"


MANIFESTS = [f"manifest-{number:08x}.yml" for number in range(4)]


def test_manifest_of_an_instance_is_in_its_settings() -> None:
    settings = "CEREBRUM_INFERENCE_SLOTS='2'\nCEREBRUM_INFERENCE_MANIFEST='/store/manifest-00000001.yml'\n"
    assert manifest_of(settings) == "/store/manifest-00000001.yml"
    assert manifest_of("# CEREBRUM_INFERENCE_MANIFEST='x'\n") is None


def test_what_an_instance_was_started_with_is_needed_and_the_rest_is_not() -> None:
    manifests = {MANIFESTS[0]: Listed({name(0): "a"}), MANIFESTS[1]: Listed({name(0): "a", name(1): "b"})}
    manifests[MANIFESTS[2]] = Listed({name(2): "c"})
    present = {**{name(number): 1 for number in range(4)}, **dict.fromkeys(manifests, 1), "notes.txt": 1}
    found = unlisted(present, manifests, {"old": MANIFESTS[1]}, [name(0), MANIFESTS[0]])
    assert {(one.label, one.needed_by) for one in found} == {
        ("b", ("old",)),
        ("c", ()),
        (HASHES[3][:12], ()),
        (MANIFESTS[1], ("old",)),
        (MANIFESTS[2], ()),
    }


def test_unreadable_manifest_of_an_instance_stops_everything() -> None:
    with pytest.raises(StoreError, match="instance old was started with it; nothing is removed"):
        unlisted({}, {MANIFESTS[1]: Listed(None)}, {"old": MANIFESTS[1]}, [])


@given(
    st.dictionaries(st.sampled_from(MANIFESTS), st.sets(st.integers(0, 7)), min_size=1),
    st.dictionaries(st.text("ab", min_size=1, max_size=3), st.sampled_from(MANIFESTS)),
    st.sets(st.integers(0, 7)),
)
def test_nothing_that_somebody_needs_is_ever_free(
    lists: dict[str, set[int]], instances: dict[str, str], present: set[int]
) -> None:
    manifests = {key: Listed({name(number): f"m{number}" for number in files}) for key, files in lists.items()}
    current = min(lists)
    wanted_now = {name(number) for number in lists[current]} | {current}
    found = unlisted(dict.fromkeys([*map(name, present), *lists], 1), manifests, instances, list(wanted_now))
    free = {one.name for one in found if not one.needed_by}
    needed = wanted_now | {
        one for key in instances.values() if key in manifests for one in (*(manifests[key].files or {}), key)
    }
    assert not free & needed
    assert free == ({*map(name, present)} | set(lists)) - needed
