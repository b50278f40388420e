"""The facts of a model's file, out of its header: what it is, and how much memory it will take.

Decides whether a file can be what it says it is; that llama.cpp gets along with it, only a trial shows
(`inspection`). Works on a buffer that the caller provides, usually a mapping of the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cerebrum_inference.gguf.facts import Facts, Metadata
from cerebrum_inference.gguf.reader import Cursor, Tensor, quoted, read_metadata, read_tensors
from cerebrum_inference.modelfile import ModelFileError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_HEAD = struct.Struct("<4sIQQ")
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT, _MAX_ALIGNMENT = 32, 1 << 16
_F16_BYTES, _F32_BYTES = 2, 4
_I32, _F32, _TEXT = 5, 6, 8  # numbers of metadata types

_MAX_LAYERS = 512  # llama.cpp's own limit
_MAX_EMBEDDING = 1 << 18
_MAX_HEADS = 1 << 12
_MAX_HEAD_LENGTH = 1 << 14
_MAX_FEED_FORWARD = 1 << 22
_MAX_EXPERTS = 1 << 10
_MAX_CONTEXT = 1 << 27
_MAX_UINT32 = (1 << 32) - 1

# Measured: the vocabulary takes 170 bytes a token and about as much again for its merges; a context's own bookkeeping
# and its graph take some MiB.
_TOKEN_BYTES = 400
_FIXED_BYTES = 16 << 20

_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as PyTorch writes them",
    b"ggml": "GGML, which GGUF replaced",
    b"tjgg": "GGJT, which GGUF replaced",
    b"GGML": "GGML, which GGUF replaced",
    b"fmgg": "GGMF, which GGUF replaced",
    b"\x1f\x8b\x08\x00": "a gzip archive",
    b"vers": "a Git LFS pointer; the file itself was not fetched",
    b"<!DO": "a web page",
    b"<htm": "a web page",
}


@dataclass(frozen=True)
class Header:
    """What the header says.

    Attributes:
        feed_forward: the widest layer's, where the file has it; of experts, those that work on one token together.
        heads: the layer's that has most; kv_heads: every layer's.
        repeated_bytes: of `tensor_bytes`, what llama.cpp may hold twice: an embedding that is the output matrix too.
        types: bytes of tensor data by number format.
        sliding_window: how far back attention reaches, where that is limited.
    """

    architecture: str
    layers: int
    embedding: int
    feed_forward: int | None
    heads: int
    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    vocab_size: int
    context_train: int
    tensor_count: int
    tensor_bytes: int
    repeated_bytes: int
    types: dict[str, int]
    has_chat_template: bool
    sliding_window: int | None

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of one cell of the KV cache in f16, over all layers: what full attention takes, or more."""
        return sum(self.kv_heads) * (self.key_length + self.value_length) * _F16_BYTES

    def memory_estimate(self, cells: int, ubatch: int = 512, outputs: int = 64) -> int:
        """Bytes that the model takes in anonymous memory when it is loaded without a mapping. Rather above than below.

        Args:
            cells: tokens that the KV cache holds, over all sequences.
            ubatch: most tokens in one step.
            outputs: most tokens of a step whose logits are asked for: sequences, and drafts that are to be verified.
        """
        outputs = min(outputs, ubatch)
        width = self.feed_forward or 4 * self.embedding
        layer = ubatch * _F32_BYTES * (3 * width + 4 * self.embedding)
        last = outputs * _F32_BYTES * (self.vocab_size + 2 * self.embedding)
        attention = ubatch * cells * _F16_BYTES
        if self.key_length != self.value_length:  # no flash attention: the scores of every head are written out
            attention += ubatch * cells * self.heads * _F32_BYTES
        logits = outputs * self.vocab_size * _F32_BYTES
        weights = self.tensor_bytes + self.repeated_bytes + self.vocab_size * _TOKEN_BYTES
        return weights + cells * self.kv_bytes_per_token + max(layer, last) + attention + logits + _FIXED_BYTES


def read_header(data: ReadableBuffer, size: int) -> Header:
    """Reads and checks a header.

    Args:
        data: the file's beginning, at least as far as its header goes; usually all of it.
        size: of the file.

    Raises:
        ModelFileError: the file is no GGUF, is damaged, or promises what it does not hold.
    """
    cursor = Cursor(data)
    try:
        return _read(cursor, size)
    finally:
        cursor.release()


def _read(cursor: Cursor, size: int) -> Header:
    tensor_count, key_count = _read_head(cursor)
    metadata = read_metadata(cursor, key_count, _wanted)
    tensors = read_tensors(cursor, tensor_count)
    _check_layout(tensors, _alignment(metadata), cursor.at, size)
    return _header(Facts(metadata), tensors)


def _wanted(key: str) -> bool:
    return key in {"general.architecture", "tokenizer.chat_template"} or key.endswith(
        (".attention.head_count", ".attention.head_count_kv", "feed_forward_length", ".expert_used_count")
    )


def _read_head(cursor: Cursor) -> tuple[int, int]:
    """Counts of tensors and metadata keys."""
    magic, version, tensors, keys = _HEAD.unpack(_whole_head(cursor))
    if version not in _VERSIONS:
        if version and not version & 0xFFFF:
            raise ModelFileError("the file is a big-endian GGUF, which this machine's llama.cpp does not read")
        raise ModelFileError(f"the file is GGUF version {version}; known are {', '.join(map(str, _VERSIONS))}")
    assert magic == _MAGIC
    return tensors, keys


