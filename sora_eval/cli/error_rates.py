"""`sora-eval error-rates`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "Examples: sora-eval error-rates gate --pool runs/pool --page docs/verdicts.md; "
    "sora-eval error-rates my.toml -g python:mine:new --against python:mine:old --draws 200"
)
AGAINST = (
    "reference:middle",
    "reference:early",
    "reference:base-int8",
    "reference?steps=10",
    "reference?steps=5",
    "reference?steps=2",
    "reference?guidance=1",
)


def error_rates(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file, with gates.")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="The checkpoint of the baseline.")] = "reference",
    against: Annotated[
        list[str] | None, typer.Option(help="Worse generators to find; left out, those of the reference model.")
    ] = None,
    pool: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/pool"),
    repeats: Annotated[int, typer.Option(min=2, help="Runs of the baseline's checkpoint, each with other seeds.")] = 6,
    others: Annotated[int, typer.Option(min=1, help="Runs of each other generator.")] = 2,
    draws: Annotated[int, typer.Option(min=10, help="A/A pairs of virtual runs.")] = 1000,
    power: Annotated[int, typer.Option(min=10, help="Pairs for each other generator.")] = 200,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw and gate; the numbers stay the same.")] = 2,
    page: Annotated[Path | None, typer.Option(help="Also write the tables between the markers of this page.")] = None,
) -> None:
    """Measure how often a suite's gate errs, and what it finds, on pairs of runs drawn from a pool of real ones."""
    from functools import reduce

    from reports.text import error_rates as report
    from reports.text import tables
    from sora_eval.compare.run_data import RunData, data_of
    from sora_eval.studies.error_rates import CHUNK, Rates
    from sora_eval.studies.error_rates import error_rates as measure
    from sora_eval.studies.repeats import repeat
    from sora_eval.suite import load_suite
    from sora_eval.util.errors import SuiteError
    from sora_eval.util.progress import track

    loaded = load_suite(suite)
    if not loaded.gates:
        raise SuiteError(f"{loaded.path} has no [gates.*]: there is nothing whose errors could be measured")
    specs = list(AGAINST) if against is None else against
    base = [data_of(r) for r in repeat(loaded, generator, repeats, pool)]
    arms: list[tuple[str, list[RunData] | None, int]] = [(f"{generator}, again", None, draws)]
    arms += [(spec, [data_of(r) for r in repeat(loaded, spec, others, pool)], power) for spec in specs]
    found = []
    for name, new, count in arms:
        chunks = measure(name, base, new, loaded.gates, count, workers=workers)
        found.append(reduce(Rates.joined, track(chunks, name, total=-(-count // CHUNK)), Rates(name)))
    out = tables.console()
    out.print(tables.terminal(report.table(found).T.reset_index(names=""), f"{loaded.suite.id}: REGRESSED"))
    for line in report.sees(found):
        print(f"seen by {line}")
    if page is not None:
        counts = f"--repeats {repeats} --others {others} --draws {draws} --power {power}"
        named = "".join(f" --against '{spec}'" for spec in against or ())
        target = f"{page.parent.name}/{page.name}"
        command = f"sora-eval error-rates {loaded.suite.id} -g {generator}{named} {counts} --page {target}"
        cases = (
            f"The pool: {repeats} runs of {base[0].label} and {others} of each other generator, {len(loaded.cases)} cases each."
        )
        report.write_between(page, report.page_block(found, command, cases))
        print(f"wrote {page}")
