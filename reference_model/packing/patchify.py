"""NaViT: clips of any size and length become tubelets with positions, and share packs. Pure numpy.

A token is a latent patch (1, 2, 2), that is 4 frames x 8x8 px. A pack is a row of `pack_tokens` places; every place
knows its clip (-1 for padding) and its (t, y, x) in absolute latent patches. The same packer serves torch and ONNX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PATCH = 2  # latent sites per side of a patch
PIXELS = 8  # px per side of a token
PAD = -1
PACKINGS = ("packed", "single", "bucketed", "padded")  # ways to compute clips of mixed shapes together
MAX_RUN = 8  # groups that one kept tubelet may stand for

Grid = tuple[int, int, int]  # tokens in t, y, x
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def grid_of(num_frames: int, height: int, width: int) -> Grid:
    """Token grid (t, y, x) of a clip in frames and px; the caller has checked the shape.

    >>> grid_of(17, 32, 48)
    (5, 4, 6)
    """
    return 1 + (num_frames - 1) // 4, height // PIXELS, width // PIXELS


def tokens_of(grid: Grid) -> int:
    """Tokens of a grid, t * y * x.

    >>> tokens_of(grid_of(17, 32, 48))
    120
    """
    return grid[0] * grid[1] * grid[2]


def patchify(latent: Floats) -> Floats:
    """Latent (z, T, 2h, 2w) to tokens (T*h*w, 4z), in the order of `positions`."""
    z, t, height, width = latent.shape
    x = latent.reshape(z, t, height // PATCH, PATCH, width // PATCH, PATCH)
    return np.ascontiguousarray(x.transpose(1, 2, 4, 0, 3, 5).reshape(-1, z * PATCH * PATCH))


def unpatchify(tokens: Floats, grid: Grid) -> Floats:
    """The inverse of `patchify`: tokens (T*h*w, 4z) to a latent (z, T, 2h, 2w)."""
    t, h, w = grid
    x = tokens.reshape(t, h, w, -1, PATCH, PATCH).transpose(3, 0, 1, 4, 2, 5)
    return np.ascontiguousarray(x.reshape(x.shape[0], t, h * PATCH, w * PATCH))


def positions(grid: Grid) -> Ints:
    """(t, y, x) of every token, (T*h*w, 3), x fastest.

    >>> positions((1, 2, 2)).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]
    """
    return np.stack(np.meshgrid(*(np.arange(n) for n in grid), indexing="ij"), -1).reshape(-1, 3)


def tubelets(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pixels (T, H, W, 3) to tubelets (G, h, w, 4, 8, 8, 3) of 4 frames x 8x8 px; the first frame fills a group of its own.

    >>> tubelets(np.zeros((5, 8, 16, 3), np.uint8)).shape
    (2, 1, 2, 4, 8, 8, 3)
    """
    whole = np.concatenate([frames[:1].repeat(3, 0), frames])
    t, height, width, _ = whole.shape
    blocks = whole.reshape(t // 4, 4, height // PIXELS, PIXELS, width // PIXELS, PIXELS, 3)
    return blocks.transpose(0, 2, 4, 1, 3, 5, 6)


def runs(frames: npt.NDArray[np.uint8], threshold: float, max_run: int = MAX_RUN) -> Ints:
    """Similar-token dropping (run-length tokenization, Choudhury et al. 2024): run lengths (G, h, w), 0 where a tubelet drops.

    `frames` are (T, H, W, 3). A tubelet within `threshold` grey levels of the last frame of the tubelet retained before it
    at the same place is dropped. The reference is the retained one, so that slow drift accumulates; the difference is the
    maximum, since a mean hides an edge of two pixels. The first group stays whole, and no run exceeds `max_run`. A negative
    threshold drops nothing.

    >>> runs(np.zeros((9, 8, 8, 3), np.uint8), threshold=4).ravel().tolist()
    [3, 0, 0]
    """
    blocks = tubelets(frames).astype(np.int16)
    out = np.zeros(blocks.shape[:3], np.int64)
    rows, columns = np.indices(out.shape[1:])
    head = np.zeros(out.shape[1:], np.int64)  # the group that a run at this place started in
    reference = blocks[0, :, :, -1]
    for group, block in enumerate(blocks):
        difference = np.abs(block - reference[:, :, None]).max((2, 3, 4, 5))
        new = (group == 0) | (difference > threshold) | (group - head >= max_run)
        head = np.where(new, group, head)
        reference = np.where(new[..., None, None, None], block[:, :, -1], reference)
        out[head, rows, columns] += 1
    return out


@dataclass(frozen=True)
class Packs:
    """The places of all clips in P packs of L places. Tokens of one clip share a state (its time, text and size); the first
    tokens of a clip that is continued from known frames have a second state, whose time is 0."""

    clip: Ints  # (P, L), PAD where empty
    state: Ints  # (P, L), 0 where empty: it borrows the first clip's, and nothing reads its output
    position: Ints  # (P, L, 3)
    text_index: Ints  # (P, M), row of the flattened text states, 0 where empty
    text_clip: Ints  # (P, M), clip of a text token, PAD - 1 where empty (so that padding attends to nothing real)
    place: tuple[tuple[int, int, int], ...]  # (pack, offset, tokens) of each clip
    state_clip: Ints  # (S,): the clips in their order, then those with known tokens once more

    @property
    def padding(self) -> float:
        """Share of places that hold no token."""
        return float((self.clip == PAD).mean())

    @property
    def mask_overhead(self) -> float:
        """Share of the attention's score matrix that is masked out: computed for nothing."""
        share: float = 1.0 - sum(n * n for _, _, n in self.place) / (self.clip.shape[0] * self.clip.shape[1] ** 2)
        return share

    def times(self, time: Floats) -> Floats:
        """Times (S,) of the states from those of the clips (N,); states of known tokens have time 0."""
        return np.concatenate([time, np.zeros(len(self.state_clip) - len(time), np.float32)])

    def gather(self, tokens: Sequence[Floats]) -> Floats:
        """Tokens (n_i, C) of each clip to packs (P, L, C), zeros in the padding."""
        out = np.zeros((*self.clip.shape, tokens[0].shape[-1]), np.float32)
        for (pack, offset, n), value in zip(self.place, tokens, strict=True):
            out[pack, offset : offset + n] = value
        return out

    def scatter(self, packed: npt.NDArray[np.float32]) -> list[Floats]:
        """The inverse of `gather`: packs (P, L, C) to tokens (n_i, C) of each clip."""
        return [packed[p, o : o + n] for p, o, n in self.place]


def best_fit(sizes: Iterable[int], capacity: int, open_packs: int = 8) -> list[list[int]]:
    """Streaming best-fit: each clip goes to the fullest open pack that still holds it.

    Returns one list of clip numbers per pack, every clip once. Where no pack fits, the fullest of `open_packs` closes. A
    clip larger than `capacity` has its own pack.

    >>> best_fit([5, 3, 3, 5], capacity=8)
    [[0, 1], [2, 3]]
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
    places: Sequence[Ints],
    text_lengths: Sequence[int],
    text_width: int,
    groups: list[list[int]],
    pad_to: int = 0,
    known: Sequence[int] | None = None,
) -> Packs:
    """Lay clips into packs.

    `places[i]` are the positions (n_i, 3) of clip i's tokens; `groups` says which clips share a pack; `text_lengths[i]`
    text tokens of clip i stand in row i of text states that are `text_width` long; the first `known[i]` tokens of clip i
    are inputs, not generated. Packs are as long as the fullest, at least `pad_to`.
    """
    known = known or [0] * len(places)
    continued = [i for i, n in enumerate(known) if n]
    length = max([pad_to, *(sum(len(places[c]) for c in group) for group in groups)])
    texts = max(sum(text_lengths[c] for c in group) for group in groups)
    clip = np.full((len(groups), length), PAD, np.int64)
    state = np.zeros((len(groups), length), np.int64)
    position = np.zeros((len(groups), length, 3), np.int64)
    text_index = np.zeros((len(groups), texts), np.int64)
    text_clip = np.full((len(groups), texts), PAD - 1, np.int64)
    place = [(0, 0, 0)] * len(places)
    for row, group in enumerate(groups):
        offset = text_offset = 0
        for c in group:
            n, m = len(places[c]), text_lengths[c]
            place[c] = (row, offset, n)
            clip[row, offset : offset + n] = c
            state[row, offset : offset + n] = c
            if known[c]:
                state[row, offset : offset + known[c]] = len(places) + continued.index(c)
            position[row, offset : offset + n] = places[c]
            text_index[row, text_offset : text_offset + m] = c * text_width + np.arange(m)
            text_clip[row, text_offset : text_offset + m] = c
            offset, text_offset = offset + n, text_offset + m
    state_clip = np.array([*range(len(places)), *continued], np.int64)
    return Packs(clip, state, position, text_index, text_clip, tuple(place), state_clip)
