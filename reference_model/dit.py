"""The diffusion transformer over packs of tubelets. Peebles & Xie 2023 (adaLN-zero), Dehghani et al. 2023 (NaViT).

Everything that belongs to a clip (time, text, size) is computed once a clip and gathered by its tokens; attention is
full within a clip and blocked between clips. All indices come in as inputs, so the graph has no data-dependent shape.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import DiTConfig, TextConfig

BLOCKED = -1e9  # finite: a row that sees nothing must not become NaN


def rope_angles(position: Tensor, split: tuple[int, int, int], base: float) -> tuple[Tensor, Tensor]:
    """cos and sin (P, L, d/2) of 3-D rotary positions (P, L, 3) in absolute latent patches."""
    parts = []
    for axis, width in enumerate(split):
        frequency = base ** (-torch.arange(0, width, 2, device=position.device, dtype=torch.float32) / width)
        parts.append(position[..., axis, None].float() * frequency)
    angle = torch.cat(parts, -1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs (i, i + d/2) of x (P, h, L, d)."""
    a, b = x.chunk(2, -1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def sinusoid(value: Tensor, width: int, longest: float) -> Tensor:
    """Sine features (..., width) of a value (...)."""
    steps = torch.arange(width // 2, device=value.device, dtype=torch.float32)
    angle = value[..., None] * (longest * torch.exp(-math.log(longest) * steps / (width // 2)))
    return torch.cat([angle.cos(), angle.sin()], -1)


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.gain


class Attention(nn.Module):
    """Multi-head attention with QK-norm; over itself with rotary positions, or over text."""

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(source or width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm_q, self.norm_k = RMSNorm(width // heads), RMSNorm(width // heads)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor, rope: tuple[Tensor, Tensor] | None = None) -> Tensor:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (P, h, L, d)
        k, v = self.kv(source).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (P, h, M, d)
        q, k = self.norm_q(q), self.norm_k(k)
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (P, h, L, d)
        return self.out(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, config: DiTConfig, text_width: int, cross: bool) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attention = Attention(width, config.heads)
        self.cross = Attention(width, config.heads, text_width) if cross else None
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 6 * width)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        clip: Tensor,
        mask: Tensor,
        rope: tuple[Tensor, Tensor],
        text: Tensor,
        text_mask: Tensor,
    ) -> Tensor:
        # One modulation a clip, (N, 6D), gathered a token: a projection a token would cost half the block again.
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[clip].chunk(6, -1)  # (P, L, D)
        h = self.norm(x) * (1 + scale1) + shift1
        x = x + gate1 * self.attention(h, h, mask, rope)
        if self.cross is not None:
            x = x + self.cross(self.norm(x), text, text_mask)
        h = self.norm(x) * (1 + scale2) + shift2
        return x + gate2 * self.mlp(h)


class DiT(nn.Module):
    """Velocity of every token of a pack.

    Inputs, for P packs of L places, N clips, M text places: tokens (P, L, 4z); clip (P, L), -1 in the padding; position
    (P, L, 3); time (N,); extent (N, 3), the clips' token grids; text (N, W, Dt) and pooled (N, Dt) states; text_index
    (P, M), rows of the flattened text states; text_clip (P, M). Output (P, L, 4z).
    """

    def __init__(self, config: DiTConfig, text: TextConfig) -> None:
        super().__init__()
        self.config = config
        width, values = config.width, 4 * config.channels
        self.embed = nn.Linear(values, width)
        self.embed_fraction = nn.Linear(24, width)
        self.embed_time = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_text = nn.Linear(text.width, width)
        self.embed_extent = nn.Linear(3, width)
        self.blocks = nn.ModuleList(Block(config, text.width, i % 2 == 1) for i in range(config.depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, values)
        self.initialise()

    def initialise(self) -> None:
        """adaLN-zero: at the start every block is the identity and the output is zero."""
        for block in self.blocks:
            assert isinstance(block, Block)
            nn.init.zeros_(block.modulation.weight)
            nn.init.zeros_(block.modulation.bias)
            if block.cross is not None:
                nn.init.zeros_(block.cross.out.weight)
                nn.init.zeros_(block.cross.out.bias)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        tokens: Tensor,
        clip: Tensor,
        position: Tensor,
        time: Tensor,
        extent: Tensor,
        text: Tensor,
        pooled: Tensor,
        text_index: Tensor,
        text_clip: Tensor,
    ) -> Tensor:
        owner = clip.clamp(min=0)  # padding borrows the first clip's condition; nothing reads its output
        mask = torch.where(clip[:, :, None] == clip[:, None, :], 0.0, BLOCKED)[:, None]  # (P, 1, L, L)
        text_mask = torch.where(clip[:, :, None] == text_clip[:, None, :], 0.0, BLOCKED)[:, None]  # (P, 1, L, M)
        states = text.flatten(0, 1)[text_index]  # (P, M, Dt)
        rope = rope_angles(position, self.config.rope_split, self.config.rope_base)

        size = extent.float()
        condition = self.embed_time(sinusoid(time, 128, 1000.0)) + self.embed_text(pooled)
        condition = F.silu(condition + self.embed_extent(size.log()))  # (N, D)
        # Absolute positions do not say where the walls are; fractions of the clip's own extent do.
        fraction = (position.float() + 0.5) / size[owner]  # (P, L, 3)
        waves = (fraction[..., None] * (torch.pi * torch.tensor([1.0, 2.0, 4.0, 8.0], device=size.device))).flatten(-2)
        x = self.embed(tokens) + self.embed_fraction(torch.cat([waves.cos(), waves.sin()], -1))  # (P, L, D)
        for block in self.blocks:
            x = block(x, condition, owner, mask, rope, states, text_mask)
        shift, scale = self.modulation(condition)[owner].chunk(2, -1)
        return self.out(self.norm(x) * (1 + scale) + shift)
