"""Tables for people: in the terminal, as Markdown, as CSV and parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from reports.frames import Frames
from sora_eval.compare import Comparison


def number(value: Any) -> str:
    """Four significant digits, or a dash."""
    if value is None or pd.isna(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"


def interval(low: Any, high: Any) -> str:
    return "-" if low is None or pd.isna(low) else f"{number(low)} .. {number(high)}"


def metrics_table(frames: Frames, slices: bool = False) -> pd.DataFrame:
    """One row a (metric, slice), strings ready to print; speed is one row a shape, quality one row a metric."""
    metrics = frames.metrics
    speed = metrics["metric"].str.match("latency|.*_per_second")
    stages = metrics["metric"].str.startswith("latency.")
    kept = metrics if slices else metrics[(metrics["slice"].eq("all") | speed) & ~stages]
    several = kept["label"].nunique() > 1
    rows = []
    for row in kept.to_dict("records"):
        arrow = {True: "higher", False: "lower"}.get(row["higher_is_better"], "-")
        rows.append({
            **({"run": row["label"]} if several else {}),
            "metric": row["metric"], "slice": row["slice"], "value": number(row["value"]) if row["status"] == "ok" else row["status"],
            "95 % / range": interval(row["low"], row["high"]), "unit": row["unit"], "better": arrow,
            "n": f"{row['n_scored']}/{row['n_expected']}", "note": row["reason"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def comparison_table(comparison: Comparison, slices: bool = False) -> pd.DataFrame:
    """The rows of a comparison as strings."""
    table = comparison.table
    kept = table if slices else table[table["slice"].eq("all") | table["metric"].eq("latency")]
    rows = [
        {"metric": r["metric"], "slice": r["slice"], comparison.base: number(r["base"]), comparison.new: number(r["new"]),
         "change": number(r["change"]), "95 % of change": interval(r["low"], r["high"]), "p": number(r["p"]),
         "n": number(r["n"]), "better": _better(r, comparison), "note": r["note"]}
        for r in kept.to_dict("records")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _better(row: dict[Any, Any], comparison: Comparison) -> str:
    if row["better"] in ("base", "new"):
        return comparison.new if row["better"] == "new" else comparison.base
    return "-" if row["low"] is None or pd.isna(row["low"]) else "no difference seen"


def terminal(table: pd.DataFrame, title: str) -> Table:
    """A rich table; long notes wrap, markup in prompts and reasons stays text."""
    out = Table(title=title, title_justify="left", header_style="bold")
    for column in table.columns:
        right = column in ("value", "change", "p", "n")
        out.add_column(column, justify="right" if right else "left", no_wrap=column in ("metric", "value", "slice"))
    for row in table.itertuples(index=False):
        out.add_row(*(Text(str(v)) for v in row))
    return out


def markdown(table: pd.DataFrame) -> str:
    """A GitHub table; bars in cells are escaped."""
    return str(table.map(lambda v: str(v).replace("|", "\\|")).to_markdown(index=False, disable_numparse=True))


def write_files(frames: Frames, folder: Path) -> list[Path]:
    """Every frame as CSV and parquet; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for name in ("runs", "samples", "scores", "metrics", "timings"):
        frame: pd.DataFrame = getattr(frames, name)
        # Nested values (stage seconds, details) are JSON text: both formats need flat columns.
        flat = frame.map(lambda v: pd.io.json.ujson_dumps(v) if isinstance(v, dict | list) else v)
        flat.to_csv(folder / f"{name}.csv", index=False)
        flat.to_parquet(folder / f"{name}.parquet", index=False)
        out += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    return out
