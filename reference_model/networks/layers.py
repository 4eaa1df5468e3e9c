"""The parts of all transformers of this package: attention with QK-norm, rotary positions, pre-norm layers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKED = -1e9  # finite, so that a row with every place blocked does not become NaN

Rope = tuple[Tensor, Tensor]


def rope_angles(position: Tensor, split: tuple[int, int, int], base: float) -> Rope:
    """cos and signed sin (P, 1, L, d) of 3-D rotary positions (P, L, 3) in absolute latent patches, once for all layers."""
    parts = []
    for axis, width in enumerate(split):
        frequency = base ** (-torch.arange(0, width, 2, device=position.device, dtype=torch.float32) / width)
        parts.append(position[..., axis, None].float() * frequency)
    angle = torch.cat(parts, -1)[:, None]  # (P, 1, L, d/2)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + d/2) of x (P, h, L, d) by angles whose cos and signed sin are (P, 1, L, d)."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([x[..., half:], x[..., :half]], -1) * sin


def sinusoid(value: Tensor, width: int, longest: float) -> Tensor:
    """Cosines and sines (..., width) of a value (...), at frequencies from `longest` down to about 1."""
    steps = torch.arange(width // 2, device=value.device, dtype=torch.float32)
    angle = value[..., None] * (longest * torch.exp(-math.log(longest) * steps / (width // 2)))
    return torch.cat([angle.cos(), angle.sin()], -1)


def wall_waves(position: Tensor, extent: Tensor) -> Tensor:
    """Cosines and sines (P, L, 24) of a token's place as a fraction of its clip's extent.

    Absolute positions (P, L, 3) do not locate the walls; fractions of `extent` (P, L, 3) do.
    """
    fraction = (position.float() + 0.5) / extent
    waves = (fraction[..., None] * (torch.pi * torch.tensor([1.0, 2.0, 4.0, 8.0], device=extent.device))).flatten(-2)
    return torch.cat([waves.cos(), waves.sin()], -1)


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last axis; the shape stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        # As a quotient, since ONNX Runtime computes this form in one kernel.
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.gain


class Attention(nn.Module):
    """Multi-head attention with QK-norm; over itself, with rotary positions where given, or over another sequence."""

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(source or width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm_q, self.norm_k = RMSNorm(width // heads), RMSNorm(width // heads)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor, rope: Rope | None = None) -> Tensor:
        """x (P, L, D) attends to source (P, M, Ds) under an additive mask that broadcasts to (P, h, L, M); (P, L, D)."""
        packs, length, width = x.shape
        # Projections see rows (P*L, D): in ONNX that is one Gemm, bias and all.
        rows, weight, bias = source.flatten(0, 1), self.kv.weight, self.kv.bias
        q = self.q(x.flatten(0, 1)).view(packs, length, self.heads, -1)  # (P, L, h, d)
        k = F.linear(rows, weight[:width], bias[:width]).view(packs, source.shape[1], self.heads, -1)
        v = F.linear(rows, weight[width:], bias[width:]).view(packs, source.shape[1], self.heads, -1)
        q, k, v = (s.transpose(1, 2) for s in (self.norm_q(q), self.norm_k(k), v))  # (P, h, L, d)
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        if torch.is_autocast_enabled("cpu"):  # the gradient of masked attention is twice as slow in bf16 on a CPU
            with torch.autocast("cpu", enabled=False):
                attended = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
        else:
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (P, h, L, d)
        out: Tensor = self.out(attended.transpose(1, 2).reshape(packs * length, width))
        return out.view(packs, length, width)


class MLP(nn.Sequential):
    """Two layers over (P, L, D), four times as wide between them."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = super().forward(x.flatten(0, 1))  # type: ignore[no-untyped-call]
        return rows.view(x.shape)


class Layer(nn.Module):
    """Pre-norm transformer layer; with `source`, the width of another sequence that it reads by cross-attention."""

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width) if source else None
        self.cross = Attention(width, heads, source) if source else None
        self.mlp = MLP(width)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        rope: Rope | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """x (N, L, D) to (N, L, D); source (N, M, Ds), additive masks that broadcast to (N, h, L, L) and (N, h, L, M)."""
        h = self.norm1(x)
        x = x + self.attention(h, h, mask, rope)
        if self.cross is not None and self.norm_cross is not None:
            assert source is not None
            assert source_mask is not None
            x = x + self.cross(self.norm_cross(x), source, source_mask)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def visible(present: Tensor) -> Tensor:
    """Additive mask (N, 1, 1, M) from the places (N, M) that are not padding.

    >>> visible(torch.tensor([[True, False]])).squeeze().tolist()
    [0.0, -1000000000.0]
    """
    return torch.where(present, 0.0, BLOCKED)[:, None, None]
