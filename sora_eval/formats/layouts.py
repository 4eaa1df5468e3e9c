"""All layouts of folders, in the order in which they are tried, and the clips of a folder by the first that fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sora_eval.formats.layout import Layout, Listing, Reading, rows_of
from sora_eval.formats.manifest import MANIFESTS, listing_of, manifest_in
from sora_eval.formats.manifest_rows import COLUMNS
from sora_eval.formats.openvid import OPENVID
from sora_eval.formats.panda import PANDA
from sora_eval.formats.physics_iq import PHYSICS_IQ
from sora_eval.formats.plain import PLAIN
from sora_eval.formats.prompts_file import PROMPTS_FILE
from sora_eval.formats.tables import columns_of
from sora_eval.formats.tree import KINDS, Tree, scan, step_of
from sora_eval.formats.vbench import VBENCH
from sora_eval.formats.video_folder import VIDEO_FOLDER
from sora_eval.formats.vidprom import VIDPROM
from sora_eval.formats.webdataset import WEBDATASET
from sora_eval.formats.webvid import WEBVID
from sora_eval.util.errors import GeneratorError, near
from sora_eval.video.codec import VIDEO_SUFFIXES

MANIFEST = "manifest"
LAYOUTS: tuple[Layout, ...] = (
    VIDEO_FOLDER,
    OPENVID,
    WEBVID,
    VIDPROM,
    PANDA,
    PHYSICS_IQ,
    PROMPTS_FILE,
    WEBDATASET,
    VBENCH,
    PLAIN,
)
NAMES = (MANIFEST, *(layout.name for layout in LAYOUTS))


def check_layout(layout: str, kind: str) -> None:
    """Raises GeneratorError for a layout or a kind of clips that is not known; '' is any."""
    if layout and layout not in NAMES:
        raise GeneratorError(f"layout={layout} is not known{near(layout, NAMES)}")
    if kind and kind not in KINDS:
        raise GeneratorError(f"clips={kind} is not known{near(kind, KINDS)}")


def list_clips(path: Path, layout: str = "", kind: str = "", step: int | None = None) -> Listing:
    """The clips of a folder, or of a table of clips, by a layout, or by the first one that fits.

    `kind` is one of KINDS, and `step` a training step that the folders of the clips name. Raises GeneratorError for a path that
    holds no clips, and for one that the layout does not fit.
    """
    check_layout(layout, kind)
    if path.is_file():
        return _of_table(path, layout)
    if not path.is_dir():
        raise GeneratorError(f"folder:{path}: neither a folder nor a manifest file")
    manifest = manifest_in(path)
    if layout == MANIFEST and manifest is None:
        raise GeneratorError(f"folder:{path}: layout=manifest: found none of {', '.join(MANIFESTS)}")
    if manifest is not None and layout in ("", MANIFEST):
        return listing_of(manifest)
    tree = scan(path, kind)
    if not tree.clips:
        raise _without_clips(path, kind, tree)
    tree, step = _of_one_step(tree, step)
    chosen, reading = _read(tree, layout)
    listing = Listing(path, chosen.name, rows_of(reading.clips), tree.kind, step, list(reading.notes))
    if without := tree.left_out(reading.used):
        listing.notes.append(without)
    return listing


def _of_table(path: Path, layout: str) -> Listing:
    """The clips of a table: a manifest, or that of a data set, whose clips lie beside and below it."""
    if layout != MANIFEST and not {*COLUMNS["path"]} & columns_of(path):
        tree = scan(path.parent)
        for known in LAYOUTS:
            if layout in ("", known.name) and known.of_table and (reading := known.of_table(tree, path.name)):
                return Listing(path.parent, known.name, rows_of(reading.clips), tree.kind, None, list(reading.notes))
    return listing_of(path)


def _read(tree: Tree, name: str) -> tuple[Layout, Reading]:
    for layout in LAYOUTS:
        if name in ("", layout.name) and (reading := layout.read(tree, bool(name))) is not None:
            return layout, reading
    about = next(layout.about for layout in LAYOUTS if layout.name == name)
    examples = _shown([c.path for c in tree.clips])
    raise GeneratorError(f"folder:{tree.root}: layout={name}: expected {about}; found {examples}")


def steps_of(path: Path, layout: str = "", kind: str = "") -> list[int]:
    """The training steps of a folder of training outputs; empty for any other path."""
    if not path.is_dir() or layout == MANIFEST or (not layout and manifest_in(path)):
        return []
    return scan(path, kind).steps


def _of_one_step(tree: Tree, step: int | None) -> tuple[Tree, int | None]:
    """The clips of a training step, and the step: the one asked for, the only one, or that of the root's name."""
    steps = tree.steps
    if step is not None:
        if step not in steps:
            known = f"found the steps {_shown(steps)}" if steps else "no folder of its clips names a step, such as step_1000"
            raise GeneratorError(f"folder:{tree.root}: step={step}: {known}")
        return tree.of_step(step), step
    if len(steps) > 1:
        each = f"folder:{tree.root}?step={steps[0]}"
        raise GeneratorError(
            f"folder:{tree.root} holds the clips of {len(steps)} training steps ({_shown(steps)}), and a generator is of one; "
            f"name it: {each}"
        )
    return tree, steps[0] if steps else step_of(tree.root.resolve().name)


def _without_clips(path: Path, kind: str, tree: Tree) -> GeneratorError:
    suffixes = ", ".join(VIDEO_SUFFIXES)
    what = f"clips of the kind {kind}" if kind else f"video ({suffixes})"
    other = "" if kind else ", no folder of numbered frames, no animated WebP, no array (.npy, .npz, .pt)"
    return GeneratorError(
        f"folder:{path} holds no {what}{other} and no manifest ({', '.join(MANIFESTS)}); it holds {tree.content()}; "
        f"layouts tried: {', '.join(NAMES)}"
    )


def _shown(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:3])) + (", ..." if len(values) > 3 else "")
