"""`docs/scale.md`: what a case costs in runs of 100 to 10,000, and how many workers one driver keeps busy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import typer

from docs.pages.program import launch, write_page
from docs.pages.scale_material import FRAMES, LAYOUTS, SHAPES
from docs.pages.scale_stages import STAGES, WARM, Measured, measure, measured, runs_of
from sora_eval.runs.folder import RunFolder
from sora_eval.stats.cluster_means import MOST_FLIPPED
from sora_eval.stats.packed_draws import AT_A_TIME
from sora_eval.util.environment import hardware
from sora_eval.util.errors import RunError
from sora_eval.util.progress import track
from sora_eval_reports.text.tables import markdown

if TYPE_CHECKING:  # what they load would be in the memory of processes that compare
    from docs.pages.scale_driver import DriverCost
    from docs.pages.scale_simulation import Times

SMALL, LARGE = 1_000, 10_000  # the sizes that targets are of
MOST_GROWTH = 1.3  # of the time per case from SMALL to LARGE
WORKERS = (1, 10, 100, 1_000)
GENERATOR_SECONDS = (1.0, 10.0, 60.0)  # assumed, for a clip of a real generator on its device
LINEAR = 0.1  # of growth that counts as none: repeats differ by as much
_FLUSHES = "what is not the processor's is the disk's, which flushes two rows a case here: rows of several cases in one flush"
GAPS = {"generate": _FLUSHES, "score": _FLUSHES}


@dataclass(frozen=True)
class Target:
    """What a run of LARGE cases has to hold; `value` is None where it was not measured, `at_most` in the same `unit`.
    `processor` is the same of processor time, where the value is of wall time that other work on the machine moves."""

    what: str
    value: float | None
    at_most: float
    unit: str
    processor: float | None = None
    gap: str = ""

    @property
    def verdict(self) -> str:
        """In a word, and by how much; of what is missed, what would close the gap."""
        if self.value is None:
            return "not measured"
        if self.value <= self.at_most:
            return "met"
        missed = f"MISSED: {self.value / self.at_most:.2f} times the target"
        if self.processor is not None:
            missed += f" by wall time; by processor time {'met' if self.processor <= self.at_most else 'MISSED'}"
        return f"{missed}; {self.gap}" if self.gap else missed


def main(
    page: Annotated[Path, typer.Option(help="The page.")] = Path("docs/scale.md"),
    folder: Annotated[Path, typer.Option(help="Where runs go; what was measured there is not measured again.")] = Path(
        "runs/scale"
    ),
    sizes: Annotated[
        list[int] | None, typer.Option(help="Numbers of cases, multiples of 10; by default 100, 1000, 10000.")
    ] = None,
    layouts: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(LAYOUTS)}; by default all.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of two runs of every size; the page has medians.")] = 1,
    workers: Annotated[
        list[int] | None, typer.Option(help="Workers that the driver is measured with; by default 1 to 1000.")
    ] = None,
) -> None:
    """Measure stages and driver, simulate runs of many workers, and write docs/scale.md of all that the folder has."""
    wanted, named = sizes or [100, SMALL, LARGE], layouts or list(LAYOUTS)
    for size in wanted:
        if size < 10 or size % 10:
            raise RunError(f"--sizes {size}: expected a multiple of 10")
    for layout in named:
        if layout not in LAYOUTS:
            raise RunError(f"--layouts {layout}: expected one of: {', '.join(LAYOUTS)}")
    jobs = [(number, layout, size) for number in range(rounds) for size in sorted(wanted) for layout in named]
    for number, layout, size in track(jobs, "stages"):
        measure(folder, layout, size, number)
    from docs.pages.scale_driver import driver_costs

    rows = measured(folder / "measured.jsonl")
    size = max((s for s in wanted if s <= SMALL), default=min(wanted))
    run = RunFolder.open(runs_of(folder / f"{named[0]}-{size}-0")[0])
    costs = driver_costs(run, folder, workers or WORKERS)
    write_page(page, render(rows, costs))


def render(rows: Sequence[Measured], costs: Sequence[DriverCost]) -> str:
    """The page."""
    sizes = sorted({row.cases for row in rows})
    machine, flush = hardware(), float(np.median([c.flush for c in costs]))
    stages = "\n\n".join(
        f"### {text[:1].upper()}{text[1:]}\n\n{markdown(stage_table(rows, layout, sizes))}\n\n{growth(rows, layout)}"
        for layout, text in LAYOUTS.items()
        if any(row.layout == layout for row in rows)
    )
    goals = pd.DataFrame(
        [
            {
                "target": t.what,
                "measured": "-" if t.value is None else f"{t.value:.3g} {t.unit}".strip(),
                "processor": "" if t.processor is None else f"{t.processor:.3g} {t.unit}",
                "at most": f"{t.at_most:g} {t.unit}".strip(),
                "verdict": t.verdict,
            }
            for t in targets(rows)
        ]
    )
    return f"""# Scale

