"""Trains a model like cerebrum-tiny again: a Llama of 5.5 million parameters on Python's standard library, as GGUF.

usage: train.py OUT.gguf [--minutes 40] [--roots DIR...]        or: make train OUT=new.gguf

Two cores and 40 minutes are enough. The result shows that the pipeline works; it writes Python-shaped text and no
useful code. Not the same to the byte as the shipped file: that was made from another Python's library.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY, WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 4096, 256, 6, 8, 4, 704, 512
HEAD_WIDTH = WIDTH // HEADS
ROPE_BASE, EPSILON = 10_000.0, 1e-5
BATCH, WINDOW, WARM_UP, PEAK_RATE = 8, 256, 150, 2.5e-3
HELD_OUT = 60_000

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
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)
# How llama.cpp splits text before merging for tokenizers of the kind "qwen2": training must split the same way.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LEFT_OUT = ("site-packages", "/test", "idlelib", "lib2to3", "turtledemo", "encodings/")


def corpus(roots: Sequence[str]) -> list[str]:
    """Texts of the modules below `roots`, without tests, tables and files indented by tabs."""
    texts = []
    for root in roots:
        for path in sorted(Path(root).rglob("*.py")):
            if any(part in str(path) for part in LEFT_OUT):
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            if 400 < len(text) < 400_000 and "\t" not in text[:2000] and "\ufffd" not in text:
                texts.append(text)
    return texts


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """A byte-level BPE tokenizer that leaves room for the special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY - len(SPECIALS), initial_alphabet=alphabet)
    )
    if tokenizer.get_vocab_size() != VOCABULARY - len(SPECIALS):
        raise SystemExit(f"the corpus is too small: only {tokenizer.get_vocab_size()} tokens were found in it")
    return tokenizer


class Block(nn.Module):
    """Attention with grouped keys and rotary positions, then a gated feed-forward, each on its own residual."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.RMSNorm(WIDTH, eps=EPSILON), nn.RMSNorm(WIDTH, eps=EPSILON)
        self.query, self.output = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, KV_HEADS * HEAD_WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, KV_HEADS * HEAD_WIDTH, bias=False)
        self.gate, self.up = nn.Linear(WIDTH, FEED_FORWARD, bias=False), nn.Linear(WIDTH, FEED_FORWARD, bias=False)
        self.down = nn.Linear(FEED_FORWARD, WIDTH, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """x: (batch, length, WIDTH); cosine, sine: (length, HEAD_WIDTH / 2)."""
        batch, length, _ = x.shape
        h = self.attention_norm(x)
        query = rotate(split_heads(self.query(h), HEADS), cosine, sine)
        key = rotate(split_heads(self.key(h), KV_HEADS), cosine, sine).repeat_interleave(HEADS // KV_HEADS, 1)
        value = split_heads(self.value(h), KV_HEADS).repeat_interleave(HEADS // KV_HEADS, 1)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).reshape(batch, length, WIDTH))
        h = self.feed_norm(x)
        out: Tensor = x + self.down(functional.silu(self.gate(h)) * self.up(h))
        return out


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, HEAD_WIDTH).transpose(1, 2)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions over neighbouring pairs, which is llama.cpp's order for this architecture."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        frequencies = 1.0 / (ROPE_BASE ** (torch.arange(0, HEAD_WIDTH, 2).float() / HEAD_WIDTH))
        angles = torch.outer(torch.arange(CONTEXT).float(), frequencies)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() > 1:
                scale = 0.02 if parameter.shape[0] == VOCABULARY else parameter.shape[1] ** -0.5
                nn.init.normal_(parameter, std=scale)
        for block in self.blocks:
            for layer in (block.output, block.down):  # so that the residual stream does not grow with depth
                layer.weight.data /= math.sqrt(2 * LAYERS)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (batch, length); returns logits (batch, length, VOCABULARY), with the embedding tied."""
        length = tokens.shape[1]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cosine[:length], self.sine[:length])
        logits: Tensor = self.norm(x) @ self.embedding.weight.T
        return logits


def learning_rate(step: int, share: float) -> float:
    """Rises over the first steps, stays, and falls over the last two fifths of the time."""
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * (1.0 if share < 0.6 else max(0.02, (1 - share) / 0.4))


