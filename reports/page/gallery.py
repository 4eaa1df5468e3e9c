"""The clips of a report: their choice, and their sprites for the page's player, with the tracks of their objects."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from sora_eval.features.object_tracks import BlobTracks, tracks
from sora_eval.records.clip import Clip
from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import ClipError, RunError
from sora_eval.video.codec import read_clip
from sora_eval_reports.source import LoadedRun

LONGEST_SIDE = 224  # px; larger clips are scaled down
MOST_FRAMES = 48  # of longer clips, evenly spaced ones
LOSSLESS_SIDE = 64  # px; small pictures lose their pixels to compression first
ORDERS = {"worsened": "most worsened", "improved": "most improved", "worst": "worst of new", "best": "best of new"}


@dataclass(frozen=True)
class Sprite:
    """A clip as one picture, its frames in a grid: `uri` (WebP), grid `columns`, size of a frame in px, the `numbers` of its
    frames, and tracks: colour to [x, y] in px of the clip, or None, per frame of the sprite."""

    uri: str
    columns: int
    width: int
    height: int
    clip_width: int
    numbers: list[int]
    fps: float
    tracks: dict[str, list[list[float] | None]]


def choose(paired: pd.DataFrame, better: dict[str, bool | None], count: int) -> dict[str, list[str]]:
    """Case ids, at most `count`, with the reasons for each.

    The extremes of every metric take turns: most worsened and most improved by paired difference, worst and best by the
    value of the new run. Of a metric without a better end, worse means lower. `paired` has metric, id, new and, with two
    runs, base.
    """
    lists = []
    for metric, rows in paired.groupby("metric", sort=False):
        sign = -1.0 if better.get(str(metric)) is False else 1.0
        values = {"worst": sign * rows["new"], "best": -sign * rows["new"]}
        if "base" in rows:
            change = sign * (rows["new"] - rows["base"])
            values = {"worsened": change[change < 0], "improved": -change[change > 0]} | values
        for order, by in values.items():
            ids = rows.loc[by.dropna().sort_values(kind="stable").index[:count], "id"]
            lists.append([(i, f"{ORDERS[order]}: {metric}") for i in ids])
    reasons: dict[str, list[str]] = {}
    for turn in zip_longest(*lists):
        for case, why in filter(None, turn):
            if case in reasons or len(reasons) < count:
                reasons.setdefault(case, []).append(why)
        if len(reasons) >= count:
            break
    return reasons


def sprite(run: LoadedRun, sample: SampleRow | None, tracked: bool, asked: str) -> Sprite | str:
    """The clip of a case as a sprite, or the reason why there is none: `asked` is the prompt of the card."""
    if sample is None:
        return "this case is not in the run"
    if asked and sample.prompt and sample.prompt != asked:
        return f"another prompt has this id in the run: {sample.prompt}"
    if sample.status != "ok":
        return f"no clip: {sample.error}"
    try:
        clip = read_clip(run.clip_file(sample.clip))
    except (ClipError, RunError) as error:
        return f"no clip: {error}"
    note = "" if clip.sha256 == sample.sha256 else "the clip has changed since it was made"
    return note or encode(clip, tracked)


def encode(clip: Clip, tracked: bool, side: int = LONGEST_SIDE, quality: int = 80, most: int = MOST_FRAMES) -> Sprite:
    """A clip as a sprite of at most `most` frames and `side` px; with `tracked`, the tracks of its coloured objects too."""
    numbers = np.unique(np.linspace(0, clip.num_frames - 1, min(clip.num_frames, most)).round().astype(int))
    shrink = min(1.0, side / max(clip.width, clip.height))
    width, height = max(1, round(clip.width * shrink)), max(1, round(clip.height * shrink))
    frames = [f if shrink == 1 else cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in clip.frames[numbers]]
    columns = int(np.ceil(np.sqrt(len(frames))))
    sheet = np.zeros((int(np.ceil(len(frames) / columns)) * height, columns * width, 3), np.uint8)
    for i, frame in enumerate(frames):
        y, x = divmod(i, columns)
        sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = frame
    objects = tracks(BlobTracks()(clip)) if tracked else {}
    return Sprite(
        _webp(sheet, max(width, height) <= LOSSLESS_SIDE, quality),
        columns,
        width,
        height,
        clip.width,
        numbers.tolist(),
        clip.fps,
        {name: [_point(p) for p in track.position[numbers]] for name, track in objects.items()},
    )


def _point(position: npt.NDArray[np.float64]) -> list[float] | None:
    return [round(float(v), 2) for v in position] if np.isfinite(position).all() else None


def _webp(picture: npt.NDArray[np.uint8], lossless: bool, quality: int) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", lossless=lossless, quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
