"""What the header of a model's file says, and every way in which it can lie."""

from __future__ import annotations

import ctypes
import mmap
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as api
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerebrum_inference.gguf import tensor_types
from cerebrum_inference.gguf.header import Header, read_header
from cerebrum_inference.modelfile import ModelFileError
from support.gguf_file import ARRAY, BOOL, F32, I32, TEXT, U8, U16, U32, U64, GgufFile, Tensor, llama_file, text

SHIPPED = (Path(__file__).resolve().parents[3] / "models" / "cerebrum-tiny.gguf").read_bytes()
HEADER_END = 130_271  # where the shipped model's tensor data begins, before padding
GB = 1_000_000_000

# The shapes that were measured with llama.cpp (Q4_0).
SHAPES: dict[str, dict[str, Any]] = {
    "7B": {
        "layers": 32,
        "embedding": 4096,
        "feed_forward": 14336,
        "heads": 32,
        "kv_heads": 8,
        "vocab": 32000,
        "context": 32768,
        "type": 2,
        "tied": False,
    },
    "0.5B": {
        "architecture": "qwen2",
        "layers": 24,
        "embedding": 896,
        "feed_forward": 4864,
        "heads": 14,
        "kv_heads": 2,
        "vocab": 151_936,
        "context": 32768,
        "type": 2,
    },
}


def read(data: bytes) -> Header:
    return read_header(data, len(data))


def shape(name: str) -> Header:
    return read_header(llama_file(**SHAPES[name]).header(), 1 << 40)


def test_facts_of_the_shipped_model() -> None:
    header = read(SHIPPED)
    assert header == Header(
        architecture="llama",
        layers=6,
        embedding=256,
        feed_forward=704,
        heads=8,
        kv_heads=(4,) * 6,
        key_length=32,
        value_length=32,
        vocab_size=4096,
        context_train=512,
        tensor_count=56,
        tensor_bytes=5_827_584,
        repeated_bytes=256 * 4096 // 32 * 34,
        types={"q8_0": 5_814_272, "f32": 13_312},
        has_chat_template=True,
        sliding_window=None,
    )
    assert header.kv_bytes_per_token == 3072


def test_types_are_those_of_the_installed_library() -> None:
    library = api._lib
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_blck_size.restype = ctypes.c_int64
    found = {
        number: tensor_types.TensorType(library.ggml_type_name(number).decode(), block, library.ggml_type_size(number))
        for number in range(43)
        if (block := library.ggml_blck_size(number))
    }
    assert found == tensor_types.TENSOR_TYPES


@pytest.mark.parametrize(
    ("name", "measured"),
    [("7B", 4.71 * GB), ("0.5B", (0.278 + 0.050 + 0.14) * GB)],
)
def test_memory_estimate_is_not_below_what_was_measured(name: str, measured: float) -> None:
    estimate = shape(name).memory_estimate(4096)
    assert measured <= estimate <= measured + 0.12 * GB


@pytest.mark.parametrize(
    ("name", "cells", "ubatch", "outputs", "mib"),
    [  # what llama.cpp says that its compute buffer takes
        ("7B", 4096, 512, 16, 120.01),
        ("7B", 16384, 512, 16, 132.01),
        ("7B", 4096, 64, 1, 15.00),
        ("0.5B", 4096, 512, 512, 300.25),
        ("0.5B", 4096, 512, 16, 39.51),
        ("0.5B", 4096, 64, 1, 4.94),
    ],
)
def test_compute_buffers_are_covered(name: str, cells: int, ubatch: int, outputs: int, mib: float) -> None:
    header = shape(name)
    fixed = header.tensor_bytes + header.repeated_bytes + cells * header.kv_bytes_per_token + header.vocab_size * 400
    logits = min(outputs, ubatch) * header.vocab_size * 4
    step = header.memory_estimate(cells, ubatch, outputs) - fixed - logits - (16 << 20)
    assert mib * 0.99 <= step / (1 << 20) <= mib * 1.1 + 2


