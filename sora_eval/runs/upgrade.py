"""Upgrades of older run folders and baselines to the current schema, the only one that is written.

The words of schema 1 were floor for oracle and for `min_change`, and `steps` for `training_steps`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sora_eval.records.speed_metrics import is_speed
from sora_eval.registry.metrics import METRICS

SCHEMA_VERSION = 3
SEALED_SINCE = 3  # run.json has its digest
Json = dict[str, Any]
FILES = {"oracles": "floors"}  # a table's file in schema 1
_FRECHET = re.compile(r"\|frechet\|ddof:(\d)(?:\|ridge:([\d.e-]+))?")
_NEIGHBOURS = re.compile(r"\|(precision|recall)-knn:(\d+)")


def renamed(data: Mapping[str, Any], **names: str) -> Json:
    """The data with keys renamed by `names`, old to new.

    >>> renamed({"floor": 1, "p": 0.5}, floor="oracle")
    {'oracle': 1, 'p': 0.5}
    """
    return {names.get(key, key): value for key, value in data.items()}


def upgraded_head(data: Json) -> Json:
    """run.json of any schema; in schema 1, a fact that is not known is `null`."""
    if data.get("schema_version", 1) == 1:
        data = {**data, "generator": renamed(data["generator"], steps="training_steps"), "git": data.get("git") or {}}
    generator = {"not_covered": _not_covered(data["generator"]), **data["generator"]}
    return {**data, "generator": generator, "schema_version": SCHEMA_VERSION}


def _not_covered(generator: Json) -> str:
    """What the fingerprint of a run that does not say so left out."""
    if str(generator["fingerprint"]).startswith("source-"):
        return "weights, and all code but one function"
    return "the content of files" if str(generator.get("spec")).startswith("folder:") else ""


def upgraded_row(table: str, row: Json) -> Json:
    """A row of schema 1 in the current schema; rows of other tables are unchanged."""
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
    """The statistic of a set metric that a signature of schema 1 names, as JSON data; None for other metrics.

    >>> statistic_of("fvd|i3d|frechet|ddof:1")
    {'kind': 'frechet', 'ddof': 1, 'ridge': 0.0}
    """
    if match := _FRECHET.search(signature):
        return {"kind": "frechet", "ddof": int(match[1]), "ridge": float(match[2] or 0)}
    if "|mmd-cubic-unbiased" in signature:
        return {"kind": "mmd-cubic"}
    if match := _NEIGHBOURS.search(signature):
        return {"kind": match[1], "neighbours": int(match[2])}
    return None
