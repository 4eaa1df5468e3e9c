"""A metric over commits or training steps, from many runs: with the baseline and the band that repeats fall into."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from scipy import stats

from reports.source import LoadedRun, Source
from reports.text.tables import interval, number
from sora_eval.gate import baseline as baselines
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import MetricRow
from sora_eval.stats.intervals import CONFIDENCE
from sora_eval.util.errors import RunError

matplotlib.use("Agg")
import matplotlib.pyplot as plt

AXES = ("time", "steps", "commit")
BASE, NEW, BAND = "#3b76c4", "#d9730d", "#94a3b8"


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a metric over repeats of one checkpoint that differ in seeds only, and where it is from."""

    deviation: float
    freedom: int
    source: str

    @property
    def reach(self) -> float:
        """How far from the value of one checkpoint another repeat of it lies in 95 % of the cases (Student's t)."""
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * self.deviation * math.sqrt(2)


@dataclass(frozen=True)
class History:
    """One metric's points, oldest or least trained first: run, label, x, place, value, low, high, unit, n, mark."""

    metric: str
    axis: str
    points: pd.DataFrame
    baseline: float | None
    noise: Noise | None
    notes: list[str]


def history(source: Source, metric: str, axis: str, baseline: Path | None = None, label: str = "all") -> History:
    """The history of one metric. Runs without a value for it stay as rows; protocols that differ are said in `notes`.

    The baseline is a committed file (its `metrics`), or the run of that name; without one, the first point.
    """
    runs, rows = source.frames.runs, source.frames.metrics
    own = rows[rows["metric"].eq(metric) & rows["slice"].eq(label)].drop_duplicates("run", keep="last").set_index("run")
    if own.empty:
        known = ", ".join(dict.fromkeys(rows["metric"])) or "none"
        raise RunError(f"no run has {metric!r} of slice {label!r}; metrics of these runs: {known}")
    if axis == "steps" and runs["training_steps"].isna().all():
        raise RunError("no run says after how many training steps its checkpoint was taken; use --over time or commit")
    by = {"time": "started", "steps": "training_steps", "commit": "started"}[axis]
    table = runs.sort_values(by, kind="stable", na_position="last").set_index("run", drop=False)
    x = {
        "time": table["started"].str.slice(0, 16),
        "steps": table["training_steps"],
        "commit": table["commit"].str.slice(0, 7),
    }[axis]
    points = pd.DataFrame({"run": table["run"], "label": table["label"], "x": x})
    if axis == "steps":
        points = points[points["x"].notna()]
    points = points.join(own[["value", "low", "high", "unit", "n_scored", "status", "signature", "higher_is_better"]])
    notes = (
        [] if axis != "steps" or len(points) == len(runs) else [f"{len(runs) - len(points)} runs without steps are left out"]
    )
    if axis == "commit":
        places = {c: i for i, c in enumerate(dict.fromkeys(points["x"]))}
        points["place"] = points["x"].map(places)
    else:
        points["place"] = points["x"].astype(float) if axis == "steps" else np.arange(len(points), dtype=float)
    protocols = points["signature"].dropna().unique()
    if len(protocols) > 1:
        notes.append(f"{metric} has {len(protocols)} protocols in these runs; values under different ones are not comparable")
    present = points["value"].dropna()
    value = _baseline(source, metric, label, baseline) if baseline else (float(present.iloc[0]) if len(present) else None)
    found = noise(source.runs, metric, label)
    if found is None:
        notes.append(
            "no noise band: no repeats of one checkpoint under other seeds ('sora-eval calibrate'), no repeats in [gates]"
        )
    return History(metric, axis, _marked(points, value, found), value, found, notes)


def noise(runs: Sequence[LoadedRun], metric: str, label: str = "all") -> Noise | None:
    """From repeats of one checkpoint among the runs, pooled over checkpoints; else from the repeats that a gate records.

    Repeats of quality differ in their seeds (`seed_offset`): the same seeds would show no noise. Of speed, repeats are runs
    on one machine.
    """
    groups: dict[tuple[Any, ...], dict[Any, float]] = {}
    for i, run in enumerate(runs):
        head, row = run.head, _row(run.rows(MetricRow), metric, label)
        if row is None or row.value is None:
            continue
        speed = row.family == "speed"
        key = (head.suite.fingerprint, head.generator.fingerprint, str(head.hardware) if speed else "")
        groups.setdefault(key, {})[i if speed else head.seed_offset] = row.value
    repeated = [np.array(list(g.values()), np.float64) for g in groups.values() if len(g) > 1]
    if repeated:
        freedom = sum(len(v) - 1 for v in repeated)
        pooled = math.sqrt(sum(float(((v - v.mean()) ** 2).sum()) for v in repeated) / freedom)
        return Noise(pooled, freedom, f"{sum(map(len, repeated))} repeats of {len(repeated)} checkpoints among these runs")
    for run in reversed(runs):
        gate = stored_suite(run).gates.get(metric)
        if gate is not None and gate.repeats is not None and gate.slice == label:
            return Noise(gate.repeats.sd, gate.repeats.runs - 1, f"the suite's [gates.{metric}].repeats")
    return None


