"""`docs/performance.md`: the speed of the reference model and of the harness itself, measured by one command.

Every ratio comes from rounds in which its two sides took turns, each generator in a process of its own. It is the median of
the ratios of single rounds; its interval is that of the median by order statistics, which assumes nothing of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from scipy.stats import quantile_test

from docs.pages.ltx_peer import save_ltx
from docs.pages.program import between, inside, launch, write_page
from sora_eval.records.request import Request
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.speed.session import bench
from sora_eval.speed.sweep import request_for
from sora_eval.speed.timed_generator import Call, IsolatedGenerator
from sora_eval.suite import Suite, load_suite
from sora_eval.util.errors import SoraEvalError
from sora_eval.util.progress import track
from sora_eval_reports.text.columns import SPEED_COLUMNS

ROUNDS = 11  # from 6 on the median of ratios has a 95 % interval at all; 11 leave one outlier a side
LOOP = 6  # calls of the bare loop a round
CLIPS = 4
SHAPE = "32x32x17"
SCORING = "scoring"  # the block of docs/pages/scoring.py, which stays


@dataclass(frozen=True)
class Ratio:
    """How many times faster NEW is than BASE; `target` is what it has to reach (`at_most`: must not exceed)."""

    what: str
    base: str
    new: str
    value: float | None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    target: float | None = None
    at_most: bool = False
    reason: str = ""

    @property
    def verdict(self) -> str:
        """Met or missed only if the whole interval is on one side of the target; an end without bound decides nothing."""
        if self.value is None:
            return f"not measured: {self.reason}"
        if self.target is None:
            return ""
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        met, missed = (high <= self.target, low > self.target) if self.at_most else (low >= self.target, high < self.target)
        if met or missed:
            return "met" if met else "**missed**"
        return "undecided: the interval holds the target"


def paired_ratio(base: Sequence[float], new: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Median over rounds of seconds of BASE / seconds of NEW, and its 95 % interval; None for an end that is not bounded."""
    ratios = np.asarray(base, float) / np.asarray(new, float)
    found: Any = quantile_test(ratios, p=0.5).confidence_interval(0.95)
    low, high = (float(v) if np.isfinite(v) else None for v in (found.low, found.high))
    return float(np.median(ratios)), low, high


def in_turns(sides: dict[str, Callable[[], Call]], rounds: int = ROUNDS) -> dict[str, list[Call]]:
    """Calls of every side, which take turns; the first call and one more of each are not kept.

    A side that fails once has that one call only.
    """
    kept: dict[str, list[Call]] = {name: [] for name in sides}
    dead: dict[str, Call] = {}
    for turn in range(-2, rounds):
        for name, call in sides.items():
            if name in dead:
                continue
            done = call()
            if done.seconds is None:
                dead[name] = done
            elif turn >= 0:
                kept[name].append(done)
    return {name: [dead[name]] if name in dead else calls for name, calls in kept.items()}


def ratio(
    calls: dict[str, list[Call]], what: str, base: str, new: str, target: float | None = None, stage: str | None = None
) -> Ratio:
    """The ratio of two sides on whole calls or on one stage."""
    for name in (base, new):
        if calls[name][0].seconds is None:
            return Ratio(what, base, new, None, target=target, reason=f"{name}: {calls[name][0].reason}")
    a, b = ([c.seconds or 0.0 if stage is None else c.stages[stage] for c in calls[n]] for n in (base, new))
    value, low, high = paired_ratio(a, b)
    return Ratio(what, base, new, value, low, high, len(a), target)


def main(
    page: Annotated[Path, typer.Option(help="The page.")] = Path("docs/performance.md"),
    out: Annotated[Path, typer.Option(help="Where the run folder goes.")] = Path("runs"),
) -> None:
    """Measure the speed of the reference model and of the harness, and write docs/performance.md."""
    suite = load_suite("throughput")
    steps: list[Callable[[], Any]] = [
        lambda: bench(suite, ["reference"], out)[0],
        lambda: backends(suite),
        lambda: packings(suite),
        lambda: overhead(suite),
        lambda: peers(suite),
    ]
    run, compared, mixed, cost, others = [step() for step in track(steps, "page")]
    scoring = page.read_text(encoding="utf-8") if page.is_file() else ""
    text = render(run, [*mixed, *compared, *others, cost])
    write_page(page, between(text, SCORING, inside(scoring, SCORING)))