def test_memory_without_flash_attention_and_with_more_cells() -> None:
    file = llama_file()
    plain = read(file.build())
    file.metadata["llama.attention.key_length"] = (U32, 32)
    uneven = read(file.build())
    assert uneven.memory_estimate(4096) - plain.memory_estimate(4096) == (
        4096 * (uneven.kv_bytes_per_token - plain.kv_bytes_per_token) + 512 * 4096 * 2 * 4
    )
    assert plain.memory_estimate(8192) - plain.memory_estimate(4096) == 4096 * (plain.kv_bytes_per_token + 512 * 2)


def test_layers_may_differ() -> None:
    file = llama_file(layers=3, heads=4, kv_heads=2)
    file.metadata["llama.attention.head_count_kv"] = (ARRAY, U32, [2, 0, 1])
    file.metadata["llama.attention.head_count"] = (ARRAY, I32, [4, 4, 4])
    file.metadata["llama.feed_forward_length"] = (ARRAY, I32, [64, 0, 96])
    header = read(file.build())
    assert (header.heads, header.kv_heads, header.feed_forward) == (4, (2, 0, 1), 96)
    assert header.kv_bytes_per_token == 3 * 16 * 2


def test_experts_that_work_together_are_counted_together() -> None:
    file = llama_file()
    file.metadata |= {"llama.expert_used_count": (U32, 4), "llama.expert_feed_forward_length": (U32, 48)}
    assert read(file.build()).feed_forward == 192


def test_optional_facts() -> None:
    file = llama_file()
    file.metadata |= {"llama.attention.sliding_window": (U32, 4096), "llama.attention.value_length": (U32, 8)}
    del file.metadata["llama.feed_forward_length"], file.metadata["llama.attention.head_count_kv"]
    header = read(file.build())
    assert (header.sliding_window, header.feed_forward, header.kv_heads) == (4096, None, (2,))
    assert (header.key_length, header.value_length, header.has_chat_template) == (16, 8, False)


def test_alignment_of_the_file_holds() -> None:
    file = llama_file()
    file.alignment = 64
    file.metadata["general.alignment"] = (U32, 64)
    assert read(file.build()).tensor_count == 11


Change = Callable[[GgufFile], object]


def with_key(key: str, *entry: object) -> Change:
    return lambda file: file.metadata.update({key: entry})


def with_raw(key: str, raw: bytes) -> Change:
    return lambda file: file.metadata.update({key: raw})


def without(*keys: str) -> Change:
    return lambda file: [file.metadata.pop(key) for key in keys]


def with_tensor(name: str, *given: Any, **more: Any) -> Change:
    return lambda file: file.tensors.update({name: Tensor(*given, **more)})


def with_attribute(name: str, value: object) -> Change:
    return lambda file: setattr(file, name, value)


def array_of(kind: int, count: int, data: bytes = b"") -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, count) + data


def tensor_of(name: str | bytes, dimensions: int, *lengths: int, kind: int = 0, at: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(lengths)}QIQ", dimensions, *lengths, kind, at)


def more_tensors(raw: bytes, count: int = 12) -> Change:
    def change(file: GgufFile) -> None:
        file.extra_tensors, file.tensor_count = raw, count

    return change


def more_keys(raw: bytes) -> Change:
    def change(file: GgufFile) -> None:
        file.extra_keys, file.key_count = raw, len(file.metadata) + 1

    return change


