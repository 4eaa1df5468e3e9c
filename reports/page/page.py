"""The HTML report: one file that opens offline. All text of runs is escaped."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sora_eval.runs.rows import SampleRow
from sora_eval.util.errors import RunError
from sora_eval_reports.answer.of_runs import of_source
from sora_eval_reports.answer.one_run import share
from sora_eval_reports.numbers import interval, number, signed
from sora_eval_reports.page import charts, gallery, notices, speed, summary
from sora_eval_reports.page.cards import better_of, cards_of, cases_of, last_compared
from sora_eval_reports.page.rows import Row, rows_of
from sora_eval_reports.source import Source, read_json

LIGHT = 0.55  # of the range of a heat map: paler cells have dark text
SEEN_LIGHT = 0.7 * charts.SHOWN_SD  # the same, of the selfcheck's effects


def render(source: Source, clips: int = 24, selfcheck: Path | None = None, beside: Path | None = None) -> str:
    """The HTML of one run, or of several against the first, with `clips` cases in its gallery and a `selfcheck` file.

    `beside` is a folder beside the page for the whole videos of large and long clips; without one the page is a single file.
    """
    responses, problems = _selfcheck(source, selfcheck)
    source.problems.extend(problems)
    return _environment().get_template("report.html.j2").render(**context(source, clips, responses, beside))


def context(source: Source, clips: int, responses: list[dict[str, Any]], beside: Path | None = None) -> dict[str, Any]:
    """The variables of the template."""
    rows = rows_of(source) if source.runs else []
    cases = cases_of(source)
    cards = cards_of(source, cases, clips, beside) if source.runs else []
    last = source.labels[source.runs[-1].name] if source.runs else ""
    better = better_of(source) if source.runs else {}
    families = summary.families(rows, last, cases, cards, better)
    data = {
        "rows": [r.forest() for r in rows],
        "cases": cases,
        "cards": [c["data"] for c in cards],
        "speed": _speed(source),
        "curves": _curves(source),
        "selfcheck": responses,
        "specs": _specs(source),
        "better": better,
        "orders": gallery.ORDERS,
    }
    return {
        "families": families,
        "bars": any(row.place is not None for family in families for row in family.lines),
        "many": _many(source) if len(source.runs) > summary.MANY else None,
        "judged": bool(source.compared) or any(r.verdict for r in rows),
        "title": source.runs[0].head.suite.id if source.runs else "no run",
        "runs": [_run(source, i) for i in range(len(source.runs))],
        "answer": of_source(source),
        "rows": rows,
        "choices": _choices(rows),
        "scaled": any(r.place is not None for r in rows) and not any(r.change is not None for r in rows),
        "several": len(source.compared) > 1,
        "shares": bool(source.runs) and len(source.frames.attribution) > 0,
        "prompts": bool(source.compared) and bool(cases["metrics"]),
        "paired": bool(source.compared) or any(r.change is not None for r in rows),
        "cards": cards,
        "stages": speed.stage_rows(source.frames.timings, source.labels) if source.runs else [],
        "served": speed.served_rows(source.frames, source.labels) if source.runs else [],
        "environment": notices.environment(source),
        "signatures": notices.signatures(source),
        "missing": notices.missing(source),
        "reasons": notices.reasons(source),
        "data": data,
        "css": Markup(file_of("report.css")),
        "script": Markup(file_of("report.js")),
        "vega": Markup(charts.script()),
    }


def _many(source: Source) -> dict[str, Any]:
    """The runs as a table."""
    return summary.table_of_runs(source.frames.metrics.to_dict("records"), [run.name for run in source.runs])


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sora_eval_reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"number": number, "signed": signed, "data": to_script, "breakable": breakable}
    environment.filters |= filters
    environment.globals |= {"interval": interval, "share": share}
    return environment


def to_script(data: Any) -> Markup:
    """JSON for a script element, escaped so that it cannot end the element or start a comment. NaN becomes null."""
    text = json.dumps(_finite(data), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def breakable(text: str) -> Markup:
    """Escaped text with line breaks allowed after a dot, an underscore, a bar or a colon."""
    return Markup("").join(
        escape(p) + Markup("<wbr>") if p in "._|:" else escape(p) for p in re.split(r"([._|:])", str(text)) if p
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def file_of(name: str) -> str:
    """The text of a file beside the templates."""
    return (resources.files("sora_eval_reports.page") / "templates" / name).read_text(encoding="utf-8")


def _run(source: Source, i: int) -> dict[str, str]:
    run = source.runs[i]
    head, sizes = run.head, run.rows(SampleRow)
    commit = head.git.commit
    return {
        "role": ("base" if i == 0 else "new") if len(source.runs) > 1 else "run",
        "label": source.labels[run.name],
        "steps": "" if head.generator.training_steps is None else f"{head.generator.training_steps:,}",
        "name": run.name,
        "date": head.started[:10],
        "facts": " · ".join(
            filter(
                None,
                [
                    f"{len(sizes)} cases",
                    head.started[:10],
                    f"commit {commit[:7]}{'+' if head.git.dirty else ''}" if commit else "",
                    f"{head.hardware.get('cpu')}, {head.hardware.get('cores')} cores",
                ],
            )
        ),
    }


def _choices(rows: list[Row]) -> dict[str, list[str]]:
    def unique(values: Any) -> list[str]:
        return list(dict.fromkeys(values))

    return {
        "family": unique(r.family for r in rows),
        "run": unique(r.run for r in rows),
        "shape": unique(r.slice for r in rows if r.kind == "shape"),
        "length": unique(r.slice for r in rows if r.kind == "length"),
        "tag": unique(r.slice for r in rows if r.kind == "tag"),
        "verdict": unique(r.verdict for r in rows if r.verdict),
    }


def _speed(source: Source) -> dict[str, Any]:
    """Heat maps by (what, length): each run's seconds, and of two or more the last against the first."""
    if not source.runs:
        return {"heat": [], "tokens": []}
    rows = speed.heat_rows(source.frames.timings, source.labels)
    names = list(dict.fromkeys(r["run"] for r in rows))
    views: list[dict[str, Any]] = [
        {"what": f"seconds, {n}", "ratio": False, "rows": [{**r, "value": r["seconds"]} for r in rows if r["run"] == n]}
        for n in names
    ]
    if len(names) > 1:
        first = {r["shape"]: r["seconds"] for r in rows if r["run"] == names[0]}
        last = [{**r, "value": r["seconds"] / first[r["shape"]]} for r in rows if r["run"] == names[-1] and r["shape"] in first]
        views.append({"what": f"ratio, {names[-1]} / {names[0]}", "ratio": True, "rows": last})
    for view in views:
        values = np.log([r["value"] for r in view["rows"]])
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        for r in view["rows"]:
            share = (np.log(r["value"]) - low) / (high - low) if high > low else 0.0
            if view["ratio"]:
                share = abs(np.log(r["value"])) / charts.RATIO_SHOWN
            r |= {"text": f"{r['value']:.3g}", "light": bool(share < LIGHT), "value": float(f"{r['value']:.5g}")}
            r.pop("seconds")
    return {"heat": [v for v in views if v["rows"]], "tokens": speed.token_rows(source.frames.timings, source.labels)}


