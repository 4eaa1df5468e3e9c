"""Tables in the terminal, as Markdown, and as CSV and parquet files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from sora_eval.compare.comparison import Comparison
from sora_eval.records.speed_metrics import IN_SHORT
from sora_eval.util.visible import visible
from sora_eval_reports.frames import SCHEMA, Frames, comparison_frame
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text.columns import SERVED_COLUMNS, SPEED_COLUMNS, speed_column

ORACLE = "oracle:"  # slices of generators that cannot do better
PROMPT_WIDTH = 72  # characters of a prompt in a table
NAMED = 4  # clips of one note, and notes on clips, that are listed one by one


def _is_speed(metrics: pd.DataFrame) -> pd.Series[bool]:
    return metrics["family"].eq("speed")


def quality_table(frames: Frames, slices: bool = False) -> pd.DataFrame:
    """One row per (run, metric), with `slices` also per shape, as strings."""
    metrics = frames.metrics[~_is_speed(frames.metrics)]
    oracles = metrics["slice"].str.startswith(ORACLE)
    shown = metrics[~oracles] if slices else metrics[metrics["slice"].eq("all")]
    beside = [] if slices else list(dict.fromkeys(metrics["slice"][oracles]))
    several = frames.runs["run"].nunique() > 1
    rows = [
        {
            **({"run": r["label"]} if several else {}),
            "metric": r["metric"],
            **({"slice": r["slice"]} if slices else {}),
            "value": number(r["value"]) if r["status"] == "ok" else r["status"],
            "95 % interval": interval(r["low"], r["high"]),
            **{label: _oracle(metrics[oracles], r, label) for label in beside},
            "unit": r["unit"],
            "better": {True: "higher", False: "lower"}.get(r["higher_is_better"], "-"),
            "n": f"{r['n_scored']}/{r['n_expected']}",
        }
        for r in shown.to_dict("records")
    ]
    return pd.DataFrame(rows)


def _oracle(oracles: pd.DataFrame, row: dict[Any, Any], label: str) -> str:
    """The value of a run's metric on an oracle, or a dash."""
    own = oracles[oracles["run"].eq(row["run"]) & oracles["metric"].eq(row["metric"]) & oracles["slice"].eq(label)]
    return number(own["value"].iloc[0]) if len(own) else "-"


def _oracle_notes(frames: Frames) -> list[str]:
    """Of every oracle the intervals and n of its values, or the reason why it has none."""
    metrics = frames.metrics[frames.metrics["slice"].str.startswith(ORACLE)]
    several = frames.runs["run"].nunique() > 1
    out = []
    for (label, oracle), own in metrics.groupby(["label", "slice"], sort=False):
        broken = own[own["status"].eq("error")]
        values = [
            f"{r['metric']} {interval(r['low'], r['high'])} (n {r['n_scored']}/{r['n_expected']})"
            for r in own[own["status"].eq("ok")].to_dict("records")
        ]
        text = broken["reason"].iloc[0] if len(broken) else "95 % " + ", ".join(values)
        out.append(f"{f'{label} ' if several else ''}{oracle}: {text}")
    return out


def notes(frames: Frames) -> list[str]:
    """The reasons of values: references, null values, missing scores."""
    metrics = frames.metrics[frames.metrics["slice"].eq("all") & frames.metrics["reason"].ne("")]
    # Outputs of one metric often share their reason, which is printed once.
    grouped = metrics.groupby(["label", "reason"], sort=False)["metric"].agg(", ".join).reset_index()
    several = frames.runs["run"].nunique() > 1
    lines = [f"{f'{r.label} ' if several else ''}{r.metric}: {r.reason}" for r in grouped.itertuples()]
    for run, samples in frames.samples.groupby("label", sort=False):
        prefix = f"{run} " if several else ""
        lines += [prefix + line for line in clip_notes(zip(samples["id"], samples["notes"], strict=True))]
    return lines + _oracle_notes(frames)


def clip_notes(clips: Iterable[tuple[str, Iterable[str] | None]]) -> list[str]:
    """What was assumed of clips (id, notes), one line for each assumption with the clips that it holds for.

    >>> clip_notes([("a", ["interlaced"]), ("b", []), ("c", ["interlaced"])])
    ['clips a, c: interlaced']
    """
    ids: dict[str, list[str]] = {}
    for clip, notes in clips:
        for note in notes or ():
            ids.setdefault(note, []).append(clip)
    lines = []
    for note, own in ids.items():
        more = f" and {len(own) - NAMED} more" if len(own) > NAMED else ""
        lines.append(f"{'clips' if len(own) > 1 else 'clip'} {', '.join(own[:NAMED])}{more}: {note}")
    if len(lines) > NAMED:
        lines[NAMED:] = [f"{len(lines) - NAMED} more notes on clips are in samples.jsonl"]
    return lines