HOSTILE: dict[str, tuple[Change, str]] = {
    "version 1": (with_attribute("version", 1), "GGUF version 1; known are 2, 3"),
    "version 4": (with_attribute("version", 4), "GGUF version 4"),
    "big-endian": (with_attribute("version", 3 << 24), "big-endian"),
    "no tensors": (with_attribute("tensor_count", 0), "claims 0 tensors"),
    "too many tensors": (with_attribute("tensor_count", 1 << 63), "claims 9223372036854775808 tensors"),
    "more tensors than there are": (with_attribute("tensor_count", 60_000), "tensor 11 has no plain name: ''"),
    "no keys": (with_attribute("key_count", 0), "claims 0 metadata keys"),
    "too many keys": (with_attribute("key_count", (1 << 64) - 1), "claims 18446744073709551615 metadata keys"),
    "more keys than there are": (with_attribute("key_count", 17), "metadata key"),
    "empty key": (with_key("", U32, 1), "no plain name: ''"),
    "binary key": (with_key("a\nb", U32, 1), r"no plain name: 'a\\nb'"),
    "long key": (with_key("k" * 300, U32, 1), "claims 300 bytes; at most 256"),
    "key of the whole address space": (
        more_keys(struct.pack("<Q", (1 << 64) - 1)),
        "claims 18446744073709551615 bytes",
    ),
    "key twice": (
        more_keys(text("llama.block_count") + struct.pack("<II", U32, 9)),
        "'llama.block_count' stands twice",
    ),
    "unknown type of value": (with_raw("x", struct.pack("<I", 13)), "'x' has the unknown type 13"),
    "unknown type of element": (with_raw("x", array_of(99, 1)), "unknown type 99"),
    "array of arrays": (with_raw("x", array_of(ARRAY, 1 << 60)), "array of arrays"),
    "array beyond the file": (with_raw("x", array_of(U64, 1 << 20)), "ends inside metadata key 'x'"),
    "array beyond reason": (with_raw("x", array_of(U8, 1 << 62)), "claims 4611686018427387904 numbers"),
    "texts beyond the file": (with_raw("x", array_of(TEXT, 1_000_000)), "ends inside metadata key 'x'"),
    "texts beyond reason": (with_raw("x", array_of(TEXT, 1 << 61)), "claims 2305843009213693952 texts"),
    "text of an array beyond the file": (
        lambda file: (
            with_attribute("tensors", {})(file),
            more_tensors(b"", 11)(file),
            with_raw("x", array_of(TEXT, 2, struct.pack("<QQ", 0, 60_000)))(file),
        ),
        "cut off at text 1 of 2",
    ),
    "text of an array beyond reason": (
        with_raw("x", array_of(TEXT, 1, struct.pack("<Q", 1 << 63))),
        "text 0 claims 9223372036854775808 bytes",
    ),
    "text beyond reason": (with_raw("x", struct.pack("<IQ", TEXT, 1 << 40)), "at most 1048576"),
    "no architecture": (without("general.architecture"), "general.architecture is missing"),
    "architecture is a number": (with_key("general.architecture", U32, 3), "is no plain name"),
    "architecture is a sentence": (with_key("general.architecture", TEXT, "../../etc"), "is no plain name"),
    "no block_count": (without("llama.block_count"), "llama.block_count is missing"),
    "no context_length": (without("llama.context_length"), "llama.context_length is missing"),
    "no embedding_length": (without("llama.embedding_length"), "llama.embedding_length is missing"),
    "no head_count": (without("llama.attention.head_count"), "head_count is missing"),
    "no vocabulary": (without("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens is missing"),
    "keys of another architecture": (with_key("general.architecture", TEXT, "qwen2"), "qwen2.block_count is missing"),
    "block_count is text": (with_key("llama.block_count", TEXT, "1"), "must be a whole number"),
    "block_count is true": (with_key("llama.block_count", BOOL, True), "must be a whole number"),
    "block_count is not a number": (with_key("llama.block_count", F32, float("nan")), "must be a whole number"),
    "no layers": (with_key("llama.block_count", U32, 0), "is 0; 1 to 512"),
    "very many layers": (with_key("llama.block_count", U32, 513), "is 513; 1 to 512"),
    "negative layers": (with_key("llama.block_count", I32, -1), "is -1; 1 to 512"),
    "no width": (with_key("llama.embedding_length", U32, 0), "embedding_length is 0"),
    "great width": (with_key("llama.embedding_length", U64, 1 << 40), "embedding_length is 1099511627776"),
    "no heads": (with_key("llama.attention.head_count", U32, 0), "head_count is 0"),
    "more heads than width": (
        lambda file: (
            with_key("llama.attention.head_count", U32, 64)(file),
            with_key("llama.attention.head_count_kv", U32, 64)(file),
        ),
        "key_length is 0",
    ),
    "uneven groups": (with_key("llama.attention.head_count_kv", U32, 3), "3 key-value heads cannot be shared"),
    "heads for other layers": (
        with_key("llama.attention.head_count_kv", ARRAY, U32, [1, 1]),
        "has 2 values for 1 layers",
    ),
    "heads for very many layers": (
        with_key("llama.attention.head_count_kv", ARRAY, U8, [1] * 5000),
        "has 5000 values for 1 layers",
    ),
    "heads as texts": (with_key("llama.attention.head_count_kv", ARRAY, TEXT, ["1"]), "has 1 values for 1 layers"),
    "heads as fractions": (with_key("llama.attention.head_count_kv", ARRAY, F32, [1.0]), "must be a whole number"),
    "no layer has heads": (with_key("llama.attention.head_count", ARRAY, U32, [0]), "is 0 in every layer"),
    "no context": (with_key("llama.context_length", U32, 0), "context_length is 0"),
    "endless context": (with_key("llama.context_length", U32, (1 << 32) - 1), "context_length is 4294967295"),
    "window of text": (with_key("llama.attention.sliding_window", TEXT, "x"), "must be a whole number"),
    "part of several": (with_key("split.count", U16, 4), "one part of several"),
    "parts of text": (with_key("split.count", TEXT, "4"), "split.count must be a whole number"),
    "tokens are numbers": (with_key("tokenizer.ggml.tokens", ARRAY, U32, [1]), "tokens must be an array of type 8"),
    "tokens are one text": (with_key("tokenizer.ggml.tokens", TEXT, "abc"), "must be an array"),
    "no tokens": (with_key("tokenizer.ggml.tokens", ARRAY, TEXT, []), "no vocabulary"),
    "fewer tokens than the embedding": (
        lambda file: (
            with_key("tokenizer.ggml.tokens", ARRAY, TEXT, ["a"])(file),
            with_key("tokenizer.ggml.token_type", ARRAY, I32, [1])(file),
        ),
        r"token_embd.weight has the shape \(32, 260\); 1 tokens of width 32",
    ),
    "fewer token types than tokens": (
        with_key("tokenizer.ggml.token_type", ARRAY, I32, [1]),
        "1 values for 260 tokens",
    ),
    "scores of text": (with_key("tokenizer.ggml.scores", ARRAY, TEXT, ["1"]), "scores must be an array of type 6"),
    "merges of numbers": (with_key("tokenizer.ggml.merges", ARRAY, U32, [1]), "merges must be an array of type 8"),
    "no embedding": (lambda file: file.tensors.pop("token_embd.weight"), "token_embd.weight is missing"),
    "alignment of 48": (with_key("general.alignment", U32, 48), "not 48"),
    "alignment of 0": (with_key("general.alignment", U32, 0), "not 0"),
    "alignment of 1": (with_key("general.alignment", U32, 1), "not 1"),
    "alignment of 2 GiB": (with_key("general.alignment", U32, 1 << 31), "not 2147483648"),
    "alignment of text": (with_key("general.alignment", TEXT, "32"), "power of two"),
    "tensor twice": (more_tensors(tensor_of("output_norm.weight", 1, 32)), "'output_norm.weight' stands twice"),
    "tensor without a name": (more_tensors(tensor_of("", 1, 32)), "tensor 11 has no plain name"),
    "tensor with a long name": (more_tensors(tensor_of("n" * 64, 1, 32)), "claims 64 bytes; at most 63"),
    "tensor with a binary name": (more_tensors(tensor_of(b"\xff\x00", 1, 32)), "has no plain name"),
    "tensor without dimensions": (more_tensors(tensor_of("x", 0)), "has 0 dimensions"),
    "tensor of 5 dimensions": (more_tensors(tensor_of("x", 5, 1, 1, 1, 1, 1)), "has 5 dimensions"),
    "tensor of no values": (more_tensors(tensor_of("x", 2, 32, 0)), "impossible shape"),
    "tensor of 2^64": (more_tensors(tensor_of("x", 2, 1 << 32, 1 << 32)), "impossible shape"),
    "tensor whose product wraps": (more_tensors(tensor_of("x", 4, 1 << 32, 1 << 32, 1 << 32, 1)), "impossible shape"),
    "tensor of a negative length": (more_tensors(tensor_of("x", 1, (1 << 64) - 32)), "impossible shape"),
    "tensor of an unknown type": (more_tensors(tensor_of("x", 1, 32, kind=43)), "unknown type 43"),
    "tensor of a withdrawn type": (more_tensors(tensor_of("x", 1, 32, kind=4)), "unknown type 4"),
    "tensor of a negative type": (more_tensors(tensor_of("x", 1, 32, kind=(1 << 32) - 1)), "unknown type 4294967295"),
    "tensor of part of a block": (more_tensors(tensor_of("x", 1, 48, kind=2)), "rows of 48 values; q4_0 needs"),
    "tensor off the alignment": (
        with_tensor("output_norm.weight", (32,), offset=5),
        "begins at 5, which is no multiple",
    ),
    "tensor beyond the file": (with_tensor("output_norm.weight", (32,), offset=1 << 40), "it is cut off"),
    "tensor at the end of addresses": (
        with_tensor("output_norm.weight", (32,), offset=(1 << 64) - 32),
        "it is cut off",
    ),
    "tensor over another": (with_tensor("output_norm.weight", (32,), offset=0), "overlaps the one before it"),
    "tensor after a gap": (with_tensor("token_embd.weight", (32, 260), offset=64), "leaves a gap before it"),
    "embedding of another width": (with_tensor("token_embd.weight", (64, 260)), r"the shape \(64, 260\)"),
    "embedding of one dimension": (with_tensor("token_embd.weight", (32 * 260,)), r"the shape \(8320,\)"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_is_refused_by_what_is_wrong(case: str) -> None:
    change, message = HOSTILE[case]
    file = llama_file()
    read(file.build())
    change(file)
    with pytest.raises(ModelFileError, match=message):
        read(file.build())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file ends inside the magic bytes"),
        (b"GGU", "the file ends inside the magic bytes"),
        (b"GGUF\x03\x00\x00", "the file ends inside the head"),
        (b"What a model\nthis is\n", "not GGUF: it begins with 'What'"),
        (struct.pack("<Q", 60) + b'{"a": {"dtype": "F32"}}', "a safetensors file"),
        (b"PK\x03\x04" + bytes(30), "a zip archive"),
        (b"GGML" + bytes(20), "GGML, which GGUF replaced"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"FUGG" + bytes(20), "byte-swapped"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 1, 1), "big-endian"),
    ],
)
def test_other_files_are_named(data: bytes, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        read(data)


def test_file_that_ends_between_two_texts() -> None:
    file = GgufFile({"x": array_of(TEXT, 2, struct.pack("<Q", 8) + bytes(8))}, tensor_count=1)
    with pytest.raises(ModelFileError, match="cut off at text 1 of 2"):
        read(file.header())


def test_data_section_must_be_whole() -> None:
    with pytest.raises(
        ModelFileError, match=r"'blk.5.ffn_down.weight' ends at byte 5957\d+ of a file that has 5900000"
    ):
        read(SHIPPED[:5_900_000])
    assert read(llama_file().build()[:-1] + b"\0") is not None
    with pytest.raises(ModelFileError, match="it is cut off"):
        read(llama_file().build()[:-1])


def test_padding_after_the_last_tensor_may_be_missing() -> None:
    file = llama_file()
    file.tensors["last"] = Tensor((5,))
    whole = file.build()
    assert read(whole[: len(whole) - 12]).tensor_count == 12
    with pytest.raises(ModelFileError, match="it is cut off"):
        read(whole[: len(whole) - 13])


def test_the_beginning_of_a_file_is_enough() -> None:
    assert read_header(SHIPPED[:HEADER_END], len(SHIPPED)) == read(SHIPPED)


@pytest.mark.parametrize("length", [*range(4, 1500, 37), *range(1500, HEADER_END, 1499), HEADER_END - 1])
def test_truncated_anywhere(length: int) -> None:
    with pytest.raises(ModelFileError, match=r"the file ends inside|is cut off at text"):
        read(SHIPPED[:length])


@given(st.binary(max_size=200), st.booleans())
def test_junk_is_refused(junk: bytes, begun: bool) -> None:
    data = struct.pack("<4sIQQ", b"GGUF", 3, 3, 5) + junk if begun else junk
    with pytest.raises(ModelFileError):
        read(data)


EXTREMES = st.sampled_from([0, 1, 8, 9, 255, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 62, 1 << 63, (1 << 64) - 1])
SMALL = llama_file().build()


def taken_or_refused(data: bytes) -> None:
    reason = ""
    try:
        header = read(data)
    except ModelFileError as exc:
        reason = str(exc)
    else:
        assert header.memory_estimate(4096) > header.tensor_bytes
    assert len(reason) < 500
    assert reason.isprintable()


@settings(max_examples=400, deadline=1000)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 8), EXTREMES, st.sampled_from("BIQ")), min_size=1, max_size=4))
def test_numbers_at_random_places(writes: list[tuple[int, int, str]]) -> None:
    data = bytearray(SMALL)
    for at, number, width in writes:
        size = struct.calcsize(width)
        data[at : at + size] = struct.pack("<" + width, number & ((1 << 8 * size) - 1))
    taken_or_refused(bytes(data))


