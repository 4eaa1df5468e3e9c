"""The table of a paper, in LaTeX with booktabs: one row per metric, one column per run, better beyond noise in bold."""

from __future__ import annotations

import pandas as pd

from sora_eval.runs.rows import SampleRow
from sora_eval.util.visible import visible
from sora_eval_reports.numbers import number
from sora_eval_reports.page.rows import Row, rows_of
from sora_eval_reports.source import Source

_SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)
_UP, _DOWN = r"$\uparrow$", r"$\downarrow$"


def table(source: Source) -> str:
    """A `tabular` that needs the package booktabs.

    Each further run has its value and, in brackets, the 95 % interval of its difference to the first; bold is the better of
    the two beyond noise. A single run has its own intervals.
    """
    rows = [r for r in rows_of(source) if r.kind == "all"]
    single = not source.compared
    base = source.labels[source.runs[0].name]
    columns: dict[str, dict[str, str]] = {} if single else {base: {}}
    names: dict[str, str] = {}
    for r in rows:
        arrow = "" if r.better is None else f" {_UP if r.better else _DOWN}"
        names[r.metric] = escape(r.metric) + arrow
        columns.setdefault(r.run, {})[r.metric] = _cell(r, r.tone == "good" and not single)
        if not single:
            bold = r.tone == "bad" or r"\textbf" in columns[base].get(r.metric, "")
            columns[base][r.metric] = _bold(number(r.base), bold)
    # The order of the suite, not worst first: a paper's table has fixed rows.
    order = [m for m in dict.fromkeys(source.frames.metrics["metric"]) if m in names]
    frame = pd.DataFrame({escape(run): [values.get(m, "--") for m in order] for run, values in columns.items()})
    frame.index = pd.Index([names[m] for m in order])
    counts = ", ".join(f"{escape(source.labels[r.name])}: {len(r.rows(SampleRow))} clips" for r in source.runs)
    suite = source.runs[0].head.suite
    caption = f"% suite {suite.id} version {suite.version}, fingerprint {escape(suite.fingerprint)}; {counts}\n"
    return caption + frame.style.to_latex(hrules=True, column_format="l" + "r" * len(frame.columns))


def escape(text: str) -> str:
    r"""Text on one line, with LaTeX's special characters escaped.

    >>> print(escape("95 % of clip_score"))
    95 \% of clip\_score
    """
    return " ".join(visible(text).split()).translate(_SPECIAL)


def _bold(text: str, bold: bool) -> str:
    return rf"\textbf{{{text}}}" if bold else text


def _cell(row: Row, bold: bool) -> str:
    if row.new is None:
        return "--"
    bracket = "" if row.low is None else f" [{number(row.low)}, {number(row.high)}]"
    return _bold(number(row.new), bold) + bracket