def _whole_head(cursor: Cursor) -> bytes:
    magic = bytes(cursor.take(4, "the magic bytes"))
    if magic == b"FUGG":
        raise ModelFileError("the file is a byte-swapped GGUF")
    if magic != _MAGIC:
        rest = bytes(cursor.take(min(12, cursor.left), "the head"))
        kind = "a safetensors file" if rest[4:6] == b'{"' else _FOREIGN.get(magic)
        raise ModelFileError(f"the file is not GGUF: it begins with {quoted(magic)}" + (f" ({kind})" if kind else ""))
    return magic + bytes(cursor.take(_HEAD.size - len(magic), "the head"))


def _header(facts: Facts, tensors: list[Tensor]) -> Header:
    if facts.parts() > 1:
        raise ModelFileError("the file is one part of several; join the parts with llama-gguf-split --merge")
    layers = facts.number("block_count", _MAX_LAYERS)
    embedding = facts.number("embedding_length", _MAX_EMBEDDING)
    heads = facts.per_layer("attention.head_count", layers, _MAX_HEADS)
    kv_heads = facts.per_layer("attention.head_count_kv", layers, _MAX_HEADS, default=heads)
    for layer, (queries, keys) in enumerate(zip(heads, kv_heads, strict=True)):
        if keys and queries % keys:
            raise ModelFileError(f"layer {layer} has {queries} heads, which {keys} key-value heads cannot be shared by")
    # llama.cpp divides by the first layer's heads, and so does the default here.
    head_length = embedding // heads[0] if heads[0] else 0
    sizes = {tensor.name: tensor.size for tensor in tensors}
    types: dict[str, int] = {}
    for tensor in tensors:
        types[tensor.type.name] = types.get(tensor.type.name, 0) + tensor.size
    return Header(
        architecture=facts.architecture,
        layers=layers,
        embedding=embedding,
        feed_forward=_feed_forward(facts, layers),
        heads=max(heads),
        kv_heads=kv_heads,
        key_length=facts.number("attention.key_length", _MAX_HEAD_LENGTH, default=head_length),
        value_length=facts.number("attention.value_length", _MAX_HEAD_LENGTH, default=head_length),
        vocab_size=_vocab_size(facts, tensors, embedding),
        context_train=facts.number("context_length", _MAX_CONTEXT),
        tensor_count=len(tensors),
        tensor_bytes=sum(types.values()),
        repeated_bytes=0 if "output.weight" in sizes else sizes["token_embd.weight"],
        types=types,
        has_chat_template=facts.has("tokenizer.chat_template"),
        sliding_window=facts.number("attention.sliding_window", _MAX_UINT32, default=0, least=0) or None,
    )


def _feed_forward(facts: Facts, layers: int) -> int | None:
    def widest(name: str, most: int, default: int) -> int:
        return max(facts.per_layer(name, layers, most, default=(default,), least=0))

    plain = widest("feed_forward_length", _MAX_FEED_FORWARD, 0)
    expert = widest("expert_feed_forward_length", _MAX_FEED_FORWARD, plain)
    used = widest("expert_used_count", _MAX_EXPERTS, 0)
    return max(plain, used * expert) or None


def _vocab_size(facts: Facts, tensors: list[Tensor], embedding: int) -> int:
    """The number of tokens, which the embedding's shape and the lists beside the tokens must agree with."""
    tokens = facts.array("tokenizer.ggml.tokens", _TEXT)
    if tokens is None or not tokens.count:
        raise ModelFileError("tokenizer.ggml.tokens is missing: the file has no vocabulary")
    for key, kind in (("tokenizer.ggml.token_type", _I32), ("tokenizer.ggml.scores", _F32)):
        beside = facts.array(key, kind)
        if beside is not None and beside.count != tokens.count:
            raise ModelFileError(f"{key} has {beside.count} values for {tokens.count} tokens")
    facts.array("tokenizer.ggml.merges", _TEXT)
    shape = next((tensor.shape for tensor in tensors if tensor.name == "token_embd.weight"), None)
    if shape is None:
        raise ModelFileError("the tensor token_embd.weight is missing")
    if shape != (embedding, tokens.count):
        raise ModelFileError(
            f"token_embd.weight has the shape {shape}; {tokens.count} tokens of width {embedding} are promised"
        )
    return tokens.count


def _alignment(metadata: Metadata) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if type(value) is not int or not 8 <= value <= _MAX_ALIGNMENT or value & (value - 1):
        raise ModelFileError(f"general.alignment must be a power of two from 8 to {_MAX_ALIGNMENT}, not {value}")
    return value


def _check_layout(tensors: list[Tensor], alignment: int, header_end: int, size: int) -> None:
    """Tensors stand one behind the other, each at the alignment, and all inside the file."""
    begin = _padded(header_end, alignment)
    room = size - begin
    expected = 0
    for tensor in tensors:
        name = f"tensor {quoted(tensor.name)}"
        if tensor.offset % alignment:
            raise ModelFileError(f"{name} begins at {tensor.offset}, which is no multiple of {alignment}")
        if tensor.offset + tensor.size > room:
            raise ModelFileError(
                f"{name} ends at byte {begin + tensor.offset + tensor.size} of a file that has {size}: it is cut off"
            )
        if tensor.offset != expected:
            what = "overlaps the one before it" if tensor.offset < expected else "leaves a gap before it"
            raise ModelFileError(f"{name} {what}: it begins at {tensor.offset} instead of {expected}")
        expected = _padded(tensor.offset + tensor.size, alignment)


def _padded(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment
