"""A run for the Hugging Face Hub: `model-index` of a model card, and `.eval_results` of a model's repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sora_eval.util.errors import RunError
from sora_eval.util.files import write_atomic
from sora_eval_reports.export.published import Published, name_of

TASK = "text-to-video"


def write_model_index(published: Published, folder: Path) -> list[Path]:
    """Write `model-index.yaml`, which goes into the front matter of a model card (hub-docs, `modelcard.md`)."""
    metrics = [
        {
            "type": row.metric,
            "name": name_of(row),
            "value": row.value,
            "args": {"signature": published.signature(row), "unit": row.unit, "n": f"{row.n_scored}/{row.n_expected}"},
        }
        for row in published.rows
    ]
    dataset: dict[str, Any] = {"type": published.dataset or published.run.head.suite.id, "name": published.suite}
    if published.note:
        dataset["args"] = {"note": published.note}
    result = {"task": {"type": TASK}, "dataset": dataset, "metrics": metrics}
    return _written(folder / "model-index.yaml", {"model-index": [{"name": published.model, "results": [result]}]})


def write_results(published: Published, folder: Path) -> list[Path]:
    """Write `.eval_results/SUITE.yaml`, one entry per value (huggingface.co/docs/hub/eval-results).

    Raises RunError without a data set: the Hub shows results of a registered one only.
    """
    if not published.dataset:
        raise RunError("hub-results names the benchmark's data set on the Hub: give --dataset OWNER/NAME")
    head = published.run.head
    entries = [
        {
            "dataset": {"id": published.dataset, "task_id": name_of(row)},
            "value": row.value,
            "date": head.finished or head.started,
            "notes": "; ".join(filter(None, [published.suite, published.signature(row), published.note])),
        }
        for row in published.rows
    ]
    return _written(folder / ".eval_results" / f"{head.suite.id}.yaml", entries)


def _written(path: Path, data: Any) -> list[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000))
    return [path]
