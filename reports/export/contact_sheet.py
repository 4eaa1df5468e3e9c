"""Pictures: contact sheets of clips."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt

from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import ClipError, RunError
from sora_eval.util.visible import visible
from sora_eval.video.codec import read_clip

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FRAMES = 7  # per row


def contact_sheet(runs: Sequence[RunFolder], path: Path, count: int = 12, cases: Sequence[str] = ()) -> None:
    """Write a PNG: for each of `cases`, or of `count` evenly spaced ones, its prompt and, one row per run, seven frames."""
    samples = [{r.id: r for r in run.rows(SampleRow)} for run in runs]
    ids = list(samples[0])
    cases = cases or [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int))]
    rows = len(cases) * len(runs)
    figure, axes = plt.subplots(rows, FRAMES, figsize=(1.15 * FRAMES + 3.2, 1.2 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for i, case in enumerate(cases):
        titles: list[str] = []
        for j, run in enumerate(runs):
            line = axes[i * len(runs) + j]
            row = samples[j].get(case)
            title = (row or samples[0][case]).prompt or case
            text = "" if title in titles else "\n".join(textwrap.wrap(_plain(title), 34))
            titles.append(title)
            text += f"\n[{_plain(run.head.generator.label)}]" if len(runs) > 1 else ""
            line[0].text(-0.15, 0.5, text, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
            pictures = _frames(run, row)
            if isinstance(pictures, str):
                line[0].text(0, 0.5, textwrap.shorten(_plain(pictures), 90), fontsize=7, color="tab:red", va="center")
                continue
            for ax, picture in zip(line, pictures, strict=False):
                ax.imshow(picture, interpolation="nearest")
    figure.subplots_adjust(left=0.3, right=0.995, top=0.995, bottom=0.005, wspace=0.04, hspace=0.06)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plain(text: str) -> str:
    """Text without control characters and formulas."""
    return visible(text).replace("$", r"\$")


def _frames(run: RunFolder, row: SampleRow | None) -> npt.NDArray[np.uint8] | str:
    if row is None:
        return "not in this run"
    if row.status != "ok":
        return row.error
    try:
        clip: Clip = read_clip(run.clip_file(row.clip))
    except (ClipError, RunError) as error:
        return str(error)
    pictures: npt.NDArray[np.uint8] = clip.frames[np.unique(np.linspace(0, clip.num_frames - 1, FRAMES).round().astype(int))]
    return pictures
