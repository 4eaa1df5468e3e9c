"""NaViT: clips of any size and length become tubelets with positions, and share packs. Pure numpy.

A token is a latent patch (1, 2, 2), that is 4 frames x 8x8 px. A pack is a row of `pack_tokens` places; every place
knows its clip (-1 for padding) and its (t, y, x) in absolute latent patches. The same packer serves torch and ONNX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PATCH = 2  # latent sites a side
PIXELS = 8  # px a side of a token
PAD = -1

Grid = tuple[int, int, int]  # tokens in t, y, x
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def grid_of(num_frames: int, height: int, width: int) -> Grid:
    """Token grid of a clip in frames and px; the caller has checked the shape."""
    return 1 + (num_frames - 1) // 4, height // PIXELS, width // PIXELS


def tokens_of(grid: Grid) -> int:
    return grid[0] * grid[1] * grid[2]


def patchify(latent: Floats) -> Floats:
    """Latent (z, T, 2h, 2w) to tokens (T*h*w, 4z), in the order of `positions`."""
    z, t, height, width = latent.shape
    x = latent.reshape(z, t, height // PATCH, PATCH, width // PATCH, PATCH)
    return np.ascontiguousarray(x.transpose(1, 2, 4, 0, 3, 5).reshape(-1, z * PATCH * PATCH))


def unpatchify(tokens: Floats, grid: Grid) -> Floats:
    """The inverse of `patchify`."""
    t, h, w = grid
    x = tokens.reshape(t, h, w, -1, PATCH, PATCH).transpose(3, 0, 1, 4, 2, 5)
    return np.ascontiguousarray(x.reshape(x.shape[0], t, h * PATCH, w * PATCH))


def positions(grid: Grid) -> Ints:
    """(t, y, x) of every token, (T*h*w, 3)."""
    return np.stack(np.meshgrid(*(np.arange(n) for n in grid), indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True)
class Packs:
    """Where every clip lies. `clip` and `position` are inputs of the network; `place` finds a clip's tokens again."""

    clip: Ints  # (P, L), PAD where empty
    position: Ints  # (P, L, 3)
    text_index: Ints  # (P, M), row of the flattened text states, 0 where empty
    text_clip: Ints  # (P, M), clip of a text token, PAD - 1 where empty (so that padding attends to nothing real)
    place: tuple[tuple[int, int], ...]  # (pack, offset) of each clip
    grids: tuple[Grid, ...]

    @property
    def padding(self) -> float:
        """Share of places that hold no token."""
        return float((self.clip == PAD).mean())

    def gather(self, tokens: Sequence[Floats]) -> Floats:
        """Tokens of each clip, (n_i, C), laid into packs, (P, L, C); zeros in the padding."""
        out = np.zeros((*self.clip.shape, tokens[0].shape[-1]), np.float32)
        for (pack, offset), value in zip(self.place, tokens, strict=True):
            out[pack, offset : offset + len(value)] = value
        return out

    def scatter(self, packed: npt.NDArray[np.float32]) -> list[Floats]:
        """The inverse of `gather`."""
        return [packed[p, o : o + tokens_of(g)] for (p, o), g in zip(self.place, self.grids, strict=True)]


def best_fit(sizes: Iterable[int], capacity: int, open_packs: int = 8) -> list[list[int]]:
    """Streaming best-fit: each clip goes to the fullest open pack that still holds it.

    Returns lists of clip numbers, a list a pack, every clip once. With none that fits, the fullest of `open_packs` is
    closed. A clip larger than `capacity` has a pack of its own.
    """
    packs: list[list[int]] = []
    room: dict[int, int] = {}
    for clip, size in enumerate(sizes):
        fitting = [p for p, free in room.items() if free >= size]
        if fitting:
            pack = min(fitting, key=lambda p: room[p])
        else:
            if len(room) == open_packs:
                del room[min(room, key=lambda p: room[p])]
            pack = len(packs)
            packs.append([])
            room[pack] = capacity
        packs[pack].append(clip)
        room[pack] -= size
    return packs


def pack(
    grids: Sequence[Grid], text_lengths: Sequence[int], text_width: int, groups: list[list[int]], pad_to: int = 0
) -> Packs:
    """Lay clips into packs.

    `groups` says which clips share a pack; `text_lengths[i]` text tokens of clip i stand in row i of text states that
    are `text_width` long. Packs are as long as the fullest, at least `pad_to`.
    """
    length = max([pad_to, *(sum(tokens_of(grids[c]) for c in group) for group in groups)])
    texts = max(sum(text_lengths[c] for c in group) for group in groups)
    clip = np.full((len(groups), length), PAD, np.int64)
    position = np.zeros((len(groups), length, 3), np.int64)
    text_index = np.zeros((len(groups), texts), np.int64)
    text_clip = np.full((len(groups), texts), PAD - 1, np.int64)
    place = [(0, 0)] * len(grids)
    for row, group in enumerate(groups):
        offset = text_offset = 0
        for c in group:
            n, m = tokens_of(grids[c]), text_lengths[c]
            place[c] = (row, offset)
            clip[row, offset : offset + n] = c
            position[row, offset : offset + n] = positions(grids[c])
            text_index[row, text_offset : text_offset + m] = c * text_width + np.arange(m)
            text_clip[row, text_offset : text_offset + m] = c
            offset, text_offset = offset + n, text_offset + m
    return Packs(clip, position, text_index, text_clip, tuple(place), tuple(grids))