def _row(rows: Sequence[MetricRow], metric: str, label: str) -> MetricRow | None:
    return next((r for r in rows if (r.metric, r.slice) == (metric, label)), None)


def _baseline(source: Source, metric: str, label: str, baseline: Path) -> float:
    run = next((r for r in source.runs if r.path.name == baseline.name), None)
    if run is not None:
        row = _row(run.rows(MetricRow), metric, label)
    elif (baseline / "metrics.jsonl").exists():
        row = _row(RunFolder.open(baseline).rows(MetricRow), metric, label)
    else:
        row = baselines.read(baseline).metrics.get((metric, label))
    if row is None or row.value is None:
        raise RunError(f"the baseline {baseline} has no value of {metric} ({label})")
    return row.value


def _marked(points: pd.DataFrame, baseline: float | None, noise: Noise | None) -> pd.DataFrame:
    """`mark`: on which side of the band a point lies, in words."""

    def mark(row: Any) -> str:
        if pd.isna(row["value"]):
            return row["status"] if isinstance(row["status"], str) else "not in this run"
        if baseline is None or noise is None:
            return ""
        change = row["value"] - baseline
        if abs(change) <= noise.reach:
            return "within noise"
        if pd.isna(row["higher_is_better"]):
            return "outside"
        return "better" if (change > 0) == bool(row["higher_is_better"]) else "worse"

    return points.assign(mark=[mark(row) for _, row in points.iterrows()]).reset_index(drop=True)


def terminal_table(found: History) -> pd.DataFrame:
    """Strings for the terminal, one row a run."""
    return pd.DataFrame(
        [
            {
                found.axis: str(r["x"]),
                "run": r["run"],
                "generator": r["label"],
                "value": number(r["value"]),
                "95 % interval": interval(r["low"], r["high"]),
                "to baseline": "-" if found.baseline is None or pd.isna(r["value"]) else f"{r['value'] - found.baseline:+.4g}",
                "noise": r["mark"],
            }
            for r in found.points.to_dict("records")
        ]
    )


def draw(histories: Sequence[History], path: Path) -> None:
    """A PNG, one chart a metric under each other: points with intervals, the baseline dashed, the noise band around it."""
    figure, axes = plt.subplots(len(histories), 1, figsize=(8, 2.7 * len(histories) + 0.4), squeeze=False, layout="constrained")
    for ax, found in zip(axes[:, 0], histories, strict=True):
        shown = found.points[found.points["value"].notna()]
        place, value = shown["place"].to_numpy(float), shown["value"].to_numpy(float)
        if found.baseline is not None:
            if found.noise is not None:
                ends = (found.baseline - found.noise.reach, found.baseline + found.noise.reach)
                ax.axhspan(*ends, color=BAND, alpha=0.25, lw=0, label=f"noise, 95 % ({found.noise.source})")
            ax.axhline(found.baseline, color=NEW, ls="--", lw=1.2, label=f"baseline {number(found.baseline)}")
        there = shown["low"].notna().to_numpy()
        errors = np.abs(shown[["low", "high"]].to_numpy(float).T - value)[:, there]
        ax.errorbar(place[there], value[there], errors, fmt="none", ecolor=BASE, alpha=0.5, capsize=3)
        ax.plot(place, value, "o-", color=BASE, ms=5)
        if found.axis != "steps":
            names = shown.drop_duplicates("place")
            ax.set_xticks(names["place"], names["x"], rotation=25, ha="right", fontsize=8)
        ax.set_xlabel("training steps" if found.axis == "steps" else found.axis)
        unit = next(iter(shown["unit"].dropna()), "")
        ax.set_title(f"{found.metric} ({unit})" if unit else found.metric, loc="left", fontsize=10, fontweight="bold")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.25)
        if found.baseline is not None:
            ax.legend(fontsize=7.5, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def metrics_of(source: Source) -> list[str]:
    """What to draw when nothing is named: the gated metrics of the newest suite, else the first metric of each family."""
    gated = [m for m in stored_suite(source.runs[-1]).gates if source.frames.metrics["metric"].eq(m).any()]
    whole = source.frames.metrics[source.frames.metrics["slice"].eq("all")]
    return gated or whole.drop_duplicates("family")["metric"].tolist()