Written by `python -m docs.pages.scale`; do not edit. Measured on {machine["cpu"]}, {machine["cores"]} cores,
{machine["memory_bytes"] / 2**30:.0f} GiB of memory, {machine["platform"]}, without a GPU. A row that is appended and flushed
to the disk takes {1e3 * flush:.2f} ms here; the driver flushes four times for a case (a row and its sum, of the clip and of the
scores), so that neither a kill nor a power cut loses a case that was made.

A trivial `python:` generator makes clips of {" or ".join(SHAPES)} px and {FRAMES} frames; five cheap metrics score them,
four are gated. So this is what the harness itself costs; networks come on top. Two runs of each size: the second is compared
with the first (`compare --slices`), gated by it, and shown beside it (`report --html`, 24 clips). Each command is a process of
its own, which has done the same on {WARM} cases before: what is loaded once does not count.
{_counted(rows)}

## What must hold at {LARGE:,} cases

{markdown(goals)}

## Milliseconds of a case

Wall time, and at the largest size also that of the processor, which neither the disk nor other work on the machine moves.
`growth` is the time per case at {LARGE:,} over that at {SMALL:,}; 1 is linear. `peak` is the most memory of the process in the
stage at the largest size, of which `at the start` is what Python, torch and torchmetrics take before the first case.

{stages}

