"""A run as one record of Every Eval Ever (github.com/evaleval/every_eval_ever, `eval.schema.json` 0.2.1)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from sora_eval.runs.rows import MetricRow
from sora_eval.util.files import write_atomic
from sora_eval_reports.export.published import Published, name_of

SCHEMA = "0.2.1"
UNBOUNDED = sys.float_info.max  # the schema wants both ends of every scale


def write(published: Published, folder: Path) -> list[Path]:
    """Write `every_eval_ever.json`; returns the file. A metric without a better direction is left out: the schema has no place
    for it."""
    path = folder / "every_eval_ever.json"
    write_atomic(path, json.dumps(record(published), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return [path]


def record(published: Published) -> dict[str, Any]:
    """The record; additional details are texts, as the schema has it."""
    head, now = published.run.head, f"{time.time():.0f}"
    suite, model = head.suite.id, published.model
    facts = {"suite": published.suite, "fingerprint": head.generator.fingerprint, "run": head.run or published.run.name}
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{suite}/{model.replace('/', '_')}/{now}",
        "evaluation_timestamp": head.finished or head.started,
        "retrieved_timestamp": now,
        "source_metadata": {
            "source_name": "sora_eval",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"note": published.note or "whole suite"},
        },
        "eval_library": {"name": "sora_eval", "version": head.software.get("sora_eval", "unknown")},
        "model_info": {"name": model, "id": published.source.plain(head.generator.spec) or model, "additional_details": facts},
        "evaluation_results": [_result(published, row) for row in published.rows if row.higher_is_better is not None],
    }


def _result(published: Published, row: MetricRow) -> dict[str, Any]:
    uncertainty: dict[str, Any] = {"num_samples": row.n_scored}
    if row.low is not None and row.high is not None and row.family != "speed":  # of speed they are quantiles
        ends = {"lower": row.low, "upper": row.high}
        uncertainty["confidence_interval"] = {**ends, "confidence_level": 0.95, "method": row.method}
    scale = {"unit": row.unit, "signature": published.signature(row), "bounds": "of the schema; the record knows none"}
    return {
        "evaluation_name": name_of(row),
        "source_data": {"dataset_name": published.suite, "source_type": "other"},
        "metric_config": {
            "evaluation_description": f"{name_of(row)} ({row.unit})",
            "lower_is_better": not row.higher_is_better,
            "score_type": "continuous",
            "min_score": -UNBOUNDED,
            "max_score": UNBOUNDED,
            "additional_details": scale,
        },
        "score_details": {
            "score": row.value,
            "details": {
                "n_expected": str(row.n_expected),
                "n_scored": str(row.n_scored),
                "note": published.source.plain(row.reason),
            },
            "uncertainty": uncertainty,
        },
    }
