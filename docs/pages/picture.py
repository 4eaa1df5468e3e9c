"""The block of `docs/metrics.md` on pictures: how steadily metrics without a reference follow blur, noise and blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer

from docs.pages.program import between, launch, write_page
from sora_eval.features.scene_statistics import SceneStatistics
from sora_eval.records.clip import Clip
from sora_eval.selfcheck.material import open_material
from sora_eval.selfcheck.responses import rank_correlation
from sora_eval.stats.natural_scene import clip_distances
from sora_eval.util.progress import track
from sora_eval.video.corruptions import STRENGTHS, corrupt
from sora_eval_reports.text.tables import markdown

MARK = "picture"
COMMAND = "python -m docs.pages.picture"
DAMAGES = ("blur", "noise", "jpeg_blocks")
KINDS: dict[str, tuple[Literal["contrast", "niqe"], Literal["natural-scene", "niqe"]]] = {
    "natural_scene": ("contrast", "natural-scene"),
    "niqe_refitted": ("niqe", "niqe"),
}

Floats = npt.NDArray[np.float64]


def main(
    clips: Annotated[list[str] | None, typer.Option(help="Suites of world prompts, or folder:PATH; several.")] = None,
    n: Annotated[int, typer.Option("--n", min=3, help="Clips of each, at most.")] = 16,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each clip, evenly spaced, that are damaged and seen.")] = 8,
    page: Annotated[Path, typer.Option(help="The page with the block.")] = Path("docs/metrics.md"),
) -> None:
    """Damage clips, measure them against the clean reference clips, and write the block of docs/metrics.md."""
    sources = clips or ["world"]
    rows = [row for source in sources for row in measured(source, n, frames)]
    given = " ".join(f"--clips {'folder:PATH' if s.startswith('folder:') else s}" for s in sources)
    write_page(
        page, between(page.read_text(encoding="utf-8"), MARK, page_block(rows, f"{COMMAND} {given} --frames {frames}", frames))
    )


def measured(source: str, n: int, frames: int) -> Iterator[dict[str, str]]:
    """A row per metric: rank correlations of strength with the mean distance, and the mean of those of each clip."""
    folder = source.startswith("folder:")
    material = open_material(source, n)
    distances: dict[tuple[str, str], Floats] = {}
    places = range(len(material.cases))
    some = [_some(material.clip(i), frames) for i in places]
    reference = [_some(material.reference(i), frames) for i in places]
    for metric, (features, kind) in KINDS.items():
        extractor = SceneStatistics(features)
        real = np.stack([extractor(c) for c in reference])
        for damage in track(DAMAGES, f"{metric} of {'a folder' if folder else source}"):
            cells = []
            for strength in (0.0, *STRENGTHS):
                damaged = (corrupt(c, damage, strength, material.cases[i].id) for i, c in enumerate(some))
                cells.append(np.stack([extractor(c) for c in damaged]))
            distances[metric, damage] = np.stack([clip_distances(kind, cell, real) for cell in cells])
        row = {"clips": f"{len(some)} of {'a folder' if folder else source}", "metric": metric}
        for damage in DAMAGES:
            curves = distances[metric, damage] - distances[metric, damage][0]  # (strengths, clips)
            whole = rank_correlation(STRENGTHS, curves[1:].mean(1).tolist()) or 0.0
            each = [rank_correlation(STRENGTHS, curve[1:].tolist()) or 0.0 for curve in curves.T]
            row[damage] = f"{whole:.2f} ({np.mean(each):.2f})"
        yield row


def _some(clip: Clip, frames: int) -> Clip:
    places = np.linspace(0, clip.num_frames - 1, min(frames, clip.num_frames)).round().astype(int)
    return Clip(clip.frames[np.unique(places)], clip.fps)


def page_block(rows: list[dict[str, str]], command: str, frames: int) -> str:
    """The block in Markdown."""
    about = (
        f"Written by `{command}`, {frames} frames of each clip. Rank correlation of the strength (0 to 1 in fifths) with the "
        "mean distance, and in brackets the mean over clips of each one's own."
    )
    return f"{about}\n\n{markdown(pd.DataFrame(rows))}"


if __name__ == "__main__":
    launch(main)
