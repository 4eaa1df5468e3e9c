"""What a layout is: a rule that reads the prompts and seeds of the clips of a folder from names and other files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sora_eval.formats.file_names import ids_of
from sora_eval.formats.manifest_rows import ManifestRow
from sora_eval.formats.tree import ClipEntry, Tree, step_of
from sora_eval.records.names import safe_id


@dataclass(frozen=True)
class Captioned:
    """A clip with what a layout says of it; `seed` is None and `prompt_id` '' where it says nothing."""

    path: str
    key: str
    prompt: str = ""
    seed: int | None = None
    prompt_id: str = ""

    @classmethod
    def of(cls, entry: ClipEntry, prompt: str = "", prompt_id: str = "") -> Captioned:
        """An entry with its prompt."""
        return cls(entry.path, entry.key, prompt, entry.seed, prompt_id)


@dataclass(frozen=True)
class Reading:
    """The clips that a layout reads from a tree, the files that it `used` for that, and notes on what it left out."""

    clips: Sequence[Captioned]
    used: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Layout:
    """A layout by its name; `about` says how its files lie.

    `read` gets a tree, and whether the user asked for this layout. It returns None for a tree of another layout, and raises
    GeneratorError for one of this layout with a fault. `of_table` does the same with one table of the tree's root.
    """

    name: str
    about: str
    read: Callable[[Tree, bool], Reading | None]
    of_table: Callable[[Tree, str], Reading | None] | None = None


@dataclass(frozen=True)
class Listing:
    """The clips of a folder: rows with paths relative to `root`, the name of the layout, the training step if it is one's."""

    root: Path
    layout: str
    rows: list[ManifestRow]
    kind: str = "video"
    step: int | None = None
    notes: list[str] = field(default_factory=list)


def rows_of(clips: Iterable[Captioned]) -> list[ManifestRow]:
    """The rows of clips, in which seeds of one prompt share its id.

    Clips of equal text are of one prompt, whose id is that of the first one; a clip without a seed is the next seed of its
    prompt. Where two clips would have one id and seed, a digest of the path is added to the id of each.
    """
    clips = list(clips)
    ids = _prompt_ids(clips)
    counts: Counter[str] = Counter()
    rows = []
    for clip, prompt_id in zip(clips, ids, strict=True):
        seed = clip.seed
        if seed is None:
            seed = counts[prompt_id] if clip.prompt.strip() else 0
            counts[prompt_id] += 1
        rows.append(ManifestRow(path=clip.path, prompt=clip.prompt, prompt_id=prompt_id, seed=seed))
    uses = Counter((r.prompt_id, r.seed) for r in rows)
    return [_apart(r) if uses[r.prompt_id, r.seed] > 1 else r for r in rows]


def _prompt_ids(clips: list[Captioned]) -> list[str]:
    """The id of each clip's prompt: the one that the layout gives, or that of the first key with its text; or that of its own
    key, where it has no text, or equal seeds say that the text was asked for several times."""
    ids = ids_of(c.key for c in clips)
    seeds: dict[str, Counter[int]] = {}
    first: dict[str, str] = {}
    for clip in clips:
        first.setdefault(clip.prompt, clip.key)
        seeds.setdefault(clip.prompt, Counter()).update([] if clip.seed is None else [clip.seed])
    shared = {text for text, counts in seeds.items() if text.strip() and max(counts.values(), default=1) == 1}
    return [c.prompt_id or ids[first[c.prompt] if c.prompt in shared else c.key] for c in clips]


def _apart(row: ManifestRow) -> ManifestRow:
    """The row with an id of its path's own, the same in every training step."""
    place = "/".join(part for part in row.path.split("/") if step_of(part) is None)
    digest = hashlib.sha256(place.encode()).hexdigest()[:12]
    return row.model_copy(update={"prompt_id": safe_id(f"{row.prompt_id[:100]}-{digest}")})
