"""Writes GGUF files for tests: good ones, and any kind of bad one."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}
# number -> (values a block, bytes a block); those that the tests write
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 9: (32, 36), 15: (256, 292), 24: (1, 1), 28: (1, 8)}


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def value(kind: int, given: object) -> bytes:
    if kind == TEXT:
        assert isinstance(given, str | bytes)
        return text(given)
    return struct.pack("<" + _FORMATS[kind], given)


@dataclass
class Tensor:
    """Its data is zeros, unless `data` is given; `offset` and `claimed` lie about where it is and what it is."""

    shape: tuple[int, ...]
    type: int = 0
    data: bytes | None = None
    offset: int | None = None

    @property
    def size(self) -> int:
        block, size = BLOCKS.get(self.type, (1, 1))
        elements = 1
        for one in self.shape:
            elements *= one
        return elements // block * size


@dataclass
class GgufFile:
    """`metadata` maps a key to (type, value), or to (ARRAY, element type, values), or to raw bytes after the key."""

    metadata: dict[str, tuple[object, ...] | bytes] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    alignment: int = 32
    version: int = 3
    magic: bytes = b"GGUF"
    tensor_count: int | None = None
    key_count: int | None = None
    extra_keys: bytes = b""
    extra_tensors: bytes = b""

    def header(self) -> bytes:
        keys = len(self.metadata) if self.key_count is None else self.key_count
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        out = [self.magic, struct.pack("<IQQ", self.version, tensors, keys)]
        for key, entry in self.metadata.items():
            out.append(text(key))
            if isinstance(entry, bytes):
                out.append(entry)
            elif entry[0] == ARRAY:
                _, kind, items = entry
                assert isinstance(kind, int)
                assert isinstance(items, list | tuple | range)
                out.append(struct.pack("<IIQ", ARRAY, kind, len(items)))
                out += [value(kind, one) for one in items]
            else:
                kind, given = entry
                assert isinstance(kind, int)
                out += [struct.pack("<I", kind), value(kind, given)]
        out.append(self.extra_keys)
        at = 0
        for name, tensor in self.tensors.items():
            out.append(text(name))
            out.append(struct.pack("<I", len(tensor.shape)) + b"".join(struct.pack("<Q", one) for one in tensor.shape))
            out.append(struct.pack("<IQ", tensor.type, at if tensor.offset is None else tensor.offset))
            at = self._padded(at + tensor.size)
        return b"".join([*out, self.extra_tensors])

    def _padded(self, at: int) -> int:
        return -(-at // self.alignment) * self.alignment

    def write(self, path: Path) -> Path:
        """Tensors without data become a hole in the file, which takes no room on disk."""
        header = self.header()
        with path.open("wb") as file:
            file.write(header)
            at = self._padded(len(header))
            for tensor in self.tensors.values():
                file.seek(at)
                file.write(tensor.data or b"")
                at = self._padded(at + tensor.size)
            file.truncate(at)
        return path

    def build(self) -> bytes:
        out = bytearray(self.header())
        for tensor in self.tensors.values():
            out += bytes(self._padded(len(out)) - len(out))
            out += tensor.data or bytes(tensor.size)
        return bytes(out) + bytes(self._padded(len(out)) - len(out))


def byte_symbols() -> list[str]:
    """The 256 characters that stand for bytes in a byte-level vocabulary."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(one) for one in plain] + [chr(0x100 + number) for number in range(256 - len(plain))]


def llama_file(
    *,
    architecture: str = "llama",
    layers: int = 1,
    embedding: int = 32,
    feed_forward: int = 64,
    heads: int = 2,
    kv_heads: int = 1,
    vocab: int = 260,
    context: int = 128,
    type: int = 0,  # noqa: A002
    tied: bool = True,
) -> GgufFile:
    """A whole model that llama.cpp loads; its weights are zeros."""
    own = {
        "context_length": (U32, context),
        "embedding_length": (U32, embedding),
        "block_count": (U32, layers),
        "feed_forward_length": (U32, feed_forward),
        "attention.head_count": (U32, heads),
        "attention.head_count_kv": (U32, kv_heads),
        "attention.layer_norm_rms_epsilon": (F32, 1e-5),
    }
    tokens = [*byte_symbols(), *(f"<{number}>" for number in range(256, vocab))]
    file = GgufFile(
        {
            "general.architecture": (TEXT, architecture),
            **{f"{architecture}.{key}": entry for key, entry in own.items()},
            "tokenizer.ggml.model": (TEXT, "gpt2"),
            "tokenizer.ggml.pre": (TEXT, "qwen2"),
            "tokenizer.ggml.tokens": (ARRAY, TEXT, tokens[:vocab]),
            "tokenizer.ggml.token_type": (ARRAY, I32, [1] * min(vocab, 256) + [3] * max(0, vocab - 256)),
            "tokenizer.ggml.merges": (ARRAY, TEXT, ["a b"]),
            "tokenizer.ggml.bos_token_id": (U32, vocab - 1),
            "tokenizer.ggml.eos_token_id": (U32, vocab - 1),
        }
    )
    head = embedding // heads
    file.tensors["token_embd.weight"] = Tensor((embedding, vocab), type)
    file.tensors["output_norm.weight"] = Tensor((embedding,))
    if not tied:
        file.tensors["output.weight"] = Tensor((embedding, vocab), type)
    for layer in range(layers):
        shapes: dict[str, tuple[int, ...]] = {
            "attn_norm": (embedding,),
            "ffn_norm": (embedding,),
            "attn_q": (embedding, embedding),
            "attn_k": (embedding, head * kv_heads),
            "attn_v": (embedding, head * kv_heads),
            "attn_output": (embedding, embedding),
            "ffn_gate": (embedding, feed_forward),
            "ffn_up": (embedding, feed_forward),
            "ffn_down": (feed_forward, embedding),
        }
        for name, shape in shapes.items():
            file.tensors[f"blk.{layer}.{name}.weight"] = Tensor(shape, type if len(shape) > 1 else 0)
        if architecture == "qwen2":
            for name, shape in (
                ("attn_q", (embedding,)),
                ("attn_k", (head * kv_heads,)),
                ("attn_v", (head * kv_heads,)),
            ):
                file.tensors[f"blk.{layer}.{name}.bias"] = Tensor(shape)
    return file
