"""Baselines: a run's scores, features and timings in one committed file, to be compared against. Exact: nothing is rounded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.compare.run_data import Side, finite, side_of
from sora_eval.runs.folder import RunFolder, now
from sora_eval.util.errors import BaselineError

SCHEMA_VERSION = 1
FOLDER = Path("baselines")
# From a schema version to the next: functions of the whole file. Older files are read through them, in order.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
HEAD = (
    *("run", "status", "partial", "limit", "seed_offset", "suite", "generator", "git", "hardware", "software"),
    *("started", "finished", "bench", "command"),
)
CASE = ("id", "prompt_id", "width", "height", "frames", "fps", "seed", "tags", "sha256")
TIMING_LEFT_OUT = ("reason",)


def default_path(suite_id: str, profile: str | None, folder: Path = FOLDER) -> Path:
    """`baselines/<suite>[.<profile>].json`."""
    return folder / ".".join(filter(None, [suite_id, profile, "json"]))


def promote(run: RunFolder, to: Path | None = None, *, profile: str | None = None, force: bool = False) -> Path:
    """Write a run as the baseline of its suite; returns the file.

    Raises BaselineError for a run that is not whole, has failed cases or was made from uncommitted code, and for a file
    that exists: of the same suite unless `force`, of another always.
    """
    side = side_of(run)
    path = to or default_path(side.head["suite"]["id"], profile)
    if problem := refusal(side):
        raise BaselineError(f"{run.path} cannot be promoted: {problem}")
    if path.exists():
        old, suite = read(path).head["suite"], side.head["suite"]
        if old != suite:
            raise BaselineError(
                f"{path} is of another suite: {_suite(old)}, this run of {_suite(suite)}; delete it, or choose another file "
                "with --to"
            )
        if not force:
            raise BaselineError(f"{path} exists; look at the differences above, then promote with --force")
    text = _dump(_content(side, profile))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(text)
        os.replace(partial, path)
    except OSError as error:
        raise BaselineError(f"{path} cannot be written: {error.strerror}") from error
    return path


def refusal(side: Side) -> str:
    """Why a run must not become a baseline, or ''."""
    if why := side.incomplete():
        return why
    sized = side.head.get("sequential")
    if sized and len(sized["prompts"]) < sized["pool"]:
        return f"it stopped when it was decided, after {len(sized['prompts'])} of {sized['pool']} prompts; run the suite whole"
    failed = sorted(i for i, s in side.samples.items() if s["status"] == "error")
    if failed:
        return f"{len(failed)} of {len(side.samples)} cases failed, for example {failed[0]}; mend the generator and run again"
    broken = sorted({r["metric"] for r in side.metrics.values() if r["status"] == "error"})
    broken += sorted({m for m, rows in side.scores.items() if any(r["status"] == "error" for r in rows.values())})
    if broken:
        return f"metrics failed: {', '.join(dict.fromkeys(broken))}; mend them, then 'sora-eval score'"
    if (side.head.get("git") or {}).get("dirty"):
        return "it was made from a dirty tree, so no commit tells what made it; commit (or ignore) the changes and run again"
    return ""


def _suite(suite: dict[str, Any]) -> str:
    return f"{suite['id']} version {suite['version']} ({suite['fingerprint']})"


def _content(side: Side, profile: str | None) -> dict[str, Any]:
    cases = list(side.samples)
    vectors: dict[str, Any] = {}
    features = {}
    for metric, (ids, values) in side.features.items():
        array = np.ascontiguousarray(values)
        key = hashlib.sha256(repr(ids).encode() + array.tobytes()).hexdigest()[:12]  # metrics share their features
        vectors[key] = {"ids": ids, "shape": list(array.shape), "dtype": str(array.dtype), "zlib": _pack(array)}
        features[metric] = key
    scores = {
        metric: {
            "values": [rows.get(i, {}).get("value") for i in cases],
            "without": {i: [r["status"], r["reason"]] for i, r in rows.items() if r["value"] is None},
        }
        for metric, rows in side.scores.items()
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": profile,
        "promoted": now(),
        "head": {k: side.head[k] for k in HEAD if k in side.head},
        "cases": {k: [side.samples[i].get(k) for i in cases] for k in CASE},
        "metrics": list(side.metrics.values()),
        "scores": scores,
        "features": features,
        "vectors": vectors,
        "timings": [{k: v for k, v in r.items() if k not in TIMING_LEFT_OUT} for r in side.timings],
    }


def _dump(content: dict[str, Any]) -> str:
    """JSON with a line an entry of every table, so that a diff of two baselines can be read."""

    def lines(value: Any) -> str:
        if isinstance(value, dict) and value:
            return "{\n  " + ",\n  ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n }"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n  " + ",\n  ".join(json.dumps(v) for v in value) + "\n ]"
        return json.dumps(value)

    return "{\n " + ",\n ".join(f"{json.dumps(k)}: {lines(v)}" for k, v in content.items()) + "\n}\n"


def _pack(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()


def _unpack(data: dict[str, Any]) -> npt.NDArray[Any]:
    raw = zlib.decompress(base64.b64decode(data["zlib"], validate=True))
    array = np.frombuffer(raw, np.dtype(data["dtype"])).reshape(data["shape"])
    if len(array) != len(data["ids"]):
        raise ValueError(f"{len(array)} vectors for {len(data['ids'])} cases")
    return array


def read(path: Path) -> Side:
    """A baseline file. Older schemas are upgraded; raises BaselineError for newer, damaged and foreign files."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise BaselineError(f"{path} does not exist; make it with 'sora-eval baseline promote RUN --to {path}'") from None
    except (OSError, ValueError) as error:
        raise BaselineError(f"{path} is damaged: {error}; promote a run again") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise BaselineError(f"{path} is not a baseline: it has no schema_version; make one with 'sora-eval baseline promote'")
    if version > SCHEMA_VERSION:
        raise BaselineError(f"{path}: schema version {version}, but this sora_eval reads up to {SCHEMA_VERSION}; update it")
    try:
        while version < SCHEMA_VERSION:
            data, version = UPGRADES[version](data), version + 1
        return _side(data, path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zlib.error, binascii.Error) as error:
        raise BaselineError(f"{path} is damaged: {type(error).__name__}: {error}; promote a run again") from error


