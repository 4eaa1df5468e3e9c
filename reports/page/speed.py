"""Speed for charts: seconds by resolution and aspect ratio, and by tokens. Medians of a run's own repeats."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from sora_eval.speed.served import SERVE
from sora_eval_reports.frames import Frames
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text.columns import SERVED_COLUMNS

# The usual ratios of videos; a shape on a grid of 8 px gets the nearest.
ASPECTS = {
    "9:21": 9 / 21,
    "9:16": 9 / 16,
    "2:3": 2 / 3,
    "3:4": 3 / 4,
    "1:1": 1.0,
    "4:3": 4 / 3,
    "3:2": 1.5,
    "16:9": 16 / 9,
    "21:9": 21 / 9,
}
NEAR = 1.15  # sides (square roots of areas) within 15 % are one resolution


def whole_calls(timings: pd.DataFrame) -> pd.DataFrame:
    """The repeats of whole single clips, with their shape; other stages, batches and failures are left out."""
    timed = timings[timings["stage"].eq("whole") & timings["seconds"].notna() & timings["width"].notna()]
    if "batch" in timed:
        timed = timed[timed["batch"].isna() | timed["batch"].eq(1)]
    shape = timed["width"].astype(str) + "x" + timed["height"].astype(str) + "x" + timed["frames"].astype(str)
    return timed.assign(shape=shape)


def heat_rows(timings: pd.DataFrame, labels: dict[str, str]) -> list[dict[str, Any]]:
    """One row per (run, length, resolution, aspect ratio) with the median seconds; small and wide shapes last."""
    calls = whole_calls(timings)
    if calls.empty:
        return []
    keys = ["run", "shape", "width", "height", "frames"]
    medians = calls.groupby(keys, sort=False)["seconds"].agg(["median", "size"]).reset_index()
    side = resolutions(medians["width"].astype(int).tolist(), medians["height"].astype(int).tolist())
    rows = [
        {
            "run": labels[r["run"]],
            "frames": int(r["frames"]),
            "shape": r["shape"],
            "aspect": nearest_aspect(int(r["width"]), int(r["height"])),
            "side": name,
            "resolution": f"≈{name}²",
            "seconds": r["median"],
            "repeats": int(r["size"]),
        }
        for r, name in zip(medians.to_dict("records"), side, strict=True)
    ]
    # Two shapes that fall into one cell are distinguished by their size.
    cells: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        cells.setdefault((row["run"], row["frames"], row["aspect"], row["side"]), set()).add(row["shape"])
    for row in rows:
        if len(cells[row["run"], row["frames"], row["aspect"], row["side"]]) > 1:
            row["resolution"] = row["shape"].rpartition("x")[0]
    order = list(ASPECTS)
    return sorted(rows, key=lambda r: (r["frames"], -r["side"], order.index(r["aspect"])))


def nearest_aspect(width: int, height: int) -> str:
    """The name of the nearest usual ratio, by its logarithm.

    >>> nearest_aspect(40, 24)
    '16:9'
    """
    return min(ASPECTS, key=lambda name: abs(math.log(width / height / ASPECTS[name])))


def resolutions(widths: list[int], heights: list[int]) -> list[int]:
    """For each shape the side (px) of the square of equal area; sides within 15 % of a larger one take its value.

    >>> resolutions([32, 40, 48], [32, 24, 48])
    [32, 32, 48]
    """
    sides = [math.sqrt(w * h) for w, h in zip(widths, heights, strict=True)]
    names: dict[float, int] = {}
    top = math.inf
    for side in sorted(set(sides), reverse=True):
        if top / side > NEAR:
            top = side
        names[side] = round(top)
    return [names[s] for s in sides]


def token_rows(timings: pd.DataFrame, labels: dict[str, str]) -> list[dict[str, Any]]:
    """One row per repeat of a whole call with known tokens."""
    calls = whole_calls(timings)
    calls = calls[calls["tokens"].notna()]
    return [
        {"run": labels[r["run"]], "shape": r["shape"], "tokens": int(r["tokens"]), "seconds": round(r["seconds"], 5)}
        for r in calls.sort_values("tokens").to_dict("records")
    ]


def stage_rows(timings: pd.DataFrame, labels: dict[str, str]) -> list[dict[str, str]]:
    """One row per (run, shape): median seconds of every stage, as text."""
    timed = timings[timings["seconds"].notna() & ~_is_served(timings)]
    if timed.empty:
        return []
    medians = timed.pivot_table(index=["run", "id"], columns="stage", values="seconds", aggfunc="median", sort=False)
    named = [str(s) for s in medians]
    stages = [s for s in ("first", "whole") if s in named] + [s for s in named if s not in ("first", "whole")]
    return [
        {"run": labels[str(run)], "shape": str(shape), **{s: number(row[s]) for s in stages}}
        for (run, shape), row in zip(medians.index, medians.to_dict("records"), strict=True)
    ]


def served_rows(frames: Frames, labels: dict[str, str]) -> list[dict[str, str]]:
    """One row per (run, rate) of an open loop: medians of the repeats with their intervals, or why there is none, as text."""
    rates = set(frames.timings["id"][_is_served(frames.timings)])
    metrics = frames.metrics[frames.metrics["slice"].isin(rates) & frames.metrics["status"].ne("error")]
    rows = []
    for (run, rate), own in metrics.groupby(["run", "slice"], sort=False):
        by_metric = {r["metric"]: r for r in own.to_dict("records")}
        row = {"run": labels[str(run)], "rate": str(rate)}
        for column in SERVED_COLUMNS:
            if (r := by_metric.get(column.metric)) is None:
                row[column.title] = "-"
            elif r["status"] == "ok":
                ends = interval(r["low"], r["high"])
                row[column.title] = number(r["value"]) + (f" ({ends})" if ends != "-" else "")
            else:
                row[column.title] = f"{r['status']}: {r['reason']}"
        rows.append(row)
    return rows


def _is_served(timings: pd.DataFrame) -> pd.Series[bool]:
    """Whether a row is a request of an open loop."""
    return timings["scenario"].eq(SERVE) if "scenario" in timings else timings["id"].isna()
