"""Training data on disk: world clips of every size, rendered once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reference_model.config import TrainConfig
from reference_model.world import Description, Event, Facts, FactsError, Scene, WorldClip, describe, make_clip, sample_facts

Size = tuple[int, int]  # height, width in px
CHUNK = 50  # clips per work item of `collect`
MEETINGS = 8  # draws of a scene until objects meet in it, at most


@dataclass(frozen=True)
class Record:
    """The truth of a training clip: its scene and the contacts in it."""

    scene: Scene
    events: tuple[Event, ...]

    def description(self, num_frames: int) -> Description:
        """The description of the first `num_frames` frames; later contacts are left out."""
        return describe(self.scene.facts, self.scene, tuple(e for e in self.events if e.frame < num_frames))

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        s = self.scene
        return {
            "facts": s.facts.to_json(),
            "size": [s.height, s.width],
            "starts": s.starts,
            "occluder_x": s.occluder_x,
            "events": [[e.frame, e.kind, list(e.objects)] for e in self.events],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Record:
        """The inverse of `to_json`."""
        starts = tuple((float(x), float(y)) for x, y in data["starts"])
        scene = Scene(Facts.from_json(data["facts"]), data["size"][0], data["size"][1], starts, data["occluder_x"])
        return Record(scene, tuple(Event(f, k, tuple(o)) for f, k, o in data["events"]))


def draw_clip(config: TrainConfig, size: Size, rng: np.random.Generator) -> WorldClip:
    """A training clip. The share `crossing` of the clips with several objects is drawn again until two of them meet."""
    meet = rng.random() < config.crossing if config.crossing else False
    for attempt in count():
        try:
            clip = make_clip(sample_facts(rng, counts=config.counts), *size, config.frames, rng)
        except FactsError:  # three large objects do not fit every frame: draw other facts
            continue
        met = any(e.kind == "collision" for e in clip.trajectory.events)
        if not meet or met or len(clip.scene.facts.objects) == 1 or attempt >= MEETINGS:
            break
    return clip


def _make_chunk(
    job: tuple[TrainConfig, Size, int, int],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[dict[str, Any]]]:
    config, (height, width), start, clips = job
    frames = config.frames
    video = np.empty((clips, frames, height, width, 3), np.uint8)
    coverage = np.empty((clips, frames, height, width), np.uint8)
    records = []
    for i in range(clips):
        clip = draw_clip(config, (height, width), np.random.default_rng([config.seed, height, width, start + i]))
        video[i], coverage[i] = clip.frames, clip.coverage
        records.append(Record(clip.scene, clip.trajectory.events).to_json())
    return video, coverage, records


def _name(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def caption_file(folder: Path, size: Size) -> Path:
    """The file of the captions of one size: one JSON string per line, in the order of its clips."""
    return folder / f"{_name(size)}.captions.jsonl"


def clips_of(config: TrainConfig) -> dict[Size, int]:
    """Clips of each size: inverse to its area, so that all sizes fill about as many places of packs."""
    area = [1 / (height * width) for height, width in config.sizes]
    return {size: max(round(config.clips * a / sum(area)), 1) for size, a in zip(config.sizes, area, strict=True)}


def collect(config: TrainConfig, folder: Path, workers: int = 2) -> Iterator[int]:
    """Render the training clips into `folder`; yields the number of clips done. Finished sizes are not rendered again."""
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    with ProcessPoolExecutor(workers) as pool:
        for size, each in clips_of(config).items():
            target = folder / f"{_name(size)}.jsonl"
            if not target.exists():
                jobs = [(config, size, s, min(CHUNK, each - s)) for s in range(0, each, CHUNK)]
                videos, coverages, records = [], [], []
                for video, coverage, rows in pool.map(_make_chunk, jobs):
                    videos.append(video)
                    coverages.append(coverage)
                    records += rows
                    yield done + len(records)
                np.save(folder / f"{_name(size)}.video.npy", np.concatenate(videos))
                np.save(folder / f"{_name(size)}.coverage.npy", np.concatenate(coverages))
                partial = target.with_suffix(".part")
                partial.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
                partial.rename(target)  # last: its presence marks the size as complete
            done += each
            yield done


@dataclass(frozen=True)
class SizeData:
    """The clips of one size: `video` (N, T, H, W, 3) and `coverage` (N, T, H, W) uint8, memory-mapped."""

    size: Size
    video: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.uint8]
    records: list[Record]

    def __len__(self) -> int:
        return len(self.records)


def load(config: TrainConfig, folder: Path) -> list[SizeData]:
    """Open the clips that `collect` rendered, size by size."""
    out = []
    for size in config.sizes:
        stem = folder / _name(size)
        with stem.with_suffix(".jsonl").open(encoding="utf-8") as lines:
            records = [Record.from_json(json.loads(line)) for line in lines]
        video = np.load(f"{stem}.video.npy", mmap_mode="r")
        out.append(SizeData(size, video, np.load(f"{stem}.coverage.npy", mmap_mode="r"), records))
    return out
