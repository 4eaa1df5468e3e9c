"""Words in, states out: a closed vocabulary (`tokenizers`' WordLevel) and a small transformer encoder."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn

from reference_model.config import TextConfig
from reference_model.errors import ReferenceModelError
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

    Raises PromptError for an unknown word (named, with the nearest known one) and for an over-long prompt.
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


class TextBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (N, M, D), (N, 1, 1, M)
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, h, M, d)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class TextEncoder(nn.Module):
    """Ids (N, M) to states (N, M, D) and a pooled vector (N, D): the mean over the words that are there."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), config.width)
        self.position = nn.Parameter(torch.randn(config.max_tokens, config.width) * 0.02)
        self.blocks = nn.ModuleList(TextBlock(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        present = ids != 0  # (N, M)
        mask = torch.where(present, 0.0, -1e9)[:, None, None]
        x = self.embed(ids) + self.position[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        weight = present.to(x.dtype)[..., None]
        return x, (x * weight).sum(1) / weight.sum(1)
