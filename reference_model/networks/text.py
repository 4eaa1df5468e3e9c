"""Words to states: a closed vocabulary (`tokenizers`' WordLevel) and a small transformer encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn

from reference_model.config import TextConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.layers import BLOCKED, Layer, visible
from reference_model.world.captions import WORDS

PAD, START, END = "<pad>", "<start>", "<end>"
# <end> has the highest id: OpenAI's CLIP, and so open_clip, reads the sentence's state where the id is largest.
VOCABULARY: tuple[str, ...] = (PAD, START, *WORDS, END)


class PromptError(ReferenceModelError):
    """A prompt that the model cannot read."""


@cache
def tokenizer() -> Tokenizer:
    """Lower-cased words and punctuation over the closed vocabulary, between a start and an end mark."""
    result = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token=PAD))
    result.normalizer = normalizers.Lowercase()
    result.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    result.post_processor = processors.TemplateProcessing(
        single=f"{START} $0 {END}", special_tokens=[(START, 1), (END, len(VOCABULARY) - 1)]
    )
    return result


def tokenize(prompts: Sequence[str], max_tokens: int = 48) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ids (N, M), padded to the longest, and lengths (N,). An empty prompt is the unconditional one.

    Raises PromptError for an unknown word (named, with the nearest known one) and for a prompt that is too long.

    >>> ids, lengths = tokenize(["a red circle falls", ""])
    >>> ids.shape, lengths.tolist()  # between a start and an end mark
    ((2, 6), [6, 2])
    """
    rows = []
    for prompt in prompts:
        encoding = tokenizer().encode(prompt)
        for token, (a, b) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == 0:
                word = prompt[a:b]
                near = get_close_matches(word.lower(), WORDS, 1, 0.5)
                hint = f"; nearest known word: {near[0]!r}" if near else ""
                raise PromptError(f"prompt {prompt!r}: the reference model does not know the word {word!r}{hint}")
        if len(encoding.ids) > max_tokens:
            raise PromptError(
                f"prompt {prompt[:60]!r}... has {len(encoding.ids) - 2} words; at most {max_tokens - 2} are read: shorten it"
            )
        rows.append(encoding.ids)
    lengths = np.array([len(row) for row in rows], np.int64)
    ids = np.zeros((len(rows), lengths.max()), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    return ids, lengths


class WordEncoder(nn.Module):
    """A transformer over words; subclasses say what `forward` returns of its states."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), config.width)
        self.position = nn.Parameter(torch.randn(config.max_tokens, config.width) * 0.02)
        self.layers = nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.embed.weight, std=0.02)

    def states(self, ids: Tensor) -> Tensor:
        """Ids (N, M) to states (N, M, D)."""
        mask = visible(ids != 0)
        x = self.embed(ids) + self.position[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, mask)
        out: Tensor = self.norm(x)
        return out


class TextEncoder(WordEncoder):
    """Ids (N, M) to states (N, M, D) and a pooled vector (N, D), their mean without the padding."""

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.states(ids)
        weight = (ids != 0).to(x.dtype)[..., None]
        return x, (x * weight).sum(1) / weight.sum(1)


class Decoder(nn.Module):
    """Ids (N, M) written so far and states (N, S, Ds) of a source, present (N, S), to logits (N, M, V) of each next word."""

    def __init__(self, width: int, depth: int, heads: int, source: int, max_tokens: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), width)
        self.position = nn.Parameter(torch.randn(max_tokens, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, heads, source) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, len(VOCABULARY))
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, ids: Tensor, states: Tensor, present: Tensor) -> Tensor:
        place = torch.arange(ids.shape[1], device=ids.device)
        causal = torch.where(place[:, None] >= place[None, :], 0.0, BLOCKED)[None, None]  # (1, 1, M, M)
        x = self.embed(ids) + self.position[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, causal, None, states, visible(present))
        out: Tensor = self.out(self.norm(x))
        return out


def write(
    logits: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.float32]],
    seeds: Sequence[int | None],
    max_tokens: int = 48,
) -> list[str]:
    """Texts written word by word: the likeliest word where the seed is None, else a draw with that seed.

    `logits(ids, rows)` returns (n, M, V) for the ids (n, M) of `rows`, the texts that are not finished.
    """
    end = len(VOCABULARY) - 1
    rngs = [None if seed is None else np.random.default_rng([seed, 0x3D5]) for seed in seeds]
    ids = np.full((len(seeds), max_tokens), end, np.int64)
    ids[:, 0] = VOCABULARY.index(START)
    rows = np.arange(len(seeds))
    for length in range(1, max_tokens):
        last = logits(ids[rows, :length], rows)[:, -1].astype(np.float64)  # (n, V)
        last[:, :2] = -np.inf  # neither padding nor a second start
        for row, values in zip(rows, last, strict=True):
            rng = rngs[row]
            noise = 0.0 if rng is None else rng.gumbel(size=len(values))  # the largest of logits + Gumbel noise is a draw
            ids[row, length] = np.argmax(values + noise)
        rows = rows[ids[rows, length] != end]
        if not len(rows):
            break
    return [" ".join(VOCABULARY[i] for i in row[1:] if i != end).replace(" ,", ",") for row in ids]