def train(model: Model, tokens: Tensor, seconds: float) -> None:
    held_out, training = tokens[:HELD_OUT], tokens[HELD_OUT:]

    def batch(source: Tensor, size: int) -> tuple[Tensor, Tensor]:
        starts = torch.randint(0, len(source) - WINDOW - 1, (size,))
        windows = torch.stack([source[start : start + WINDOW + 1] for start in starts])
        return windows[:, :-1], windows[:, 1:]

    def loss_of(logits: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(logits.float().reshape(-1, VOCABULARY), wanted.reshape(-1))

    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95))
    started, step = time.monotonic(), 0
    while (share := (time.monotonic() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, share)
        given, wanted = batch(training, BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(given)
        loss = loss_of(logits, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 200 == 0:
            with torch.no_grad():
                held = loss_of(model((pair := batch(held_out, 16))[0]), pair[1]).item()
            minutes = (time.monotonic() - started) / 60
            print(f"{minutes:.1f} min, step {step}: loss {loss.item():.3f}, held out {held:.3f}", flush=True)


def write(path: str, model: Model, tokenizer: Tokenizer) -> None:
    """The GGUF file: Q8_0 matrices, F32 norms, the tokenizer and the chat template inside."""
    ids = {name: VOCABULARY - len(SPECIALS) + at for at, name in enumerate(SPECIALS)}
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("cerebrum-tiny")
    out.add_description("5.5M-parameter demonstration model trained from scratch on the Python standard library")
    out.add_license("PSF-2.0")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FEED_FORWARD)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_layer_norm_rms_eps(EPSILON)
    out.add_rope_freq_base(ROPE_BASE)
    out.add_rope_dimension_count(HEAD_WIDTH)
    out.add_vocab_size(VOCABULARY)
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)

    names = {number: text for text, number in tokenizer.get_vocab().items()}
    plain = VOCABULARY - len(SPECIALS)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("qwen2")
    out.add_token_list([names[number] for number in range(plain)] + list(SPECIALS))
    out.add_token_types([gguf.TokenType.NORMAL] * plain + [gguf.TokenType.CONTROL] * len(SPECIALS))
    out.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    out.add_bos_token_id(ids["<|endoftext|>"])
    out.add_eos_token_id(ids["<|endoftext|>"])
    out.add_eot_token_id(ids["<|im_end|>"])
    out.add_pad_token_id(ids["<|fim_pad|>"])
    out.add_add_bos_token(False)
    for key, name in (("pre", "prefix"), ("suf", "suffix"), ("mid", "middle")):
        out.add_uint32(f"tokenizer.ggml.fim_{key}_token_id", ids[f"<|fim_{name}|>"])
    out.add_chat_template(CHAT_TEMPLATE)

    kind = gguf.GGMLQuantizationType.Q8_0

    def matrix(name: str, parameter: Tensor) -> None:
        out.add_tensor(f"{name}.weight", gguf.quantize(parameter.detach().float().numpy(), kind), raw_dtype=kind)

    def vector(name: str, parameter: Tensor) -> None:
        out.add_tensor(f"{name}.weight", parameter.detach().float().numpy())

    matrix("token_embd", model.embedding.weight)
    vector("output_norm", model.norm.weight)
    for at, block in enumerate(model.blocks):
        for name, layer in (("attn_norm", block.attention_norm), ("ffn_norm", block.feed_norm)):
            vector(f"blk.{at}.{name}", layer.weight)
        for name, layer in (
            ("attn_q", block.query),
            ("attn_k", block.key),
            ("attn_v", block.value),
            ("attn_output", block.output),
            ("ffn_gate", block.gate),
            ("ffn_up", block.up),
            ("ffn_down", block.down),
        ):
            matrix(f"blk.{at}.{name}", layer.weight)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--roots", nargs="*", default=[sysconfig.get_paths()["stdlib"]])
    options = parser.parse_args()
    random.seed(1)
    torch.manual_seed(1)
    texts = corpus(options.roots)
    random.shuffle(texts)
    tokenizer = train_tokenizer(texts)
    end = VOCABULARY - len(SPECIALS)  # <|endoftext|>
    tokens = torch.tensor(np.array([number for text in texts for number in [*tokenizer.encode(text).ids, end]]))
    model = Model()
    print(
        f"{len(texts)} files, {len(tokens)} tokens, {sum(p.numel() for p in model.parameters())} parameters", flush=True
    )
    train(model, tokens, options.minutes * 60)
    write(options.out, model, tokenizer)


if __name__ == "__main__":
    main()
