"""The figures of `reference_model.md` over a training: one row per call, from the averaged weights.

`python -m docs.pages.reference_curve --training work/long` judges the last state on disk and appends a row to curve.jsonl.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from docs.pages.reference_model import judged
from docs.pages.reference_page import ROWS
from reference_model.config import SamplingConfig, load_config
from reference_model.onnx.export import export_snapshot
from reference_model.training.log import tokens_until

LIMIT = 60  # clips: a look, not a measurement


def add_point(folder: Path, limit: int = LIMIT) -> dict[str, Any]:
    """Judge the last state on disk of the training in `folder` and append a row to its `curve.jsonl`.

    All points are sampled in one way, guided at all times, whatever way was chosen at the end.
    """
    work = folder / "snapshots"
    config = replace(load_config(folder / "config.json"), sampling=SamplingConfig())
    step = export_snapshot(config, folder, work)
    values = judged("world", f"reference:{work / 'now'}", work / "run", limit)
    row: dict[str, Any] = {"step": step, "tokens": tokens_until(folder, step), "clips": values["clips"]}
    row |= {name: round(values[name], 4) for name in ROWS if values.get(name) is not None}
    with (folder / "curve.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return row


def main(
    training: Annotated[Path, typer.Option(help="Working folder of a training.")] = Path("work/long"),
    limit: Annotated[int, typer.Option(min=1, help="Clips of the suite `world` to make and judge.")] = LIMIT,
) -> None:
    """Judge the last state on disk of a training and add a row to its curve.jsonl."""
    print(add_point(training, limit))


if __name__ == "__main__":
    typer.run(main)
