"""The training clips of the DiT: random clips of every size and length with words of every level."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reference_model.config import ModelConfig
from reference_model.errors import ReferenceModelError
from reference_model.packing import patchify
from reference_model.packing.patchify import PIXELS
from reference_model.training import data
from reference_model.world import Description, parse, sample_level

LENGTHS = (0.15, 0.07, 0.08, 0.10, 0.60)  # probability of 1, 5, 9, 13 and 17 frames; images fill the gaps of packs
LEVELS = (0.15, 0.45, 0.4)  # of short, medium and dense captions in the training of the DiT


def load_captions(folder: Path, clips: data.SizeData) -> list[Description]:
    """The descriptions of the clips of one size, parsed from the captions. Raises ReferenceModelError without them."""
    path = data.caption_file(folder / "data", clips.size)
    if not path.exists():
        raise ReferenceModelError(f"{path} does not exist: run the stage 'caption' first")
    return [parse(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]


@dataclass(frozen=True)
class TrainingClip:
    """One training clip: tokens (n, 4z) with positions (n, 3) on a grid, whether each holds an object (n, 1), the number of
    known tokens at the front, and the prompt."""

    tokens: npt.NDArray[np.float32]
    position: npt.NDArray[np.int64]
    grid: patchify.Grid
    occupied: npt.NDArray[np.bool_]
    known: int
    prompt: str

    def weight(self, object_weight: float) -> npt.NDArray[np.float32]:
        """Loss weights (n, 1) that add up to 1: 0 for known tokens, `object_weight` to 1 with and without an object."""
        weight = np.where(self.occupied, object_weight, 1.0).astype(np.float32)
        weight[: self.known] = 0.0
        return weight / np.float32(max(float(weight.sum()), 1e-6))


@dataclass(frozen=True)
class Mixture:
    """The source of batches: clips, their latents (N, z, G, H/4, W/4) and their descriptions, size by size."""

    config: ModelConfig
    sets: list[data.SizeData]
    latents: list[npt.NDArray[np.float32]]
    descriptions: list[list[Description]]
    levels: tuple[float, float, float] = LEVELS

    @staticmethod
    def load(config: ModelConfig, folder: Path) -> Mixture:
        """Open the clips, latents and captions of a training folder. Raises ReferenceModelError without captions."""
        sets = data.load(config.train, folder / "data")
        latents = [np.load(folder / "data" / f"{c.size[0]}x{c.size[1]}.latent.npy", mmap_mode="r") for c in sets]
        return Mixture(config, sets, latents, [load_captions(folder, c) for c in sets])

    def draw(self, rng: np.random.Generator, drop: float) -> TrainingClip:
        """A clip of random size, length and words; with probability `drop` without its repeated tokens."""
        t = self.config.train
        area = np.array([1.0 / (c.size[0] * c.size[1]) for c in self.sets])  # all sizes fill equally many places
        which = int(rng.choice(len(self.sets), p=area / area.sum()))
        row, groups = int(rng.integers(len(self.sets[which]))), int(rng.choice(5, p=LENGTHS)) + 1
        latent = self.latents[which][row, :, :groups]
        grid = (groups, latent.shape[2] // 2, latent.shape[3] // 2)
        known = int(rng.integers(1, groups)) * grid[1] * grid[2] if groups > 1 and rng.random() < t.continued else 0
        tokens, position = patchify.patchify(latent), patchify.positions(grid)
        occupied = self._occupied(which, row, groups)
        if rng.random() < drop:
            frames = self.sets[which].video[row, : 4 * groups - 3]
            keep = (patchify.runs(frames, self.config.captioner.drop_threshold) > 0).reshape(-1)
            keep[:known] = True
            tokens, position, occupied = tokens[keep], position[keep], occupied[keep]
        return TrainingClip(tokens, position, grid, occupied, known, self._words(which, row, groups, rng))

    def _words(self, which: int, row: int, groups: int, rng: np.random.Generator) -> str:
        if rng.random() < self.config.train.text_dropout:
            return ""
        description = self.descriptions[which][row]
        if groups < (self.config.train.frames + 3) // 4:  # contacts may come after the last frame that is shown
            description = replace(description, wall=None, collision=False)
        return description.at(sample_level(rng, self.levels), still=groups == 1).text()

    def _occupied(self, which: int, row: int, groups: int) -> npt.NDArray[np.bool_]:
        """Whether each token holds an object, (n, 1): backgrounds are most of a clip and teach little of it."""
        cover = self.sets[which].coverage[row, : 4 * groups - 3]
        cover = np.concatenate([cover[:1].repeat(3, 0), cover])  # (4G, H, W)
        blocks = cover.reshape(groups, 4, cover.shape[1] // PIXELS, PIXELS, cover.shape[2] // PIXELS, PIXELS)
        return np.asarray(blocks.max((1, 3, 5)) > 0, bool).reshape(-1, 1)