def _side(data: dict[str, Any], path: Path) -> Side:
    columns, head = data["cases"], data["head"]
    cases: list[str] = columns["id"]
    samples = {case: {**{k: columns[k][i] for k in CASE}, "status": "ok", "error": ""} for i, case in enumerate(cases)}
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for metric, column in data["scores"].items():
        if len(column["values"]) != len(cases):
            raise ValueError(f"{metric} has {len(column['values'])} values for {len(cases)} cases")
        rows = scores[metric] = {}
        for case, value in zip(cases, column["values"], strict=True):
            if value is not None:
                rows[case] = finite({"id": case, "metric": metric, "value": value, "status": "ok", "reason": ""})
            elif case in column["without"]:
                status, reason = column["without"][case]
                rows[case] = {"id": case, "metric": metric, "value": None, "status": status, "reason": reason}
    vectors = {key: (list(v["ids"]), _unpack(v)) for key, v in data["vectors"].items()}
    metrics = {(r["metric"], r["slice"]): r for r in data["metrics"]}
    if missing := {"suite", "generator", "hardware"} - set(head):
        raise ValueError(f"its head lacks {', '.join(sorted(missing))}")
    if any(isinstance(r["value"], float) and not math.isfinite(r["value"]) for r in metrics.values()):
        raise ValueError("a metric's value is not finite")
    return Side(
        "baseline",
        str(path),
        head,
        samples,
        metrics,
        scores,
        {metric: vectors[key] for metric, key in data["features"].items()},
        {},
        data["timings"],
        data["profile"],
    )


def find(name: Path, suite_id: str = "", profile: str | None = None) -> Side | None:
    """What `--baseline` names: a baseline file, a run folder, or a folder of files `<suite>[.<profile>].json`.

    None where such a folder holds none for this suite yet; a file that is named must exist.
    """
    if name.suffix == ".json":
        return read(name)
    if (name / "run.json").exists():
        return side_of(RunFolder.open(name))
    path = default_path(suite_id, profile, name)
    if not name.is_dir() and name != FOLDER:
        raise BaselineError(f"{name} is neither a baseline file (.json), a folder of them, nor a run folder")
    return read(path) if path.exists() else None