def _curves(source: Source) -> dict[str, Any]:
    """Metrics over training steps where all runs have different ones, else over the order of the runs; of three or more."""
    if len(source.runs) < 3:
        return {}
    runs = source.frames.runs
    steps = runs["training_steps"].tolist()
    dated = not runs["training_steps"].isna().any() and len(set(steps)) == len(steps)
    place = dict(zip(runs["run"], steps if dated else range(1, len(steps) + 1), strict=True))
    rows = source.frames.metrics
    rows = rows[rows["slice"].eq("all") & rows["value"].notna()]
    out: dict[str, Any] = {"x": "training steps" if dated else "run, in the order given", "metrics": []}
    for metric, group in rows.groupby("metric", sort=False):
        points = [
            {
                "x": int(place[r["run"]]),
                "value": r["value"],
                "low": r["low"],
                "high": r["high"],
                "label": source.labels[r["run"]],
                "interval": interval(r["low"], r["high"]),
            }
            for r in group.to_dict("records")
        ]
        first = group.iloc[0]
        better = {True: "higher is better", False: "lower is better"}.get(first["higher_is_better"], "")
        title = " · ".join(filter(None, [str(metric), first["unit"], better]))
        out["metrics"].append({"name": title, "family": first["family"], "rows": sorted(points, key=lambda p: p["x"])})
    return out


def _selfcheck(source: Source, path: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The cells of a selfcheck.json, of `path` or else of a run, and the problems of reading it."""
    file = path or next(
        (r.path / "selfcheck.json" for r in reversed(source.runs) if (r.path / "selfcheck.json").exists()), None
    )
    if file is None:
        return [], []
    try:
        data = read_json(file)
        better = {r["metric"]: r["higher_is_better"] for r in data["rows"]}
        return [_cell(r, better[r["metric"]]) for r in data["summary"]], []
    except (RunError, KeyError, TypeError) as error:
        return [], [f"no selfcheck: {file.name} is not one: {error}"]


def _cell(r: dict[str, Any], higher_is_better: bool | None) -> dict[str, Any]:
    """A cell: `value` is the effect at full strength, signed so that less is worse; 0 without a better end."""
    effect, claimed = r["effect_sd"], r["claimed"]
    value = None if r["direction"] == "unknown" else {True: 1.0, False: -1.0, None: 0.0}[higher_is_better] * effect
    state = {True: "holds", False: "does NOT hold", None: "cannot be judged here"}[r["ok"]]
    return {
        "metric": r["metric"],
        "corruption": r["corruption"].replace("_", " "),
        "value": value,
        "mark": {True: "+", False: "!", None: "?"}[r["ok"]] if claimed else "" if value is not None else "·",
        "light": value is None or abs(value) < SEEN_LIGHT,
        "known": value is not None,
        "claim": f"{claimed}: {state}" if claimed else "none",
        "found": r["direction"],
        "effect": f"{number(effect)} sd, rank correlation {number(r['rank_correlation'])}",
    }


def _specs(source: Source) -> dict[str, Any]:
    labels = list(source.labels.values()) or [""]
    last = last_compared(source)
    return {
        "forest": charts.forest(),
        "scatter": charts.scatter(labels[0], source.labels[last] if last else labels[0]),
        "heat": charts.heat("median, s"),
        "ratio": charts.heat("ratio of medians", ratio=True),
        "tokens": charts.tokens(labels),
        "curve": charts.curve(_curves(source).get("x", "")),
        "selfcheck": charts.selfcheck(),
    }
