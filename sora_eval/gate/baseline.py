"""Baselines: a run's scores, features and timings in one committed file, to be compared against. Exact: nothing is rounded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.compare.kept import clips_folder, with_kept
from sora_eval.compare.run_data import Features, RunData, data_of, finite, started_from
from sora_eval.gate.kept_clips import keep_clips
from sora_eval.gate.merging import merged
from sora_eval.records.names import check_name
from sora_eval.records.speed_metrics import is_speed
from sora_eval.runs.find import resolve_run
from sora_eval.runs.folder import RunFolder, explanation, stored_suite
from sora_eval.runs.head import RunHead, now
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow, TimingRow, parsed
from sora_eval.runs.upgrade import upgraded_head, upgraded_row
from sora_eval.suite import Gate, gates_of, load_suite
from sora_eval.util.collection import uncollected
from sora_eval.util.errors import BaselineError
from sora_eval.util.files import write_atomic
from sora_eval.util.sealed import read_json, sealed, unsealed
from sora_eval.util.visible import encodable

SCHEMA_VERSION = 5
SEALED_SINCE = 3  # the file has its digest
FOLDER = Path("baselines")
MOST_NUMBERS = 1 << 16  # of a vector
LEFT_OUT = {"sequential", "error", "cases", "failed_cases", "failed_metrics", "files"}  # of the head
CASE = ("id", "prompt_id", "prompt", "width", "height", "frames", "fps", "seed", "tags", "sha256")


def default_path(suite_id: str, profile: str | None, folder: Path = FOLDER) -> Path:
    """`baselines/<suite>[.<profile>].json`. Raises BaselineError for a profile that is no name.

    >>> default_path("gate", "ci").as_posix()
    'baselines/gate.ci.json'
    """
    try:
        return folder / ".".join([*map(check_name, filter(None, [suite_id, profile])), "json"])
    except ValueError as error:
        raise BaselineError(f"suite {suite_id!r}, profile {profile!r}; {error}") from error


def promote(
    runs: Sequence[RunFolder],
    to: Path | None = None,
    *,
    profile: str | None = None,
    force: bool = False,
    add: bool = False,
    suite: Path | str | None = None,
    clips: bool = False,
    kept: Sequence[Mapping[str, Features]] = (),
) -> Path:
    """Write runs of one checkpoint under different seeds as the baseline of their suite; returns the file.

    It holds the gates of the first run, or of a `suite` file with the same fingerprint: no run is judged by wider ones. With
    `add` they join the runs that the file holds. Raises BaselineError for runs that are not whole, have failed cases or
    metrics, lack scores, were made from uncommitted code or are not of one suite and checkpoint, for a file that cannot be
    written, and for one that exists: of the same suite unless `force` or `add`, of another always. Raises RunError for a
    damaged run folder. With `clips` the clips of the runs go into a folder beside the file; `kept` are features of each run's
    clips, by the signatures of their extractors.
    """
    parts = [data_of(run) for run in runs]
    parts = [with_kept(data, features) for data, features in zip(parts, kept, strict=True)] if kept else parts
    for data in parts:
        if problem := refusal(data):
            raise BaselineError(f"{data.path} cannot be promoted: {problem}")
    path = to or default_path(parts[0].head.suite.id, profile)
    if add and not path.exists():
        raise BaselineError(f"{path} does not exist, so nothing can be added to it; promote without --add")
    if path.exists():
        existing = read(path)
        old, own = existing.head.suite, parts[0].head.suite
        if old != own:
            raise BaselineError(
                f"{path} is of another suite: {old}, this run of {own}; delete it, or choose another file with --to"
            )
        if add:
            parts, profile = [existing, *parts], existing.profile
        elif not force:
            raise BaselineError(f"{path} exists; look at the differences above, then promote with --force, or --add")
    data = merged(parts)
    stored = stored_suite(runs[0])
    if suite is not None:
        data = replace(data, gates=gates_of(load_suite(suite), stored.fingerprint))
    elif not add:
        data = replace(data, gates=stored.gates)
    text = _dump(sealed(_content(data, profile)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        raise BaselineError(f"{path} cannot be written: {error.strerror}") from error
    keep_clips(runs if clips else (), clips_folder(path), add=add)
    return path


def refusal(data: RunData) -> str:
    """Why a run must not become a baseline, with the remedy, or ''."""
    if why := data.incomplete():
        return why
    if why := data.head.stopped_early:
        return f"{why}; run the suite whole"
    if why := _failed(data) or _lacking(data):
        return why
    if data.head.git.dirty:
        return "it was made from a dirty tree, so no commit tells what made it; commit (or ignore) the changes and run again"
    return ""


def _failed(data: RunData) -> str:
    """The cases or metrics that failed, with the remedy, or ''."""
    failed = sorted(i for i, s in data.samples.items() if s.status == "error")
    if failed:
        return f"{len(failed)} of {len(data.samples)} cases failed, for example {failed[0]}; fix the generator and run again"
    broken = sorted({r.metric for r in data.metrics.values() if r.status == "error"})
    broken += sorted({m for m, rows in data.scores.items() if any(r.status == "error" for r in rows.values())})
    return f"metrics failed: {', '.join(dict.fromkeys(broken))}; fix them, then 'sora-eval score'" if broken else ""


def _lacking(data: RunData) -> str:
    """The first table or metric that has not a row, or a vector, of every case, with the numbers and the remedy, or ''."""
    cases, expected = set(data.samples), max(data.head.cases, len(data.samples))
    if len(cases) < expected:
        return f"samples.jsonl has {len(cases)} of {expected} cases; go on with it: sora-eval run --resume {data.path}"
    known: dict[str, set[str]] = {}
    for (metric, label), row in data.metrics.items():
        if label == "all" and not is_speed(metric):
            known[metric] = set(data.scores.get(metric, ())) | set(data.features.get(metric, ([],))[0])
            known[row.declared] = known.get(row.declared, set()) | known[metric]
    for (metric, label), row in data.metrics.items():
        if label == "all" and not is_speed(metric):
            scored = known[metric] or known[row.declared]  # outputs of a set metric share the vectors of the first
            if missing := sorted(cases - scored):
                counts = f"{len(cases) - len(missing)} of {len(cases)} cases, and none of {missing[0]}"
                return f"{metric} has scores of {counts}; score it again: sora-eval score {data.path}"
    return ""


def _content(data: RunData, profile: str | None) -> dict[str, Any]:
    cases = list(data.samples)
    vectors: dict[str, Any] = {}
    features = {}
    for metric, (ids, values) in data.features.items():
        array = np.ascontiguousarray(values)
        key = hashlib.sha256(repr(ids).encode() + array.tobytes()).hexdigest()[:12]  # metrics share their features
        vectors[key] = {"ids": ids, "shape": list(array.shape), "dtype": str(array.dtype), "zlib": _pack(array)}
        features[metric] = key
    scores = {
        metric: {
            "values": [rows[i].value if i in rows else None for i in cases],
            "without": {i: [r.status, r.reason] for i, r in rows.items() if r.value is None},
        }
        for metric, rows in data.scores.items()
    }
    samples = {i: row.model_dump(mode="json", include=set(CASE)) for i, row in data.samples.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": profile,
        "promoted": now(),
        "runs": list(data.runs),
        "head": data.head.model_dump(mode="json", exclude=LEFT_OUT),
        "gates": {metric: gate.model_dump(mode="json", exclude_defaults=True) for metric, gate in data.gates.items()},
        "cases": {k: [samples[i][k] for i in cases] for k in CASE},
        "metrics": [r.model_dump(mode="json", exclude_defaults=True) for r in data.metrics.values()],
        "scores": scores,
        "features": features,
        "vectors": vectors,
        "timings": [r.model_dump(mode="json", exclude={"reason"}) for r in data.timings],
    }


def _dump(content: dict[str, Any]) -> str:
    """JSON with one line per entry of every table, so that a diff of two baselines is readable."""

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
    shape, kind = tuple(map(int, data["shape"])), np.dtype(data["dtype"])
    if kind.kind != "f" or len(shape) != 2 or shape[0] != len(data["ids"]) or not 0 <= shape[1] <= MOST_NUMBERS:
        raise ValueError(f"vectors of shape {shape} and type {kind} for {len(data['ids'])} cases")
    # Bounded by what is declared: a few bytes of zlib can hold gigabytes.
    size = math.prod(shape) * kind.itemsize
    raw = zlib.decompressobj().decompress(base64.b64decode(data["zlib"], validate=True), size + 1)
    if len(raw) != size:
        raise ValueError(f"vectors of another length than {size} bytes")
    return np.frombuffer(raw, kind).reshape(shape)


def read(path: Path) -> RunData:
    """Read a baseline file; older schemas are upgraded. Raises BaselineError for newer, damaged, missing and foreign files."""
    if path.is_dir():
        inside = ", ".join(sorted(p.name for p in path.glob("*.json"))) or "none"
        raise BaselineError(f"{path} is a folder; expected a baseline file (in it: {inside})")
    try:
        data = read_json(path)
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
        data = unsealed(data) if version >= SEALED_SINCE else data
        while version < SCHEMA_VERSION:
            data, version = UPGRADES[version](data), version + 1
        return _data(data, path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zlib.error, binascii.Error) as error:
        raise BaselineError(f"{path} is damaged: {explanation(error)}; promote a run again") from error


def _from_schema_1(content: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 used the words of run folders of schema 1."""
    return {
        **content,
        "head": upgraded_head({**content["head"]}),
        "metrics": [upgraded_row("metrics", row) for row in content["metrics"]],
    }


