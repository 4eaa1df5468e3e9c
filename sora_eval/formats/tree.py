"""What lies below a folder: clips of one kind, and everything else."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sora_eval.util.errors import GeneratorError
from sora_eval.util.visible import is_unicode
from sora_eval.video.arrays import ARRAY_SUFFIXES, may_be_clip
from sora_eval.video.codec import VIDEO_SUFFIXES
from sora_eval.video.pictures import PICTURE_SUFFIXES, is_animated, numbered

TENSOR_SUFFIXES = (".pt", ".pth")
KINDS = ("video", "frames", "webp", "array")
MOST_SHOWN = 3
_STEP = re.compile(r"(?:epoch[_=-]?\d+[_-])?(?:global[_-]?)?(?:steps?|checkpoint|ckpt|iter(?:ation)?)[_=-]?(\d{1,15})", re.I)
_SEED = re.compile(r"(?:(.*\S)[ ._-])?seed[_=-]?(\d{1,15})", re.I | re.DOTALL)


@dataclass(frozen=True)
class ClipEntry:
    """A file, or a folder of frames, that holds a clip; paths are relative to the root of its tree.

    `seed` and `step` are those that its path names, `seed_3` or `step_1000`. Seeds of one prompt share the `key`, which is
    the path without seed and step.
    """

    path: str
    key: str
    seed: int | None = None
    step: int | None = None

    @property
    def stem(self) -> str:
        """Last name of the key, without its suffix."""
        return PurePosixPath(self.key).stem if PurePosixPath(self.path).suffix else PurePosixPath(self.key).name


@dataclass(frozen=True)
class Tree:
    """The clips below `root`, of one of KINDS; all other `files`, and all `folders`, by relative path."""

    root: Path
    kind: str
    clips: tuple[ClipEntry, ...]
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def steps(self) -> list[int]:
        """The training steps that all clips are of; empty where some clips name none."""
        steps = {c.step for c in self.clips}
        return [] if None in steps else sorted(s for s in steps if s is not None)

    def of_step(self, step: int) -> Tree:
        """The tree with the clips of one training step only."""
        return replace(self, clips=tuple(c for c in self.clips if c.step == step))

    def left_out(self, used: Iterable[str] = ()) -> str:
        """The entries that are no clips and are not `used` either, for a message; '' for none."""
        holding = {str(p) for c in self.clips for p in [PurePosixPath(c.path), *PurePosixPath(c.path).parents]}
        read = {*used}
        entries = {_outermost(f, holding) or f for f in self.files if f not in read}
        entries |= {_outermost(f"{folder}/entry", holding) for folder in self.folders}
        return left_out(sorted(entries - {""}))

    def content(self) -> str:
        """What the files are by suffix, for a message: `3 .txt, 1 .json`."""
        suffixes = Counter(PurePosixPath(f).suffix.lower() or "without suffix" for f in self.files)
        return ", ".join(f"{n} {suffix}" for suffix, n in suffixes.most_common(2 * MOST_SHOWN)) or "nothing"


def scan(root: Path, kind: str = "") -> Tree:
    """The tree of a folder; hidden entries are left out.

    Its clips are of `kind`, or else of the first of KINDS that occurs: pictures, arrays and tensors beside videos are
    thumbnails and features. A link to nothing with a video's suffix is a clip, whose row says so. Raises GeneratorError for a
    folder that cannot be listed, and a name that is not UTF-8.
    """
    files: list[str] = []
    folders: list[str] = []
    frames: dict[str, list[str]] = {}
    for folder, names, inner in _walk(root):
        folders += [_joined(folder, name) for name in inner]
        files += [_joined(folder, name) for name in names]
        pictures = [n for n in names if _suffix(n) in PICTURE_SUFFIXES]
        if numbered(pictures):
            frames[folder] = [_joined(folder, name) for name in pictures]
    paths: dict[str, Callable[[], list[str]]] = {
        "video": lambda: [f for f in files if _suffix(f) in VIDEO_SUFFIXES],
        "frames": lambda: list(frames),
        "webp": lambda: [f for f in files if _suffix(f) == ".webp" and is_animated(root / f)],
        "array": lambda: [f for f in files if _suffix(f) in TENSOR_SUFFIXES or _is_array(root / f)],
    }
    for name in (kind,) if kind else KINDS:
        if clips := paths[name]():
            break
    inside = {p for folder in clips for p in frames[folder]} if name == "frames" else set(clips)
    if wrong := [p for p in clips if not is_unicode(p)]:
        raise GeneratorError(f"folder:{root}: the file name {Path(wrong[0]).name!r} is not UTF-8; rename the file")
    files = [f for f in files if f not in inside]
    return Tree(root, name if clips else "", tuple(_entry(p, root.name) for p in sorted(clips)), tuple(files), tuple(folders))


def left_out(entries: list[str]) -> str:
    """Entries of a folder that are no clips, for a message; '' for none.

    >>> left_out(["a.txt", "b.txt"])
    '2 entries are no clips and left out: a.txt, b.txt'
    """
    if not entries:
        return ""
    more = f" and {len(entries) - MOST_SHOWN} more" if len(entries) > MOST_SHOWN else ""
    verb = "1 entry is no clip" if len(entries) == 1 else f"{len(entries)} entries are no clips"
    return f"{verb} and left out: {', '.join(entries[:MOST_SHOWN])}{more}"


def step_of(name: str) -> int | None:
    """The training step that the name of a folder says; None for another name.

    >>> step_of("step_1000"), step_of("checkpoint-0500"), step_of("stairs")
    (1000, 500, None)
    """
    match = _STEP.fullmatch(name)
    return int(match[1]) if match else None


def _entry(path: str, root: str) -> ClipEntry:
    """The entry of a clip by its path.

    >>> _entry("step_10/seed_1/cat.mp4", "out"), _entry("a dog_seed2.mp4", "out").key
    (ClipEntry(path='step_10/seed_1/cat.mp4', key='cat.mp4', seed=1, step=10), 'a dog.mp4')
    """
    seed = step = None
    kept: list[str] = []
    *parents, name = PurePosixPath(path).parts or (root,)
    for part in parents:
        if (number := step_of(part)) is not None:
            step = number
        elif match := _SEED.fullmatch(part):
            seed, kept = int(match[2]), kept + [match[1]] * bool(match[1])
        else:
            kept.append(part)
    suffix = "" if path == "." else PurePosixPath(name).suffix
    stem = name.removesuffix(suffix)
    if (match := _SEED.fullmatch(stem)) and (match[1] or kept):  # `seed_3.mp4` is a seed of what its folder names
        seed, stem = int(match[2]), match[1] or kept.pop()
    return ClipEntry(path, "/".join([*kept, stem + suffix]), seed, step)


def _walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every folder below the root, itself first: its relative path ('.' for the root), names of files and of folders."""
    seen: set[str] = set()  # a link may lead back
    waiting = ["."]
    while waiting:
        folder = waiting.pop()
        path = root / folder
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        try:
            entries = sorted((e for e in os.scandir(path) if not e.name.startswith(".")), key=lambda e: e.name)
            inner = [e.name for e in entries if e.is_dir()]
        except OSError as error:
            raise GeneratorError(f"folder:{path} cannot be listed: {error.strerror}") from error
        yield folder, [e.name for e in entries if e.name not in set(inner)], inner
        waiting += [_joined(folder, name) for name in reversed(inner)]


def _joined(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _is_array(path: Path) -> bool:
    return path.suffix.lower() in ARRAY_SUFFIXES and may_be_clip(path)


def _outermost(path: str, holding: set[str]) -> str:
    """The outermost folder around an entry that holds no clip, with a slash; '' where all hold some."""
    folders = [str(parent) for parent in list(PurePosixPath(path).parents)[-2::-1]]
    return next((f"{folder}/" for folder in folders if folder not in holding), "")