def costly_table(frames: Frames, count: int = 5) -> pd.DataFrame:
    """The clips that raise each set distance most, `count` per (run, metric), with the distance beside them, as strings."""
    several = frames.runs["run"].nunique() > 1
    whole = frames.metrics[frames.metrics["slice"].eq("all")]
    value = {(r["run"], r["metric"]): r["value"] for r in whole.to_dict("records")}
    costly = frames.attribution[frames.attribution["rank"].le(count)].sort_values("rank", kind="stable")
    rows = [
        {
            **({"run": r["label"]} if several else {}),
            "metric": f"{metric} {number(value.get((run, metric)))}",
            "falls by": number(r["value"]),
            "without": r["id"],
            "prompt": shorten(r["prompt"], PROMPT_WIDTH, placeholder=" ..."),
        }
        for (run, metric), own in costly.groupby(["run", "metric"], sort=False)
        for r in own.to_dict("records")
    ]
    return pd.DataFrame(rows)


def speed_table(frames: Frames) -> pd.DataFrame:
    """One row per (run, shape or rate), as strings: medians of the repeats."""
    metrics = frames.metrics[_is_speed(frames.metrics)]
    several = frames.runs["run"].nunique() > 1
    shown = dict.fromkeys([*(c.metric for c in (*SPEED_COLUMNS, *SERVED_COLUMNS)), *metrics["metric"]])
    rows = []
    for (label, shape), points in metrics.groupby(["label", "slice"], sort=False):
        by_metric = {r["metric"]: r for r in points.to_dict("records")}
        row = {**({"run": label} if several else {}), "shape": shape}
        for column, r in ((speed_column(m), by_metric[m]) for m in shown if m in by_metric):
            row[column.title] = number(r["value"] * column.scale) if r["status"] == "ok" else r["status"]
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def comparison_table(comparison: Comparison, slices: bool = False) -> pd.DataFrame:
    """The rows of a comparison as strings, without `slices` those of all cases and the main ones of speed."""
    table = comparison_frame(comparison)
    shown = table if slices else table[table["slice"].eq("all") | table["metric"].isin(IN_SHORT)]
    same = comparison.base == comparison.new
    base, new = ("base", "new") if same else (comparison.base, comparison.new)
    rows = [
        {
            "metric": r["metric"] if r["slice"] == "all" else f"{r['metric']} {r['slice']}",
            base: number(r["base"]),
            new: number(r["new"]),
            "change": number(r["change"]),
            "95 % of change": interval(r["low"], r["high"]),
            "p": number(r["p"]),
            "n": number(r["n"]),
            "better": {"base": base, "new": new}.get(str(r["better"]), "unclear" if r["status"] == "ok" else r["status"]),
        }
        for r in shown.to_dict("records")
    ]
    return pd.DataFrame(rows)


def comparison_notes(comparison: Comparison) -> list[str]:
    """Warnings, then the reasons of rows without a test."""
    table = comparison_frame(comparison)
    table = table[table["note"].ne("")]
    grouped = table.groupby("note", sort=False)["metric"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    return [*comparison.warnings, *(f"{names}: {note}" for note, names in grouped.items())]


def terminal(table: pd.DataFrame, title: str) -> Table:
    """A rich table; markup and control characters in prompts and reasons stay text."""
    out = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in table.columns:
        numeric = column not in ("run", "metric", "slice", "shape", "unit", "better", "95 % of change")
        numeric = numeric and not str(column).endswith("% interval")
        out.add_column(str(column), justify="right" if numeric else "left", overflow="fold", no_wrap=column == "metric")
    for row in table.itertuples(index=False):
        out.add_row(*(Text(visible(str(v))) for v in row))
    return out


def escape(text: str) -> str:
    r"""Text for Markdown of GitHub, also in a cell of a table: one line that is no HTML, link, picture, code or formula.

    >>> print(escape("a | b <c> ![d](http://e)"))
    a \| b &lt;c> !\[d\](http://e)
    """
    line = " ".join(visible(text).split())
    return re.sub(r"[\\`*\[\]|$]", r"\\\g<0>", line.replace("&", "&amp;").replace("<", "&lt;"))


def code(text: str) -> str:
    """Text as code of Markdown, which has no escapes: a backtick becomes an apostrophe.

    >>> code("a`b")
    "`a'b`"
    """
    return "`" + " ".join(visible(text).replace("`", "'").split()) + "`"


def markdown(table: pd.DataFrame) -> str:
    """A GitHub table; cells and headings are text."""
    cells = table.map(lambda v: escape(str(v))).rename(columns=lambda name: escape(str(name)))
    return str(cells.to_markdown(index=False, disable_numparse=True))


def write_files(frames: Frames, folder: Path) -> list[Path]:
    """Write every frame as CSV and parquet into a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for name in SCHEMA:
        frame: pd.DataFrame = getattr(frames, name)
        # Nested values (stage seconds, details) are JSON text: both formats need flat columns.
        flat = frame.map(lambda v: json.dumps(v) if isinstance(v, dict | list) else v)
        flat.to_csv(folder / f"{name}.csv", index=False)
        with (folder / f"{name}.parquet").open("wb") as file:  # pyarrow opens no path that is not UTF-8
            flat.to_parquet(file, index=False)
        out += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    return out
