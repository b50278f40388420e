"""Writes models with the shapes of real ones and random weights: speed and memory as theirs, no download, no licence.

usage: python benchmarks/synthetic.py q05|q05-echo|q7b     with the venv of scripts/bench_venv.sh; prints the path

What a step costs does not depend on the weights' values, only on shape and type, so servers can be compared with these.
Their text is noise. Tokens that end an answer, and bytes that are no plain text, have weights of zero: their logits lie
in the middle of a hundred thousand others, so no sampler that takes the best 40 meets one, and every answer is as long
as it was asked to be.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Tensor = tuple[str, "npt.NDArray[np.float32] | Bytes"]

FORMAT = 1  # part of the file's name: a changed generator writes a new file
BLOCK, BLOCK_BYTES = 32, 18
SPREAD = 4.61  # standard deviation of a nibble
OUTPUT_SCALE = 0.1
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Two spaces and four are one token, as with any model of code. Letters are one token each, which makes prompts of an
# exact number of tokens easy to write.
MERGES = ("Ġ Ġ", "ĠĠ ĠĠ")
PLAIN = frozenset(string.printable.encode())


@dataclass(frozen=True)
class Shape:
    """`echo`: after token t comes token t + 1, so that an answer repeats a prompt that counts upwards."""

    arch: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int
    rope_base: float
    tied: bool
    biases: bool
    echo: bool = False

    @property
    def kv_width(self) -> int:
        return self.width // self.heads * self.kv_heads


SHAPES = {
    "q05": Shape("qwen2", 24, 896, 4864, 14, 2, 151_936, 1e6, tied=True, biases=True),
    "q05-echo": Shape("qwen2", 24, 896, 4864, 14, 2, 151_936, 1e6, tied=False, biases=True, echo=True),
    "q7b": Shape("llama", 32, 4096, 14_336, 32, 8, 32_000, 1e4, tied=False, biases=False),
}


def byte_symbols() -> list[str]:
    """How byte-level vocabularies write each of the 256 bytes."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = itertools.count(256)
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]


def vocabulary(size: int) -> list[str]:
    """The bytes, the merged tokens, words that decode to plain ASCII, and the specials at the end."""
    tokens = [*byte_symbols(), *(merge.replace(" ", "") for merge in MERGES)]
    words = (
        "Ġ" + "".join(letters)
        for length in itertools.count(3)
        for letters in itertools.product(string.ascii_lowercase, repeat=length)
    )
    tokens += itertools.islice(words, size - len(tokens) - len(SPECIALS))
    return [*tokens, *SPECIALS]


def first_word() -> int:
    return 256 + len(MERGES)


class Weights:
    def __init__(self, shape: Shape, seed: int = 7) -> None:
        self._shape = shape
        self._random = np.random.default_rng(seed)

    def matrix(self, rows: int, columns: int, std: float) -> Bytes:
        """A random Q4_0 matrix, as rows of bytes."""
        blocks = rows * columns // BLOCK
        data = np.frombuffer(self._random.bytes(blocks * BLOCK_BYTES), np.uint8).reshape(blocks, BLOCK_BYTES).copy()
        # A nibble means -8..7, which leans to one side; random signs take that out.
        scale = np.full(blocks, std / SPREAD, np.float16)
        scale[data[:, 0] & 1 == 1] *= -1
        data[:, :2] = scale.view(np.uint8).reshape(blocks, 2)
        return data.reshape(rows, columns // BLOCK * BLOCK_BYTES)

    def embedding(self, std: float) -> Bytes:
        """A row for each token; those that must not be generated are zero."""
        shape = self._shape
        matrix = self.matrix(shape.vocabulary, shape.width, std)
        silent = [byte for byte in range(256) if byte not in PLAIN]
        silent += range(shape.vocabulary - len(SPECIALS), shape.vocabulary)
        matrix.reshape(shape.vocabulary, -1, BLOCK_BYTES)[silent, :, :2] = 0
        return matrix

    def vector(self, size: int, std: float) -> npt.NDArray[np.float32]:
        return self._random.normal(0, std, size).astype(np.float32)


def tensors(shape: Shape) -> Iterator[Tensor]:
    """Name and data of each tensor, made one at a time: the 7B model never is in memory."""
    weights, width, wide = Weights(shape), shape.width, shape.feed_forward
    std, narrow = width**-0.5, 1 / math.sqrt(2 * shape.layers)
    # The embedding of a model that echoes outweighs what its layers add, elsewhere it is small: output that depends
    # on the whole context instead of repeating one token.
    embedding = weights.embedding(1.0 if shape.echo else std)
    yield "token_embd.weight", embedding
    if shape.echo:
        following = embedding.copy()
        following[first_word() + 1 : -len(SPECIALS)] = embedding[first_word() : -len(SPECIALS) - 1]
        yield "output.weight", following
    elif not shape.tied:
        yield "output.weight", weights.embedding(std)
    yield "output_norm.weight", np.full(width, OUTPUT_SCALE, np.float32)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", np.ones(width, np.float32)
        yield block + "ffn_norm.weight", np.ones(width, np.float32)
        for name, rows in (("q", width), ("k", shape.kv_width), ("v", shape.kv_width)):
            yield f"{block}attn_{name}.weight", weights.matrix(rows, width, std)
            if shape.biases:
                yield f"{block}attn_{name}.bias", weights.vector(rows, 0.02)
        yield block + "attn_output.weight", weights.matrix(width, width, std * narrow)
        yield block + "ffn_gate.weight", weights.matrix(wide, width, std)
        yield block + "ffn_up.weight", weights.matrix(wide, width, std)
        yield block + "ffn_down.weight", weights.matrix(width, wide, wide**-0.5 * narrow)


def describe(writer: gguf.GGUFWriter, name: str, shape: Shape) -> None:
    tokens = vocabulary(shape.vocabulary)
    ids = {special: len(tokens) - len(SPECIALS) + at for at, special in enumerate(SPECIALS)}
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIALS)) + [gguf.TokenType.CONTROL] * len(SPECIALS)
    writer.add_name(f"synthetic {name}")
    writer.add_context_length(32_768)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_uint32("tokenizer.ggml.fim_pre_token_id", ids["<|fim_prefix|>"])
    writer.add_uint32("tokenizer.ggml.fim_suf_token_id", ids["<|fim_suffix|>"])
    writer.add_uint32("tokenizer.ggml.fim_mid_token_id", ids["<|fim_middle|>"])
    writer.add_chat_template(CHAT_TEMPLATE)


def write(name: str, path: Path) -> None:
    shape = SHAPES[name]
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    writer = gguf.GGUFWriter(partial, shape.arch)
    try:
        describe(writer, name, shape)
        # Twice the same tensors: their names and sizes stand before the data of all of them.
        for title, data in tensors(shape):
            kind = gguf.GGMLQuantizationType.Q4_0 if data.dtype == np.uint8 else None
            writer.add_tensor_info(title, data.shape, data.dtype, data.nbytes, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for _, data in tensors(shape):
            writer.write_tensor_data(data)
        writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def folder() -> Path:
    return Path(os.environ.get("CEREBRUM_CACHE") or Path.home() / ".cache/cerebrum") / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=SHAPES)
    name = parser.parse_args().model
    path = folder() / f"{name}-{FORMAT}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(name, path)
    print(path)


if __name__ == "__main__":
    main()
