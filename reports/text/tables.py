"""Tables in the terminal, as Markdown, and as CSV and parquet files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from sora_eval.compare.comparison import Comparison
from sora_eval.records.scale import Scale
from sora_eval.records.speed_metrics import IN_SHORT
from sora_eval.records.verdict import Verdict
from sora_eval.stats.power import ALPHA
from sora_eval.util.visible import visible
from sora_eval_reports.answer.one_run import bar
from sora_eval_reports.frames import SCHEMA, Frames, comparison_frame
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text.columns import SERVED_COLUMNS, SPEED_COLUMNS, speed_column
from sora_eval_reports.text.fitted import Fitted

ORACLE = "oracle:"  # slices of generators that cannot do better
PROMPT_WIDTH = 72  # characters of a prompt in a table
BAR = "0 trivial, 1 perfect"
ROUNDING = 1e-8  # of a distance of logits
NAMED = 4  # clips of one note, and notes on clips, that are listed one by one


def _is_speed(metrics: pd.DataFrame) -> pd.Series[bool]:
    return metrics["family"].eq("speed")


def quality_table(
    frames: Frames, slices: bool = False, scales: Mapping[str, Scale] | None = None, digits: int = 4
) -> pd.DataFrame:
    """One row per (run, metric), with `slices` also per shape, as strings.

    `scales` are by run: with one, a bar shows where each value is between trivial clips and perfect ones, and the lowest of a
    single run comes first.
    """
    metrics = frames.metrics[~_is_speed(frames.metrics)]
    oracles = metrics["slice"].str.startswith(ORACLE)
    shown = metrics[~oracles] if slices else metrics[metrics["slice"].eq("all")]
    beside = [] if slices else list(dict.fromkeys(metrics["slice"][oracles]))
    several = frames.runs["run"].nunique() > 1
    records = [(r, _place(r, scales or {})) for r in shown.to_dict("records")]
    if scales and not several:
        records.sort(key=lambda pair: (pair[1] is None, pair[1]))
    rows = [
        {
            **({"run": r["label"]} if several else {}),
            "metric": r["metric"],
            **({"slice": r["slice"]} if slices else {}),
            "value": _value(r, digits),
            "95 % interval": interval(r["low"], r["high"], digits),
            **({BAR: bar(place)} if scales else {}),
            **{label: _oracle(metrics[oracles], r, label) for label in beside},
            "unit": r["unit"],
            "better": {True: "higher", False: "lower"}.get(r["higher_is_better"], "-"),
            "n": f"{r['n_scored']}/{r['n_expected']}",
        }
        for r, place in records
    ]
    return pd.DataFrame(rows)


def _place(row: dict[Any, Any], scales: Mapping[str, Scale]) -> float | None:
    scale = scales.get(row["run"])
    known = None if scale is None or row["slice"] != "all" else scale.of(row["metric"], row["signature"])
    return None if known is None or row["status"] != "ok" else known.place(row["value"], row["n_scored"])


def _value(row: dict[Any, Any], digits: int) -> str:
    """A value; of a statistic of two sets that is 0 but for rounding, as of a set against itself, 0."""
    if row["status"] != "ok":
        return str(row["status"])
    is_rounding = bool(row.get("statistic")) and abs(row["value"]) < ROUNDING
    return "0" if is_rounding else number(row["value"], digits)


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


def comparison_table(comparison: Comparison, slices: bool = False, digits: int = 4, *, in_short: bool = False) -> pd.DataFrame:
    """The rows of a comparison as strings, the worst first; without `slices` those of all cases and the main ones of speed.

    Runs are named in the headings, `in_short` as base and new.
    """
    table = comparison_frame(comparison)
    shown = table if slices else table[table["slice"].eq("all") | table["metric"].isin(IN_SHORT)]
    same = in_short or comparison.base == comparison.new
    base, new = ("base", "new") if same else (comparison.base, comparison.new)
    verdicts = {"base": base, "new": new}
    rows = [
        {
            "metric": r["metric"] if r["slice"] == "all" else f"{r['metric']} {r['slice']}",
            base: number(r["base"], digits),
            new: number(r["new"], digits),
            "change": number(r["change"], digits),
            "95 % of change": interval(r["low"], r["high"], digits),
            "p": number(r["p"], min(digits, 4 if digits > 3 else 2)),
            "n": number(r["n"]),
            "better": _better(r, verdicts, in_short),
        }
        for r in sorted(shown.to_dict("records"), key=_worst_first)
    ]
    return pd.DataFrame(rows)


def _worst_first(row: dict[Any, Any]) -> int:
    """The order of a comparison: worse, without a value, unclear, better, not comparable; last how far clips lie apart."""
    if row["status"] != "ok":
        return 4 if row["status"] == Verdict.NOT_COMPARABLE else 1
    return {"base": 0, "new": 3, "differs": 5, "identical": 5}.get(str(row["better"]), 2)


def _better(row: dict[Any, Any], names: Mapping[str, str], in_short: bool) -> str:
    """The better run, whether clips differ, `unclear`, or the status in the place of a change."""
    if row["status"] != "ok":
        return "-" if in_short else str(row["status"])
    word = str(row["better"])
    return names.get(word, word if word in ("differs", "identical") else "unclear")


def comparison_notes(comparison: Comparison) -> list[str]:
    """Warnings, metrics whose interval and test disagree, then the reasons of rows without a test."""
    table = comparison_frame(comparison)
    tested = table[table["status"].eq("ok") & table["p"].le(ALPHA) & table["low"].le(0) & table["high"].ge(0)]
    apart = [
        f"{', '.join(own['metric'])}: unclear: p is at most {ALPHA:g}, but the interval ({method}) does not leave out 0"
        for method, own in tested[tested["slice"].eq("all")].groupby("method", sort=False)
    ]
    table = table[table["note"].ne("")]
    grouped = table.groupby("note", sort=False)["metric"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    return [*comparison.warnings, *apart, *(f"{names}: {note}" for note, names in grouped.items())]


def terminal(table: pd.DataFrame, title: str, drop: Sequence[str] = ()) -> Fitted:
    """A table that fits the console, without the columns `drop` where it is too wide; markup and control characters in prompts
    and reasons stay text."""
    return Fitted({str(name): table[name].tolist() for name in table.columns}, title, drop)


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