@settings(max_examples=200, deadline=2000)
@given(
    st.lists(st.tuples(st.one_of(st.integers(0, 900), st.integers(0, HEADER_END)), st.binary(max_size=9)), max_size=5),
    st.one_of(st.just(0), st.integers(0, HEADER_END)),
)
def test_shipped_model_damaged_at_random(writes: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(SHIPPED[: HEADER_END + 64])
    for at, junk in writes:
        data[at : at + len(junk)] = junk
    taken_or_refused(bytes(data[: len(data) - cut]))


def test_large_vocabulary_is_read_fast() -> None:
    data = llama_file(**SHAPES["0.5B"])
    data.metadata["tokenizer.ggml.merges"] = (ARRAY, TEXT, ["ab cd"] * 151_000)
    header = data.header()
    best = 9.0
    for _ in range(3):
        started = time.process_time()
        assert read_header(header, 1 << 40).vocab_size == 151_936
        best = min(best, time.process_time() - started)
    assert best < 0.3


@pytest.mark.parametrize(
    "raw",
    [
        array_of(TEXT, 1_990_000, bytes(8 * 1_990_000)),
        array_of(U8, 1 << 24, bytes(1 << 24)),
        struct.pack("<IQ", TEXT, 1 << 20) + bytes(1 << 20),
    ],
    ids=["texts", "numbers", "text"],
)
def test_what_nobody_wants_takes_neither_memory_nor_long(raw: bytes) -> None:
    file = llama_file()
    file.metadata["x"] = raw
    data = file.build()
    started = time.process_time()
    read(data)
    assert time.process_time() - started < 2
    tracemalloc.start()
    try:
        read(data)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()


def test_mapping_can_be_closed_after_a_refusal(tmp_path: Path) -> None:
    file = llama_file()
    file.metadata["llama.attention.head_count_kv"] = (ARRAY, F32, [1.0])
    path = file.write(tmp_path / "m.gguf")
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as data:
        with pytest.raises(ModelFileError) as caught:
            read_header(data, len(data))
        data.close()
    assert "whole number" in str(caught.value)
