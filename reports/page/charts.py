"""Charts of the HTML report as Vega-Lite specifications, made with Altair.

Data stays out of the specifications: each reads the data set `rows`, which the page fills and filters. Colours are the
page's own CSS variables, so that light and dark need no second drawing.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import altair as alt

from sora_eval_reports.page.speed import ASPECTS

ROWS = alt.NamedData("rows")
RATIO_SHOWN = math.log(2.0)  # the ends of the colour scale: half and twice as fast
SHOWN_SD = 3.0  # the ends of the colour scale of the selfcheck, in standard deviations
LONGEST_TITLE = 60  # characters: a longer one leaves no room for its chart
BASE, NEW = "var(--base)", "var(--new)"
SERIES = ["var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)", "var(--s6)"]
TONES = {"good": "var(--good)", "bad": "var(--bad)", "open": "var(--open)", "none": "var(--dim)"}
TICKS = [-300, -100, -30, -10, -3, 0, 3, 10, 30, 100, 300, 1000]  # %, of a symmetric logarithm
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",  # measured by Vega, so it must be a real one
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--fg)",
        "titleColor": "var(--dim)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 170,
    },
    "legend": {
        "labelColor": "var(--fg)",
        "titleColor": "var(--dim)",
        "orient": "top",
        "title": None,
        "labelLimit": 260,
        "titleLimit": 320,
    },
    "title": {"color": "var(--fg)", "fontSize": 13, "anchor": "start", "fontWeight": 600},
    "text": {"color": "var(--fg)", "fontSize": 12},
}


@cache
def script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, so that the page needs no network."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def as_title(text: str) -> str:
    r"""A text of a run as the title of an axis: Vega-Lite puts titles into expressions and escapes double quotes only.

    >>> as_title("a\\b: c\n")
    'a b: c '
    """
    plain = "".join(c if c.isprintable() and c != "\\" else " " for c in text)
    return plain if len(plain) <= LONGEST_TITLE else f"{plain[:LONGEST_TITLE]}..."


def forest() -> dict[str, Any]:
    """Differences in % of the base with their intervals, with signs such that right is better.

    Rows: name, change, low, high, tone (good, bad, open, none), tip.
    """
    scale = alt.Scale(type="symlog", constant=5, padding=8)
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(grid=False, domain=False, ticks=False))
    tone = alt.Color("tone:N", scale=alt.Scale(domain=list(TONES), range=list(TONES.values())), legend=None)
    title = "% of the base; right is better"
    chart = alt.Chart(ROWS)
    tips = [alt.Tooltip("name:N", title="metric"), alt.Tooltip("tip:N", title="change")]
    zero = alt.Chart().mark_rule(color="var(--dim)", strokeDash=[3, 3]).encode(x=alt.datum(0))
    bars = chart.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", scale=scale, title=title, axis=alt.Axis(values=TICKS, labelOverlap=True)),
        x2="high:Q",
        y=y,
        color=tone,
        tooltip=tips,
    )
    points = chart.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("change:Q", scale=scale), y=y, color=tone, tooltip=tips
    )
    return _spec(alt.layer(bars, zero, points, data=ROWS), height={"field": "name", "step": 21, "more": 48})


def scatter(base: str, new: str) -> dict[str, Any]:
    """One point per prompt: the mean of its cases in the base against the new run. Rows: base, new, prompt, n, tone."""
    scale = alt.Scale(zero=False, nice=True, padding=8)
    points = (
        alt.Chart(ROWS)
        .mark_circle(size=64, opacity=0.7)
        .encode(
            x=alt.X("base:Q", title=as_title(base), scale=scale, axis=alt.Axis(tickCount=6)),
            y=alt.Y("new:Q", title=as_title(new), scale=scale, axis=alt.Axis(tickCount=6)),
            color=alt.Color("tone:N", scale=alt.Scale(domain=list(TONES), range=list(TONES.values())), legend=None),
            tooltip=[
                alt.Tooltip("prompt:N"),
                alt.Tooltip("base:Q", format=".4"),
                alt.Tooltip("new:Q", format=".4"),
                alt.Tooltip("n:Q", title="cases"),
            ],
        )
    )
    ends = alt.Chart(alt.NamedData("diagonal")).mark_line(color="var(--dim)", strokeDash=[4, 4], strokeWidth=1)
    return _spec(alt.layer(ends.encode(x="base:Q", y="new:Q"), points), height=360)


def heat(unit: str, *, ratio: bool = False) -> dict[str, Any]:
    """Median seconds of a clip over resolution and aspect ratio, or a ratio of two: blue is faster, red slower.

    Rows: aspect, resolution, value, text, shape, light.
    """
    ends = [math.exp(-RATIO_SHOWN), 1.0, math.exp(RATIO_SHOWN)]
    scale = (
        alt.Scale(domain=ends, range=["#2166ac", "#f7f7f7", "#b2182b"], type="log", clamp=True)
        if ratio
        else alt.Scale(scheme="yellowgreenblue", type="log")
    )
    base = alt.Chart(ROWS).encode(
        x=alt.X(
            "aspect:N",
            title="aspect ratio (nearest)",
            sort=list(ASPECTS),
            axis=alt.Axis(labelAngle=0, grid=False, domain=False),
        ),
        y=alt.Y("resolution:N", title="resolution, px", sort=None, axis=alt.Axis(grid=False, domain=False)),
    )
    tips = [alt.Tooltip("shape:N"), alt.Tooltip("text:N", title=unit), alt.Tooltip("repeats:Q")]
    cells = base.mark_rect(cornerRadius=4, stroke="var(--card)", strokeWidth=2).encode(
        color=alt.Color("value:Q", scale=scale, legend=None), tooltip=tips
    )
    texts = base.mark_text(fontWeight=600).encode(
        text="text:N", color=alt.condition("datum.light", alt.value("#10202b"), alt.value("#ffffff")), tooltip=tips
    )
    return _spec(alt.layer(cells, texts), height={"field": "resolution", "step": 46, "more": 52})


def tokens(labels: list[str]) -> dict[str, Any]:
    """Seconds against tokens, every repeat, with a line through the medians. Rows: tokens, seconds, run, shape."""
    colour = alt.Color("run:N", scale=alt.Scale(domain=labels, range=SERIES[: len(labels)]), sort=None)
    x = alt.X(
        "tokens:Q", scale=alt.Scale(type="log", nice=False, padding=12), title="tokens of a clip", axis=alt.Axis(tickCount=5)
    )
    y = alt.Y("seconds:Q", scale=alt.Scale(type="log", nice=False, padding=12), title="seconds", axis=alt.Axis(tickCount=5))
    points = alt.Chart(ROWS).mark_circle(size=42, opacity=0.55)
    tips = [alt.Tooltip("run:N"), alt.Tooltip("shape:N"), alt.Tooltip("seconds:Q", format=".4"), alt.Tooltip("tokens:Q")]
    line = alt.Chart(ROWS).mark_line(strokeWidth=2).encode(x=x, y=alt.Y("median(seconds):Q", title="seconds"), color=colour)
    return _spec(alt.layer(line, points.encode(x=x, y=y, color=colour, tooltip=tips)), height=300)


def curve(x: str) -> dict[str, Any]:
    """One metric over training steps or the order of runs, with its intervals. Rows: x, value, low, high, label."""
    chart = alt.Chart(ROWS)
    axis = alt.X("x:Q", title=x, axis=alt.Axis(tickCount=4, format="~s"), scale=alt.Scale(zero=False, nice=False, padding=10))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    tips = [
        alt.Tooltip("label:N", title="run"),
        alt.Tooltip("x:Q", title=x),
        alt.Tooltip("value:Q", format=".4"),
        alt.Tooltip("interval:N", title="95 %"),
    ]
    band = chart.mark_area(opacity=0.16, color=BASE).encode(x=axis, y=alt.Y("low:Q", title=None), y2="high:Q")
    line = chart.mark_line(color=BASE, strokeWidth=2).encode(x=axis, y=y)
    points = chart.mark_point(filled=True, size=55, opacity=1, color=BASE).encode(x=axis, y=y, tooltip=tips)
    return _spec(alt.layer(band, line, points), height=130)


def selfcheck() -> dict[str, Any]:
    """Responses of metrics to corruptions. Rows: metric, corruption, value (None where unknown), mark, light, known, claim,
    found, effect."""
    base = alt.Chart(ROWS).encode(
        x=alt.X("corruption:N", title=None, sort=None, axis=alt.Axis(labelAngle=-40, orient="top", grid=False, domain=False)),
        y=alt.Y("metric:N", title=None, sort=None, axis=alt.Axis(grid=False, domain=False)),
    )
    tips = [alt.Tooltip(f"{name}:N") for name in ("metric", "corruption", "claim", "found", "effect")]
    cells = base.mark_rect(cornerRadius=3, stroke="var(--card)", strokeWidth=2).encode(
        color=alt.Color(
            "value:Q",
            scale=alt.Scale(scheme="redblue", domain=[-SHOWN_SD, SHOWN_SD], clamp=True),
            legend=alt.Legend(
                title="effect, sd; less is worse", gradientLength=160, values=[-SHOWN_SD, 0, SHOWN_SD], orient="top"
            ),
        ),
        tooltip=tips,
    )
    marks = base.mark_text(fontWeight=700).encode(
        text="mark:N",
        color=alt.when("!datum.known")
        .then(alt.value("var(--dim)"))
        .when("datum.light")
        .then(alt.value("#10202b"))
        .otherwise(alt.value("#ffffff")),
        tooltip=tips,
    )
    return _spec(alt.layer(cells, marks), height={"field": "metric", "step": 24, "more": 170})


def _spec(chart: alt.LayerChart | alt.FacetChart, height: Any) -> dict[str, Any]:
    """A specification as wide as its container. `height` is px or, for filtered rows, a field, `step` px per value of it and
    `more` px for the axes; the page's script computes the px."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    return spec | {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": CONFIG,
    }