def backends(suite: Suite) -> list[Ratio]:
    """ONNX Runtime against torch eager, torch.compile and int8: one call that makes four clips."""
    requests = [request_for(SHAPE, suite, seed) for seed in range(CLIPS)]
    specs = {
        "ONNX Runtime": "reference:base",
        "torch eager": "reference:base?backend=torch",
        "torch.compile": "reference:base?backend=compile",
        "int8": "reference:base-int8",
    }
    with ExitStack() as stack:
        sides, broken = _open(specs, stack)
        calls = in_turns({n: lambda g=g: g.call(requests) for n, g in sides.items()}) | broken  # type: ignore[misc]
    whole = f"a whole generation, {CLIPS} clips of {SHAPE}"
    return [
        ratio(calls, whole, "torch eager", "ONNX Runtime", 1.3),
        ratio(calls, whole, "torch.compile", "ONNX Runtime"),
        ratio(calls, "denoising", "ONNX Runtime", "int8", 1.4, stage="denoise"),
        ratio(calls, whole, "ONNX Runtime", "int8"),
    ]


def _open(specs: dict[str, str], stack: ExitStack) -> tuple[dict[str, IsolatedGenerator], dict[str, list[Call]]]:
    """Workers by name, and one failed call for each that cannot be opened."""
    sides, broken = {}, {}
    for name, spec in specs.items():
        try:
            sides[name] = IsolatedGenerator(spec)
            stack.callback(sides[name].close)
        except SoraEvalError as error:
            broken[name] = [Call(None, {}, 0, str(error))]
    return sides, broken


def packings(suite: Suite) -> list[Ratio]:
    """One mixed list served in every way of the reference pipeline, on one worker."""
    assert suite.throughput is not None
    requests = [request_for(shape, suite, seed) for seed, shape in enumerate(suite.throughput.mixed)]
    generator = IsolatedGenerator("reference:base")
    try:
        calls = in_turns({p: lambda p=p: generator.call(requests, p) for p in generator.facts.packings})  # type: ignore[misc]
    finally:
        generator.close()
    what = f"a mixed list of {len(requests)} clips and images"
    return [
        ratio(calls, what, "padded", "packed", 1.8),
        ratio(calls, what, "single", "packed", 1.2),
        ratio(calls, what, "bucketed", "packed"),
    ]


def peers(suite: Suite) -> list[Ratio]:
    """The loop of diffusers over a transformer of equal width, depth and tokens, one clip; its VAE is not this one."""
    requests = [request_for(SHAPE, suite)]
    what = f"denoising one clip of {SHAPE}"
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        name = "diffusers, LTX-Video"
        try:
            save_ltx(Path(folder))
        except ImportError as error:
            return [Ratio(what, name, "ONNX Runtime", None, reason=f"{error}; install sora_eval[diffusers]")]
        specs = {"ONNX Runtime": "reference:base", "torch eager": "reference:base?backend=torch", name: f"diffusers:{folder}"}
        sides, broken = _open(specs, stack)
        calls = in_turns({n: lambda g=g: g.call(requests) for n, g in sides.items()}) | broken  # type: ignore[misc]
    return [ratio(calls, what, name, new, stage="denoise") for new in ("torch eager", "ONNX Runtime")]


def overhead(suite: Suite) -> Ratio:
    """What the harness adds: its calls, the way to the worker included, against a bare loop of the same calls."""
    requests: list[Request] = [request_for(SHAPE, suite)]
    generator = IsolatedGenerator("reference:base")
    try:
        pairs = [(generator.harness_loop(requests, LOOP), generator.bare_loop(requests, LOOP)) for _ in range(ROUNDS + 1)][1:]
    finally:
        generator.close()
    value, low, high = paired_ratio([h for h, _ in pairs], [b for _, b in pairs])
    what = f"{LOOP} calls, one clip of {SHAPE}: seconds of the harness / of a bare loop"
    return Ratio(what, "harness", "bare loop", value, low, high, len(pairs), 1.05, at_most=True)


