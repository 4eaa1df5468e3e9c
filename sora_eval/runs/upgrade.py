"""Older run folders and baselines, read once into today's words. What is written is always of today's schema.

Schema 1 said floor for oracle and for a gate's least change, and `steps` for a checkpoint's training steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sora_eval.records.speed_metrics import is_speed
from sora_eval.registry.metrics import METRICS

SCHEMA_VERSION = 2
Json = dict[str, Any]
FILES = {"oracles": "floors"}  # a table's file in schema 1
_FRECHET = re.compile(r"\|frechet\|ddof:(\d)(?:\|ridge:([\d.e-]+))?")
_NEIGHBOURS = re.compile(r"\|(precision|recall)-knn:(\d+)")


def renamed(data: Mapping[str, Any], **names: str) -> Json:
    """The table with old keys under their new names."""
    return {names.get(key, key): value for key, value in data.items()}


def upgraded_head(data: Json) -> Json:
    """run.json of schema 1; `null` where a fact was not known becomes an empty one."""
    head = {**data, "schema_version": SCHEMA_VERSION, "generator": renamed(data["generator"], steps="training_steps")}
    if head.get("git") is None:
        head["git"] = {}
    return head


def upgraded_row(table: str, row: Json) -> Json:
    """A row of schema 1."""
    if table == "oracles":
        row = renamed(row, floor="oracle")
        return {"metric": "", "value": None, **row}
    if table == "metrics":
        label = str(row["slice"])
        declared = str(row["metric"]).partition(".")[0]
        info = METRICS.built_in.get(declared)
        return {
            **row,
            "slice": label.replace("floor:", "oracle:", 1) if label.startswith("floor:") else label,
            "declared": "" if is_speed(declared) else declared,
            "family": info.family if info else "speed" if is_speed(declared) else "custom",
            "statistic": statistic_of(str(row["signature"])),
        }
    return row


def statistic_of(signature: str) -> Json | None:
    """What a signature of schema 1 said of the statistic of its set metric."""
    if found := _FRECHET.search(signature):
        return {"kind": "frechet", "ddof": int(found[1]), "ridge": float(found[2] or 0)}
    if "|mmd-cubic-unbiased" in signature:
        return {"kind": "mmd-cubic"}
    if found := _NEIGHBOURS.search(signature):
        return {"kind": found[1], "neighbours": int(found[2])}
    return None
