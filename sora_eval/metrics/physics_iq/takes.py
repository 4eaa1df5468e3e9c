"""The real clips of the Physics-IQ benchmark: two takes of every scenario from every view, identified by file name.

0001_testing-videos_30FPS_perspective-left_take-1_trimmed-ball-and-block-fall.mp4   a real take
0001_perspective-left_trimmed-ball-and-block-fall.mp4                               a generated clip
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import ClipError, Undefined
from sora_eval.video.codec import VIDEO_SUFFIXES

SECONDS = 5
FPS_SLACK = 0.01  # 29.97 is 30
_NAME = re.compile(
    r"^(?P<number>\d+)_(?:(?P<kind>[a-z]+-[a-z]+)_)?(?:(?P<fps>\d+)FPS_)?"
    r"(?P<view>perspective-[a-z]+)_(?:take-(?P<take>\d+)_)?(?:trimmed-)?(?P<scenario>.+)$"
)
KINDS = (None, "testing-videos")  # others are conditioning and full videos
MASKS = "video-masks"
GENERATED = "generated"  # where the published code keeps the masks of generated clips, under the names of takes

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shot:
    """The parts of a file name: view and scenario, number of the take (None of a generated clip), rate where it has one."""

    view: str
    scenario: str
    take: int | None
    fps: int | None
    kind: str | None


def parse_name(name: str) -> Shot | None:
    """The parts of a file name with or without its suffix; None for a name that is not of the benchmark.

    >>> parse_name("0001_testing-videos_30FPS_perspective-left_take-1_trimmed-ball-fall.mp4")
    Shot(view='perspective-left', scenario='ball-fall', take=1, fps=30, kind='testing-videos')
    """
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in VIDEO_SUFFIXES else name
    parts = _NAME.match(stem)
    if parts is None:
        return None
    take, fps = (int(v) if v else None for v in (parts["take"], parts["fps"]))
    return Shot(parts["view"], parts["scenario"], take, fps, parts["kind"])


Key = tuple[str, str, int]  # view, scenario, number of the take


@dataclass(frozen=True)
class Take:
    """The files of one take at one rate: its video, and its motion masks where the benchmark ships them."""

    video: Path
    masks: Path | None


@dataclass(frozen=True)
class Takes:
    """The takes below a folder and their videos of masks, by (view, scenario, take); one file per rate of each."""

    folder: Path
    files: dict[Key, dict[int | None, Path]]
    masks: dict[Key, dict[int | None, Path]]

    @staticmethod
    def find(folder: Path) -> Takes:
        """The takes of a folder and all folders below it. Raises ClipError for none, or for two files of one take and rate."""
        if not folder.is_dir():
            raise ClipError(
                f"physics_iq: real = {str(folder)!r} is not a folder; give the one that holds the benchmark's takes"
            )
        files: dict[Key, dict[int | None, Path]] = {}
        masks: dict[Key, dict[int | None, Path]] = {}
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES):
            shot = parse_name(path.name)
            if shot is None or shot.take is None or shot.kind not in (*KINDS, MASKS):
                continue
            if shot.kind == MASKS and GENERATED in path.relative_to(folder).parts:
                continue
            rates = (masks if shot.kind == MASKS else files).setdefault((shot.view, shot.scenario, shot.take), {})
            if shot.fps in rates:
                raise ClipError(f"physics_iq: {path} and {rates[shot.fps]} are the same take at the same rate; remove one")
            rates[shot.fps] = path
        if not files:
            raise ClipError(
                f"physics_iq: no real take below {folder}; expected names such as "
                "0001_testing-videos_30FPS_perspective-left_take-1_trimmed-ball-and-block-fall.mp4"
            )
        return Takes(folder, files, masks)

    def take(self, view: str, scenario: str, take: int, fps: float) -> Take:
        """The files of a take at a rate, within 1 %. Raises Undefined if there is no video of it."""
        rates = self.files.get((view, scenario, take))
        if rates is None:
            raise Undefined(f"{self.folder} has no take {take} of {scenario}, {view}")
        video = _at(rates, fps)
        if video is None:
            raise Undefined(
                f"take {take} of {scenario}, {view}, is there at {sorted(f or 0 for f in rates)} fps, not at {fps:g}"
            )
        return Take(video, _at(self.masks.get((view, scenario, take), {}), fps))

    def pairs(self, fps: float) -> list[tuple[Take, Take]]:
        """Takes 1 and 2 of every scenario and view that has both at a rate."""
        out = []
        for view, scenario in dict.fromkeys((v, s) for v, s, _ in self.files):
            try:
                out.append((self.take(view, scenario, 1, fps), self.take(view, scenario, 2, fps)))
            except Undefined:
                continue
        return out

    @property
    def content(self) -> str:
        """Hash (12 hex digits) of names and content of all takes and masks."""
        parts = sorted(
            f"{p.name}|{hash_of(p)}" for kind in (self.files, self.masks) for rates in kind.values() for p in rates.values()
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _at(rates: dict[int | None, Path], fps: float) -> Path | None:
    return next((p for f, p in rates.items() if f is not None and abs(f - fps) <= FPS_SLACK * fps), rates.get(None))


def hash_of(path: Path) -> str:
    """sha256 of a file's bytes; computed again when size or time of the file changes."""
    stat = path.stat()
    return _hash(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_length(frames: int, fps: float, what: str) -> None:
    """Raises Undefined unless that number of frames is exactly five seconds."""
    expected = round(SECONDS * fps)
    if frames != expected:
        raise Undefined(f"{what} has {frames} frames at {fps:g} fps; Physics-IQ takes exactly {SECONDS} s, {expected} frames")


def frames_of(path: Path, fps: float) -> Iterator[Frame]:
    """The frames (H, W, 3) of a take, one by one, since five seconds of 4K do not fit memory. Raises Undefined for another
    rate or length, and for a file that is no video."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # as clips are decoded: damage is known before a frame is handed on
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            if abs(rate - fps) > FPS_SLACK * fps:
                raise Undefined(f"the real take {path.name} has {rate:g} fps, the clip {fps:g}; make both the same")
            number = 0
            for frame in container.decode(stream):
                number += 1
                if frame.is_corrupt:
                    raise Undefined(f"the real take {path.name} is damaged at frame {number}; make it again")
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.error.FFmpegError, IndexError) as error:
        raise Undefined(f"the real take {path.name} cannot be decoded: {error}") from error
    check_length(number, fps, f"the real take {path.name}")