def render(run: RunFolder, ratios: Sequence[Ratio]) -> str:
    """The page."""
    import pandas as pd

    head = run.head
    machine, where = head.hardware, head.bench or {}
    rows = [
        {
            "what": r.what,
            "base": r.base,
            "new": r.new,
            "ratio": "-" if r.value is None else f"{r.value:.2f}x",
            "95 % interval": "-" if r.low is None or r.high is None else f"{r.low:.2f} .. {r.high:.2f}",
            "rounds": r.rounds,
            "target": "" if r.target is None else f"{'<=' if r.at_most else '>='} {r.target:g}x",
            "verdict": r.verdict,
        }
        for r in ratios
    ]
    shapes = sweep_table(run)
    cost = where["cost"]
    grown = "too few numbers of tokens for a curve" if cost is None else _growth(cost)
    peak = where["matrix_peak_flops"]
    failed = [f"- {r.slice}: {r.reason}" for r in run.rows(MetricRow) if r.status == "error"]
    snapped = "\n".join(f"- {note}" for note in where["snapped"])
    return f"""# Speed

Written by `python -m docs.pages.speed`; do not edit. Measured {(head.finished or "")[:10]} on {machine["cpu"]},
{machine["cores"]} cores, {machine["platform"]}; provider {where["provider"]}, {where["threads"]} threads, version
{head.software["sora_eval"]}, torch {head.software["torch"]}. {where.get("steps", "default")} denoising steps.

CUDA was not measured: the code chooses the provider, binds inputs and outputs and synchronises around timed regions, and a
test with a fake device checks the order of the calls; no number on this page is of a GPU.

No pipeline of diffusers has these networks. What is compared is its own loop (LTX-Video, random weights, torch eager) over a
transformer of the same width, depth, heads and tokens, guidance and steps alike; it differs in that it reads 128 text places
in every layer, and that guidance is a second half of the batch. So the ratio says what a loop costs, not which model is better.

## Ratios

Sides take turns round by round, each generator in a process of its own. A ratio is the median over rounds of how many times
faster "new" is; the interval is that of the median by order statistics. Met means that the whole interval is beyond the
target, missed that the whole interval falls short of it; undecided, that the interval holds it.

{pd.DataFrame(rows).to_markdown(index=False)}

## Scoring

`python -m docs.pages.scoring` writes this block: real clips against another version of the repository, where the time of a clip
goes, and the suite `quick`.

<!-- {SCORING} -->
<!-- /{SCORING} -->

## Single clips, batches and the mixed list

`sora-eval bench throughput`. Medians. `share of peak` is the FLOPs of a call (torch's counter on the shapes that the networks
saw) over its seconds, against {peak / 1e9:.0f} GFLOP/s: the fastest fp32 matrix product of the same job. Guidance doubles the
tokens that the network sees; `tokens` counts those of the clips. `peak MB` is the memory of the whole process in that call.

{shapes.to_markdown(index=False)}

{chr(10).join(failed)}

## Growth with tokens

{grown}

## Nearest shapes

The sweep asks for areas and aspect ratios; the reference model takes multiples of 8 px.

{snapped}
"""


def _growth(cost: dict[str, float]) -> str:
    lead = cost["lead"]
    text = (
        f"Seconds of denoising one clip of n tokens: {1e3 * cost['a']:.3g} ms + {1e3 * cost['b']:.3g} ms n + "
        f"{1e6 * cost['c']:.3g} us n^2, fitted without negative terms to medians; the largest error of the fit "
        f"is {cost['error_percent']:.0f} %."
    )
    if lead is None:
        return text + " No growth faster than n was seen in this range."
    return text + f" What grows with pairs of tokens (attention) costs more than what grows with tokens from n = {lead:.0f}."


def sweep_table(run: RunFolder) -> Any:
    """A row per timed point, the medians as text."""
    import pandas as pd

    points = {r.id: r for r in run.rows(TimingRow)}
    values = {(r.slice, r.metric): r.value for r in run.rows(MetricRow) if r.value is not None}
    out = []
    for name, head in points.items():
        if (name, "latency") in values:
            row: dict[str, Any] = {"point": name, "batch": head.batch, "tokens": head.tokens}
            for column in SPEED_COLUMNS:
                value = values.get((name, column.metric))
                row[column.title] = "-" if value is None else f"{value * column.scale:.3g}"
            out.append(row)
    return pd.DataFrame(out)


if __name__ == "__main__":
    launch(main)
