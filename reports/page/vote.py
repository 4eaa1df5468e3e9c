"""The page of blind votes: one file that opens offline. It names no run, and text of runs is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import ClipError, RunError
from sora_eval.video.codec import read_clip
from sora_eval.votes.ballot import Pair
from sora_eval_reports.page import gallery
from sora_eval_reports.page.page import file_of, to_script

QUALITY = 92  # of WebP: voters judge the clips, not their compression
MOST_FRAMES = 128  # of longer clips, evenly spaced ones


def render(ballot: str, runs: Sequence[RunFolder], pairs: Sequence[Pair], side: int, seed: int) -> tuple[str, int, list[str]]:
    """The HTML, how many pairs it shows, and why others could not be read.

    The clips of a pair are in an order that `seed` draws, so that its source does not tell the runs apart either; the page
    draws its own order and sides for every voter.
    """
    swapped = np.random.default_rng([seed, 1]).random(len(pairs)) < 0.5
    shown: list[dict[str, Any]] = []
    unreadable: list[str] = []
    for pair, swap in zip(pairs, swapped.tolist(), strict=True):
        try:
            clips = [_clip(run, sample, side) for run, sample in zip(runs, pair.clips, strict=True)]
        except (ClipError, RunError) as error:
            unreadable.append(f"{pair.case} left out: {error}")
            continue
        shown.append({"case": pair.case, "prompt": pair.prompt, "clips": clips[::-1] if swap else clips})
    environment = Environment(
        loader=PackageLoader("sora_eval_reports.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    script, css = Markup(file_of("vote.js")), Markup(file_of("vote.css"))
    data = to_script({"ballot": ballot, "pairs": shown})
    return environment.get_template("vote.html.j2").render(data=data, script=script, css=css), len(shown), unreadable


def _clip(run: RunFolder, sample: SampleRow, side: int) -> dict[str, Any]:
    """What the page's player needs of one clip. Raises ClipError, RunError."""
    clip = read_clip(run.clip_file(sample.clip))
    if clip.sha256 != sample.sha256:
        raise RunError("a clip has changed since it was made")
    sprite = gallery.encode(clip, False, side, QUALITY, MOST_FRAMES)
    return {
        "sha256": sample.sha256,
        "uri": sprite.uri,
        "columns": sprite.columns,
        "width": sprite.width,
        "height": sprite.height,
        "numbers": sprite.numbers,
        "fps": sprite.fps,
    }