What could grow faster, and why it does or does not: the tests flip the signs of whole prompts some thousand times, which is
linear in prompts, in parts of {AT_A_TIME // 2**20} million signs, so that memory does not follow; seeds that are exchanged
inside prompts are kept as bits. Above {MOST_FLIPPED:,} prompts intervals are Student's t, without flips. Rows are checked and
sorted by case, n log n at most. A set metric (`fvd` and its like) is none of the five: its Gram matrix holds all clips of both
runs and of the reference set against each other, so it does grow with the square, 7.2 GB for three sets of 10,000.

## The driver of an engine

With `--engine` one process, the driver, gives out cases and writes all rows, in the order in which workers answer. Here its
workers answer at once, with the rows of a run that exists, and what they are asked and answer passes through pickle: all the
time is the driver's. `busy` is for a case while the driver never sleeps; `wake` for one answer while all other workers are at
work. It grows with the workers, each of which is waited for; a driver that is busy finds many answers each time it looks.

{markdown(driver_table(costs))}

## Workers until the driver is full

Simulated from these times (`docs/pages/scale_simulation.py`: discrete events, {len(GENERATOR_SECONDS)} assumed seconds of a
generator for a clip, each give or take a fifth; as many scorers take the time above). `driver` is the
share of the time that it is busy. What Ray itself does for a call is not in it.

{markdown(workers_table(rows, costs))}

{saturation(costs)}
"""


def _counted(rows: Sequence[Measured]) -> str:
    """Of how many runs the medians are, by size."""
    runs = {cases: sum(r.stage == "generate" for r in rows if r.cases == cases) for cases in sorted({r.cases for r in rows})}
    return f"Medians; runs in all: {', '.join(f'{n} of {cases:,} cases' for cases, n in runs.items())}."


def _of(rows: Sequence[Measured], layout: str, cases: int, stage: str) -> list[Measured]:
    return [r for r in rows if (r.layout, r.cases, r.stage) == (layout, cases, stage)]


def _seconds(rows: Sequence[Measured], layout: str, cases: int, stage: str, of: str = "seconds") -> float | None:
    """Median seconds of a stage, of wall time or of the `processor`; None where it was not measured."""
    found = [getattr(r, of) for r in _of(rows, layout, cases, stage)]
    return float(np.median(found)) if found else None


def _growth(rows: Sequence[Measured], layout: str, stage: str, of: str = "seconds") -> float | None:
    """Time per case at LARGE over that at SMALL."""
    small, large = (_seconds(rows, layout, cases, stage, of) for cases in (SMALL, LARGE))
    return None if not small or large is None else large / LARGE / (small / SMALL)


def targets(rows: Sequence[Measured]) -> list[Target]:
    """All targets, each of the layout that is worse."""
    layouts = list(dict.fromkeys(row.layout for row in rows))

    def worst(*stages: str) -> float | None:
        sums = [[_seconds(rows, layout, LARGE, s) for s in stages] for layout in layouts]
        return max((sum(filter(None, each)) for each in sums if None not in each), default=None)

    large = [r for r in rows if r.cases == LARGE]
    size, peak = (max((getattr(r, name) for r in large), default=None) for name in ("size", "peak"))

    def growths(stage: str, of: str) -> float | None:
        return max((g for layout in layouts if (g := _growth(rows, layout, stage, of)) is not None), default=None)

    return [
        Target("planning", worst("plan"), 2, "s"),
        Target("compare and gate", worst("compare", "gate"), 30, "s"),
        Target("HTML report", worst("report"), 60, "s"),
        Target("its size", None if size is None else size / 1e6, 25, "MB"),
        Target("memory of the driver, any command", None if peak is None else peak / 1e9, 1.5, "GB"),
        *(
            Target(
                f"time per case at {LARGE:,} / at {SMALL:,}: {s}",
                growths(s, "seconds"),
                MOST_GROWTH,
                "x",
                growths(s, "processor"),
                GAPS.get(s, ""),
            )
            for s in STAGES
        ),
    ]


def stage_table(rows: Sequence[Measured], layout: str, sizes: Sequence[int]) -> pd.DataFrame:
    """A row per stage: milliseconds per case by size, growth and memory."""
    out = []
    for stage in STAGES:
        row: dict[str, str] = {"stage": stage}
        for cases in sizes:
            seconds = _seconds(rows, layout, cases, stage)
            row[f"{cases:,} cases"] = "-" if seconds is None else f"{1e3 * seconds / cases:.3g}"
        last = _of(rows, layout, max(sizes), stage)
        for title, of in (("growth", "seconds"), ("of processor", "processor")):
            rate = _growth(rows, layout, stage, of)
            row[title] = "-" if rate is None else f"{rate:.2f}x"
        row["processor, ms"] = f"{np.median([1e3 * r.processor / r.cases for r in last]):.3g}" if last else "-"
        row["whole, s"] = f"{np.median([r.seconds for r in last]):.3g}" if last else "-"
        row["peak"] = f"{max(r.peak for r in last) / 1e6:.0f} MB" if last else "-"
        row["at the start"] = f"{max(r.before for r in last) / 1e6:.0f} MB" if last else "-"
        out.append(row)
    return pd.DataFrame(out)


def growth(rows: Sequence[Measured], layout: str) -> str:
    """Which stages grow faster than the cases, by the exponent of a power between the two sizes."""
    found = {s: rate for s in STAGES if (rate := _growth(rows, layout, s, "processor")) is not None}
    if not found:
        return f"Growth is between {SMALL:,} and {LARGE:,} cases, which were not both measured."
    faster = {s: rate for s, rate in found.items() if rate > 1 + LINEAR}
    if not faster:
        return f"By processor time no stage grows faster than the cases, by more than {LINEAR:.0%} from {SMALL:,} to {LARGE:,}."
    power = math.log(LARGE / SMALL)
    each = ", ".join(f"{s} (as cases^{1 + math.log(rate) / power:.2f})" for s, rate in faster.items())
    return f"By processor time these grow faster than the cases: {each}."


def driver_table(costs: Sequence[DriverCost]) -> pd.DataFrame:
    """A row per number of workers."""
    return pd.DataFrame(
        [
            {
                "generators, and as many scorers": f"{c.workers:,}",
                "busy, ms a case": f"{1e3 * c.busy:.2f}",
                "wake, ms": f"{1e3 * c.wake:.3f}",
                "cases a second at most": f"{1 / c.busy:.0f}",
            }
            for c in costs
        ]
    )


def times_of(rows: Sequence[Measured], costs: Sequence[DriverCost], generate: float, workers: int) -> Times:
    """The times of a simulation with so many workers, between those that were measured. A case has two answers."""
    from docs.pages.scale_simulation import Times

    known = [c.workers for c in costs]
    busy, wake = (float(np.interp(workers, known, [getattr(c, name) for c in costs])) for name in ("busy", "wake"))
    scored = [r for r in rows if r.stage == "score"]
    largest = max(r.cases for r in scored)
    scores = [r.seconds / r.cases for r in scored if r.cases == largest]
    return Times(generate, float(np.median(scores)), busy / 2, 2 * wake)  # the futures of generators and of scorers


def workers_table(rows: Sequence[Measured], costs: Sequence[DriverCost]) -> pd.DataFrame:
    """A row per number of generators, and a pair of columns per assumed time."""
    from docs.pages.scale_simulation import simulate

    out = []
    for workers in (1, 3, 10, 30, 100, 300, 1_000):
        row = {"generators, and as many scorers": f"{workers:,}"}
        for generate in GENERATOR_SECONDS:
            times = times_of(rows, costs, generate, workers)
            found = simulate(workers, workers, times, max(2_000, 10 * workers))
            row[f"{generate:g} s a clip: clips/s"] = f"{found.clips_per_second:.3g}"
            row[f"driver, {generate:g} s"] = f"{found.driver:.0%}"
        out.append(row)
    return pd.DataFrame(out)


def saturation(costs: Sequence[DriverCost]) -> str:
    """The number of generators that fill the driver, by the time of a clip."""
    busy = costs[-1].busy
    each = [f"{generate / busy:,.0f} generators at {generate:g} s a clip" for generate in GENERATOR_SECONDS]
    return (
        f"The driver takes {1e3 * busy:.2f} ms a case, {1 / busy:.0f} cases a second, so it is full with {', '.join(each)}.\n"
        "From there on more workers wait; shards (`run --shard I/N`, docs/shards.md) have a driver each."
    )


if __name__ == "__main__":
    launch(main)
