"""The diffusion transformer over packs of tubelets. Peebles & Xie 2023 (adaLN-zero), Dehghani et al. 2023 (NaViT).

Everything that belongs to a clip (time, text, size) is computed once per clip and gathered by its tokens. A clip that is
continued from known frames has two such states: its own time, and time 0 for the tokens that are known. Attention is full
within a clip and blocked between clips. All indices come in as inputs, so the graph has no data-dependent shape.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import DiTConfig, TextConfig
from reference_model.networks import flow
from reference_model.networks.layers import BLOCKED, MLP, Attention, Rope, rope_angles, sinusoid, wall_waves


class Block(nn.Module):
    """Attention within a clip, with `cross` also over its text, and an MLP, each modulated by the state (adaLN)."""

    def __init__(self, config: DiTConfig, text_width: int, cross: bool) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attention = Attention(width, config.heads)
        self.cross = Attention(width, config.heads, text_width) if cross else None
        self.mlp = MLP(width)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        state: Tensor,
        mask: Tensor,
        rope: Rope,
        text: Tensor,
        text_mask: Tensor,
    ) -> Tensor:
        """x (P, L, D) to (P, L, D); condition (S, D), state (P, L), text (P, M, Dt), masks (P, 1, L, L) and (P, 1, L, M)."""
        # One modulation per state, (S, 6D), gathered per token: a projection per token adds half the cost of the block.
        table = self.modulation(condition).split(x.shape[-1], -1)  # 6 of (S, D)
        shift1, scale1, gate1 = (F.embedding(state, t) for t in (table[0], 1 + table[1], table[2]))  # (P, L, D)
        shift2, scale2, gate2 = (F.embedding(state, t) for t in (table[3], 1 + table[4], table[5]))
        h = self.norm(x) * scale1 + shift1
        x = x + gate1 * self.attention(h, h, mask, rope)
        if self.cross is not None:
            x = x + self.cross(self.norm(x), text, text_mask)
        h = self.norm(x) * scale2 + shift2
        out: Tensor = x + gate2 * self.mlp(h)
        return out


class DiT(nn.Module):
    """Velocity of every token of a pack.

    Inputs, for P packs of L places, S states, R texts, M text places: tokens (P, L, 4z); clip (P, L), -1 in the padding;
    state (P, L), the row of what follows that holds for a token; time (S,), extent (S, 3), the clip's token grid, and
    pooled (S, Dt), its text; position (P, L, 3); text (R, W, Dt); text_index (P, M), rows of the flattened text states;
    text_clip (P, M). Output (P, L, 4z).
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
        """adaLN-zero: before training every block is the identity and the output is zero."""
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
        state: Tensor,
        position: Tensor,
        time: Tensor,
        extent: Tensor,
        pooled: Tensor,
        text: Tensor,
        text_index: Tensor,
        text_clip: Tensor,
    ) -> Tensor:
        """Velocity (P, L, 4z); the shapes of the inputs are those of the class."""
        mask = torch.where(clip[:, :, None] == clip[:, None, :], 0.0, BLOCKED)[:, None]  # (P, 1, L, L)
        text_mask = torch.where(clip[:, :, None] == text_clip[:, None, :], 0.0, BLOCKED)[:, None]  # (P, 1, L, M)
        words = F.embedding(text_index, text.flatten(0, 1))  # (P, M, Dt)
        rope = rope_angles(position, self.config.rope_split, self.config.rope_base)

        size = extent.float()
        condition = self.embed_time(sinusoid(time, 128, 1000.0)) + self.embed_text(pooled)
        condition = F.silu(condition + self.embed_extent(size.log()))  # (S, D)
        x = self.embed(tokens) + self.embed_fraction(wall_waves(position, F.embedding(state, size)))  # (P, L, D)
        for block in self.blocks:
            x = block(x, condition, state, mask, rope, words, text_mask)
        shift, scale = self.modulation(condition).split(x.shape[-1], -1)
        x = self.norm(x) * F.embedding(state, 1 + scale) + F.embedding(state, shift)
        output: Tensor = self.out(x)
        if not self.config.skip:
            return output
        of_input, of_output = (F.embedding(state, c[:, None]) for c in flow.skip(time))  # (P, L, 1)
        return of_input * tokens + of_output * output
