"""The measured block of `docs/ci.md`: a gate in a series of runs, when nothing changes and when a decline is slow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from docs.pages.program import between, check_markers, launch, write_page
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.studies.error_rates import by_seed
from sora_eval.studies.repeats import repeat
from sora_eval.studies.series_errors import METHODS, SeriesRates, series_rates
from sora_eval.suite import load_suite
from sora_eval.util.progress import track
from sora_eval_reports.text.tables import markdown

MARK = "series"
RUNS, ONSET = 30, 10  # of a series; before the first worse clip
SEEDS = (8, 2)  # per prompt, of the baseline and of a run
WORSE = (("reference:middle", 0.5), ("reference?steps=5", 1.0))  # share of clips in the last run


def main(
    page: Annotated[Path, typer.Option(help="The page; the block goes between its markers.")] = Path("docs/ci.md"),
    pool: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/pool"),
    repeats: Annotated[int, typer.Option(min=6, help="Runs of the baseline's checkpoint.")] = 12,
    draws: Annotated[int, typer.Option(min=10, help="Series without a change.")] = 200,
    power: Annotated[int, typer.Option(min=10, help="Series with a slow decline.")] = 20,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw and gate; the numbers stay the same.")] = 2,
) -> None:
    """Measure a series of gates of the suite `gate` on virtual runs, and write it into docs/ci.md."""
    check_markers(page, MARK)
    suite = load_suite("gate")
    base = by_seed([data_of(run) for run in repeat(suite, "reference:base", repeats, pool)])
    still = (0.0,) * RUNS
    arms: list[tuple[str, list[RunData], tuple[float, ...], int, bool]] = [
        ("nothing, other seeds in every run", [], still, draws, False),
        ("nothing, the same seeds in every run", [], still, draws, True),
    ]
    for spec, most in WORSE:
        shares = tuple(max(0.0, most * (i + 1 - ONSET) / (RUNS - ONSET)) for i in range(RUNS))
        worse = by_seed([data_of(run) for run in repeat(suite, spec, 3, pool)])
        arms.append((f"{spec}, 0 to {most:.0%}", worse, shares, power, False))
    rates = []
    for arm, worse, shares, count, same in arms:
        one = series_rates(arm, base, worse, suite.gates, shares, count, seeds=SEEDS, same_seeds=same, workers=workers)
        rates.append(reduce(SeriesRates.joined, track(one, arm, total=count)))
        print(markdown(table(rates[-1:])), flush=True)
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, block(rates, repeats)))


def block(rates: Sequence[SeriesRates], repeats: int) -> str:
    """What stands between the markers."""
    return "\n".join(
        [
            f"Written by `python -m docs.pages.series`. Series of {RUNS} virtual runs of {SEEDS[1]} seeds per prompt against",
            f"a baseline of {SEEDS[0]}, drawn from {repeats} runs of `reference:base` on suite `gate` (scores of clips).",
            f"In a decline the share of clips of a worse generator rises after run {ONSET}, to the given one at run {RUNS}.",
            "Share of the series with an alarm, and in how many runs after the first worse one half of the series had it:",
            "",
            markdown(table(rates)),
        ]
    )


def table(rates: Sequence[SeriesRates]) -> pd.DataFrame:
    """One row per arm: share of the series with an alarm (95 % interval, Clopper-Pearson) and median delay, by method."""
    return pd.DataFrame(
        [{"what changes": r.arm, "series": str(r.draws), **{_HEADS[m]: _cell(r, m) for m in METHODS}} for r in rates]
    )


_HEADS = {"single gates": "single gates", "budget": "--series: budget", "decline": "--series: decline"}


def _cell(rates: SeriesRates, method: str) -> str:
    share, low, high = (100 * v for v in rates.rate(method))
    delay = rates.delay(method) if any(rates.shares) else None
    return f"{share:.1f} % ({low:.1f} .. {high:.1f})" + ("" if delay is None else f", {delay} runs")


if __name__ == "__main__":
    launch(main)