def _from_schema_3(content: dict[str, Any]) -> dict[str, Any]:
    """Up to schema 3 a baseline was one run, without the texts of its prompts.

    Its cases had the suite's seeds, not those that its clips started from.
    """
    offset, cases = content["head"].get("seed_offset", 0), content["cases"]["id"]
    moved = {i: started_from(i, offset) for i in cases}
    scores = {
        metric: {**column, "without": {moved.get(i, i): row for i, row in column["without"].items()}}
        for metric, column in content["scores"].items()
    }
    vectors = {key: {**v, "ids": [moved.get(i, i) for i in v["ids"]]} for key, v in content["vectors"].items()}
    return {
        **content,
        "head": {**content["head"], "seed_offset": 0},
        "cases": {**content["cases"], "id": [moved[i] for i in cases], "prompt": [""] * len(cases)},
        "scores": scores,
        "vectors": vectors,
        "runs": [content["head"]["run"]],
    }


# By schema version: the function that upgrades the content of a whole file to the next one.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _from_schema_1,
    2: lambda content: content,
    3: _from_schema_3,
    4: lambda content: {**content, "gates": {}},  # it held none, so the run's own are taken
}


@uncollected()
def _data(content: dict[str, Any], path: Path) -> RunData:
    columns = content["cases"]
    cases: list[str] = columns["id"]
    samples = {case: parsed(SampleRow, {k: columns[k][i] for k in CASE}) for i, case in enumerate(cases)}
    scores: dict[str, dict[str, ScoreRow]] = {}
    for metric, column in content["scores"].items():
        if len(column["values"]) != len(cases):
            raise ValueError(f"{metric} has {len(column['values'])} values for {len(cases)} cases")
        rows = scores[metric] = {}
        for case, value in zip(cases, column["values"], strict=True):
            if value is not None:
                rows[case] = finite(parsed(ScoreRow, {"id": case, "metric": metric, "value": value}))
            elif case in column["without"]:
                status, reason = column["without"][case]
                row = {"id": case, "metric": metric, "value": None, "status": status, "reason": reason}
                rows[case] = parsed(ScoreRow, row)
    vectors: dict[str, Features] = {key: (list(v["ids"]), _unpack(v)) for key, v in content["vectors"].items()}
    metrics = [parsed(MetricRow, {"value": None, **row}) for row in content["metrics"]]
    if any(r.value is not None and not math.isfinite(r.value) for r in metrics):
        raise ValueError("a metric's value is not finite")
    return RunData(
        "baseline",
        encodable(str(path)),
        parsed(RunHead, upgraded_head(content["head"])),
        samples,
        {(r.metric, r.slice): r for r in metrics},
        scores,
        {metric: vectors[key] for metric, key in content["features"].items()},
        {},
        tuple(parsed(TimingRow, row) for row in content["timings"]),
        content["profile"],
        tuple(content["runs"]),
        {metric: Gate.model_validate(gate) for metric, gate in content["gates"].items()},
    )


def open_data(name: Path) -> RunData:
    """A baseline file (.json), or a run by its path or its name in ./runs. Raises BaselineError and RunError."""
    return read(name) if name.suffix == ".json" else data_of(resolve_run(name))


def find(name: Path, suite_id: str = "", profile: str | None = None) -> RunData | None:
    """The data that `--baseline` names: a baseline file, a run folder, or a folder of files `<suite>[.<profile>].json`.

    None where such a folder holds no file for this suite. Raises BaselineError for a file that does not exist or cannot be
    read, and for a path that is none of these; RunError for a damaged run folder.
    """
    if name.suffix == ".json":
        return read(name)
    if (name / "run.json").exists():
        return data_of(RunFolder.open(name))
    path = default_path(suite_id, profile, name)
    if not name.is_dir() and name != FOLDER:
        raise BaselineError(f"{name} is neither a baseline file (.json), a folder of them, nor a run folder")
    return read(path) if path.exists() else None
