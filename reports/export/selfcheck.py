"""The selfcheck as files (table, JSON, heat map), as tables of a page, and as text for the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from sora_eval.selfcheck.responses import NOTICED
from sora_eval.selfcheck.result import Response, Result
from sora_eval.video.corruptions import CORRUPTIONS, TRIVIAL, TRIVIAL_PREFIX
from sora_eval_reports.numbers import number
from sora_eval_reports.text.console import console, line
from sora_eval_reports.text.tables import terminal

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

SHOWN_SD = 3.0  # the ends of the colour scale, in standard deviations
WORSE = {"worse": -1.0, "better": 1.0}
BLIND_SPOTS = ("blind", "blind to little", "better")


def write_files(result: Result, folder: Path) -> list[Path]:
    """Write selfcheck.csv and .parquet (one row per output and treatment), selfcheck.json and selfcheck.png; returns them."""
    table = pd.DataFrame([asdict(r) for r in result.rows])
    table.insert(0, "clips", result.clips)
    table.to_csv(folder / "selfcheck.csv", index=False)
    table.to_parquet(folder / "selfcheck.parquet", index=False)
    _replace(folder / "selfcheck.json", json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    heat_map(result, folder / "selfcheck.png")
    return [folder / f"selfcheck.{suffix}" for suffix in ("csv", "parquet", "json", "png")]


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def heat_map(result: Result, path: Path) -> None:
    """Write a PNG, outputs x corruptions: colour is the effect at full strength, red for worse, numbers rank correlations."""
    measured = {r.metric for r in result.summary if r.effect_sd is not None or r.claimed}
    metrics = [m for m in dict.fromkeys(r.metric for r in result.summary) if m in measured]
    without = len({r.metric for r in result.summary} - measured)
    names = list(dict.fromkeys(r.corruption for r in result.summary))
    better = {r.metric: r.higher_is_better for r in result.rows}
    figure, ax = plt.subplots(figsize=(3.4 + 0.62 * len(names), 1.9 + 0.34 * len(metrics)))
    colours = np.full((len(metrics), len(names)), np.nan)
    for r in (r for r in result.summary if r.metric in measured):
        y, x = metrics.index(r.metric), names.index(r.corruption)
        if r.effect_sd is None or r.rank_correlation is None:
            ax.text(x, y, "·", ha="center", va="center", color="0.5", fontsize=8)
            continue
        sign = {True: 1.0, False: -1.0, None: 0.0}[better[r.metric]]
        colours[y, x] = np.clip(sign * r.effect_sd, -SHOWN_SD, SHOWN_SD)
        text = f"{r.rank_correlation:+.1f}" if abs(r.effect_sd) >= NOTICED else ""
        ax.text(
            x, y, text, ha="center", va="center", fontsize=7, color="white" if abs(colours[y, x]) > 0.75 * SHOWN_SD else "black"
        )
        if r.claimed:
            colour, style = ("tab:red", "-") if r.ok is False else ("black", ":" if r.claimed in BLIND_SPOTS else "-")
            ax.add_patch(
                Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=colour, linestyle=style, linewidth=1.2)
            )
    shades = plt.get_cmap("RdBu").with_extremes(bad="0.93")
    image = ax.imshow(colours, cmap=shades, vmin=-SHOWN_SD, vmax=SHOWN_SD, aspect="auto")
    ax.set_xticks(range(len(names)), [n.replace("_", " ") for n in names], rotation=40, ha="left", fontsize=8)
    ax.set_yticks(range(len(metrics)), metrics, fontsize=8)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    bar = figure.colorbar(image, ax=ax, fraction=0.02, pad=0.01)
    bar.set_label("effect at full strength, sd (red: worse)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    left_out = f"\n{without} outputs have no value here, for want of a network, a head or a law, and are left out"
    legend = (
        f"number: rank correlation with strength, where the effect is {NOTICED:g} sd or more\n"
        "framed: claimed (dotted: a documented blind spot; red: does not hold); dot: not measured"
        + (left_out if without else "")
    )
    ax.set_xlabel(legend, fontsize=7)
    figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(figure)


def caught_table(result: Result) -> pd.DataFrame:
    """One row per corruption, as strings: its families and the metrics that catch it."""
    rows = [
        {
            "corruption": c.corruption,
            "what it does": CORRUPTIONS[c.corruption].about,
            "should be caught by": " or ".join(c.families),
            "is caught by": ", ".join(c.metrics) or "-",
            "holds": _mark(c.ok),
        }
        for c in result.detections
    ]
    return pd.DataFrame(rows)


def claims_table(result: Result, *, blind: bool) -> pd.DataFrame:
    """One row per claim, as strings: with `blind` the documented blind spots, else the responses."""
    rows = [
        {
            "metric": r.metric,
            "corruption": r.corruption,
            "claims": r.claimed,
            "found": r.direction,
            "rank correlation": number(r.rank_correlation),
            "effect, sd": number(r.least_effect_sd if r.claimed.endswith("to little") else r.effect_sd),
            "holds": _mark(r.ok),
            "why": r.note,
        }
        for r in result.summary
        if r.claimed and (r.claimed in BLIND_SPOTS) == blind
    ]
    return pd.DataFrame(rows)


def trivial_table(result: Result) -> pd.DataFrame:
    """One row per output, as strings: its values on the trivial clips."""
    names = [n for n in TRIVIAL if any(r.corruption == TRIVIAL_PREFIX + n for r in result.rows)]
    value: dict[tuple[str, str], Any] = {(r.metric, r.corruption): r.value for r in result.trivial}
    better = {r.metric: {True: "higher", False: "lower", None: "-"}[r.higher_is_better] for r in result.rows}
    rows = [
        {"metric": m, "better": better[m], **{n: number(value.get((m, TRIVIAL_PREFIX + n))) for n in names}} for m in better
    ]
    return pd.DataFrame(rows)


def decoding_table(result: Result) -> pd.DataFrame:
    """One row per form of file, as strings: what it must be read as, whether it is, and what its codec loses."""
    rows = [
        {
            "form": d.form,
            "read as": d.like,
            "holds": _mark(d.ok),
            "PSNR, dB": "-" if d.ok is None else "equal" if d.psnr is None else f"{d.psnr:.1f}",
            "found": d.reason or "-",
        }
        for d in result.decoding
    ]
    return pd.DataFrame(rows)


def codec_table(result: Result) -> pd.DataFrame:
    """One row per output, as strings: the mean change of its score by each codec that loses something."""
    lossy = {d.form.partition(" in ")[0]: d.changes for d in reversed(result.decoding) if d.psnr is not None}
    names = dict.fromkeys(name for changes in lossy.values() for name in changes)
    codecs = list(reversed(lossy))
    return pd.DataFrame([{"metric": n, **{c: number(lossy[c].get(n)) for c in codecs}} for n in names])


def _mark(ok: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[ok]


def response_table(result: Result) -> pd.DataFrame:
    """One row per corruption, one column per output, as strings: rank correlation / effect in standard deviations."""

    def cell(r: Response) -> str:
        if r.rank_correlation is None or r.effect_sd is None:
            return "-"
        return f"{r.rank_correlation:+.2f} / {r.effect_sd:+.1f}"

    rows: dict[str, dict[str, str]] = {}
    for r in result.summary:
        rows.setdefault(r.corruption, {})[r.metric] = cell(r)
    return pd.DataFrame([{"corruption": c, **cells} for c, cells in rows.items()])


def print_result(result: Result, files: Sequence[Path]) -> None:
    """Print the metrics that catch each corruption, values on the trivial clips, how files are read, what was written, and the
    verdict as last line."""
    out = console()
    for title, table in (
        ("who catches what", caught_table(result).drop(columns="what it does", errors="ignore")),
        ("trivial clips", trivial_table(result)),
        ("files", decoding_table(result)),
    ):
        if not table.empty:
            out.print(terminal(table, title), "")
    for name, reason in result.missing.items():
        line(out, f"{name} could not be made: {reason}", "yellow")
    for failure in result.failures:
        line(out, failure, "red")
    for file in files:
        line(out, str(file), "dim")
    bad = f"{len(result.failures)} failures, " if result.failures else ""
    bad += f"{len(result.missing)} metrics missing, " if result.missing else ""
    holding = sum(r.ok is True for r in result.summary)
    open_ = sum(bool(r.claimed) and r.ok is None for r in result.summary)
    bad += f"{holding} claims hold, {open_} cannot be judged here" if open_ else f"{holding} claims hold"
    corruptions = len({r.corruption for r in result.summary})
    counts = f"{bad}, {corruptions} corruptions, {result.n} clips"
    summary = f"selfcheck: {result.verdict} ({counts})"
    line(out, summary)
