"""The measured block of `docs/fidelity.md`: changes of the reference model that should not, and should, change its clips."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from docs.pages.program import between, check_markers, launch, write_page
from sora_eval.compare.comparison import Comparison, compare
from sora_eval.compare.drift_bounds import DriftBounds
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.fidelity.measure import measured
from sora_eval.pipeline import run as evaluate
from sora_eval.registry.paired_metrics import PAIRED_OUTPUTS
from sora_eval.runs.find import find_runs
from sora_eval.runs.folder import RunFolder
from sora_eval.studies.drift import drift_bounds
from sora_eval.suite import Suite, load_suite
from sora_eval_reports.numbers import number
from sora_eval_reports.text.tables import markdown

COMMAND = "python -m docs.pages.fidelity"
MARK = "fidelity"
BASE = "reference?threads=2"
REPEATS = ("reference?threads=1", "reference?backend=torch")  # of the same weights, where nothing changed
ARMS = (*REPEATS, "reference:base-int8", "reference?steps=10", "reference?steps=5", "reference:middle")
CHANGES = ("axes.seeds=[0]",)  # one of the suite's two: 64 cases


@dataclass(frozen=True)
class Arm:
    """A run against the base: its spec and the comparison with every paired metric."""

    spec: str
    comparison: Comparison


def main(
    page: Annotated[Path, typer.Option(help="The page with the markers of the block.")] = Path("docs/fidelity.md"),
    runs: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/fidelity"),
) -> None:
    """Run the suite `gate` with one seed on variants of the reference model and write the block of docs/fidelity.md."""
    check_markers(page, MARK)
    suite = load_suite("gate", CHANGES)
    base = _run(suite, BASE, runs)
    others = {spec: _run(suite, spec, runs) for spec in ARMS}
    bounds = drift_bounds([base, *(others[spec] for spec in REPEATS)], ("all",))
    arms = [Arm(spec, compare(base, measured(base, run, ("all",), bounds))) for spec, run in others.items()]
    started = time.perf_counter()
    measured(base, others[ARMS[-1]], ("all",), bounds)
    seconds = time.perf_counter() - started
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, block(arms, bounds, len(base.samples), seconds)))


def _run(suite: Suite, spec: str, folder: Path) -> RunData:
    """The run of a spec in a folder: finished, resumed or made."""
    for run in find_runs(folder):
        if (run.head.suite.fingerprint, run.head.generator.spec) == (suite.fingerprint, spec):
            return data_of(RunFolder.open((run if run.head.status == "success" else evaluate.resume(run)).path))
    return data_of(evaluate.run(suite, spec, folder))


def block(arms: Sequence[Arm], bounds: DriftBounds, cases: int, seconds: float) -> str:
    """The block in Markdown."""
    repeats = " and ".join(f"`{spec}`" for spec in REPEATS)
    about = (
        f"Written by `{COMMAND}`: the suite `{bounds.suite}` with one seed ({cases} cases), each run against `{BASE}` of the "
        f"same seeds. The bounds are from {bounds.cases} cases of the base, {repeats}: every pair of these three, so the first "
        f"two rows cannot drift. Means over pairs. All five paired metrics of {cases} pairs, with the networks' features in "
        f"the cache as after a run with `fvd` and `clip_score`, took {seconds:.1f} s on two cores."
    )
    rows = [{"against the base": arm.spec, **_values(arm.comparison)} for arm in arms]
    limits = [{"output": name, "farthest of repeats": number(bound.value)} for name, bound in bounds.bounds.items()]
    said = "\n".join(f"- `{arm.spec}`: {arm.comparison.headline}" for arm in arms)
    return "\n\n".join([about, markdown(pd.DataFrame(rows)), said, "Bounds:", markdown(pd.DataFrame(limits))])


def _values(comparison: Comparison) -> dict[str, str]:
    means = {row.metric: row.new for row in comparison.rows if row.paired and row.slice == "all"}
    return {output.removeprefix("fidelity."): number(means.get(output)) for output in PAIRED_OUTPUTS}


if __name__ == "__main__":
    launch(main)
