"""A run in the layout of VBench's result files, which VBench's readers of `*_eval_results.json` take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sora_eval.runs.foreign import VBENCH
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.util.files import write_atomic
from sora_eval_reports.export.published import Published, name_of


def write(published: Published, folder: Path) -> list[Path]:
    """Write `SUITE_eval_results.json`: `{NAME: [VALUE, [{video_path, video_results}], {signature, unit}]}`.

    NAME is a dimension of VBench only for results of VBench itself; metrics of this project are `sora_eval.METRIC`, since their
    networks and protocols are not VBench's, and no total of VBench may be made of them.
    """
    path = folder / f"{published.run.head.suite.id}_eval_results.json"
    data = results(published)
    write_atomic(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return [path]


def results(published: Published) -> dict[str, list[Any]]:
    """The content of the file; paths are names of files."""
    clips = {sample.id: Path(sample.clip).name or sample.id for sample in published.run.rows(SampleRow)}
    videos: dict[str, list[dict[str, Any]]] = {}
    for score in published.run.rows(ScoreRow):
        if score.status == "ok" and score.value is not None:
            entry = {"video_path": clips.get(score.id, score.id), "video_results": score.value}
            videos.setdefault(score.metric, []).append(entry)
    out: dict[str, list[Any]] = {}
    for row in published.rows:
        if row.metric.startswith(VBENCH) and row.metric.endswith("_score"):
            continue  # a total, which readers make themselves
        facts = {"signature": published.signature(row), "unit": row.unit, "n": f"{row.n_scored}/{row.n_expected}"}
        foreign = row.metric.startswith(VBENCH)
        name = row.metric.removeprefix(VBENCH) if foreign else f"sora_eval.{name_of(row)}"
        out[name] = [row.value, [] if foreign or row.slice != "all" else videos.get(row.metric, []), facts]
    return out
