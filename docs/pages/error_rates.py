"""The measured block of `docs/verdicts.md`: how often the gate of the suite `gate` errs, and what it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from docs.pages.program import between, check_markers, launch, write_page
from sora_eval.records.verdict import Verdict
from sora_eval.studies.error_rates import SIGNIFICANT, WHOLE, GateErrors
from sora_eval.studies.gate_errors import gate_errors
from sora_eval.suite import load_suite
from sora_eval_reports.text.error_rates import SEEN, print_rates, sees, table
from sora_eval_reports.text.tables import markdown

MARK = "error-rates"
REPEATS = 12  # runs of the baseline's checkpoint in the pool
SEEDS = (8, 2)  # per prompt, of the shipped baseline and of a run


def main(
    page: Annotated[Path, typer.Option(help="The page; the block goes between its markers.")] = Path("docs/verdicts.md"),
    pool: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/pool"),
    draws: Annotated[int, typer.Option(min=10, help="Pairs without a change, and pairs of a change of one limit.")] = 1000,
    power: Annotated[int, typer.Option(min=10, help="Pairs of each other change.")] = 200,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw and gate; the numbers stay the same.")] = 2,
) -> None:
    """Measure how often the gate of the suite `gate` errs, on the reference model, and write it into docs/verdicts.md."""
    check_markers(page, MARK)
    suite = load_suite("gate")
    errors = gate_errors(suite, pool=pool, seeds=SEEDS, repeats=REPEATS, draws=draws, power=power, workers=workers)
    print_rates(errors)
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, page_block(errors)))


def page_block(errors: GateErrors) -> str:
    """What stands between the markers: the whole gate's verdicts, then REGRESSED, PASS and significance row by row."""
    rates, (held, asked) = errors.rates, errors.seeds
    verdicts = {v: table(rates, v) for v in (Verdict.PASS, Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.REGRESSED)}
    whole = pd.DataFrame(
        [
            {"new run": r.arm, "draws": r.draws, **{str(v): t[WHOLE][i] for v, t in verdicts.items()}}
            for i, r in enumerate(rates)
        ]
    )
    return "\n".join(
        [
            f"Written by `python -m docs.pages.error_rates`: a baseline of {held} seeds a prompt against a run of {asked},",
            f"drawn from {errors.pool} seeds of {errors.label}, {errors.cases} clips each, and seeds of the other generators.",
            "",
            "A virtual run answers each prompt with the clips of seeds of the pool, chosen at random; in the first row both",
            "sides are one checkpoint and share no clip. `same seeds`: the run's seeds are among the baseline's. The last rows",
            "mix clips of a worse checkpoint into runs of the baseline's, so that the row named has truly lost its limit, or",
            "more. Draws share clips, so the intervals (95 %, Clopper-Pearson) are of the draws, not of new pools. The whole",
            "gate said:",
            "",
            markdown(whole),
            "",
            "REGRESSED, row by row:",
            "",
            markdown(table(rates)),
            "",
            f"{SEEN:.0%} of the draws or more are REGRESSED, metric by metric:",
            "",
            *(f"- {line}" for line in sees(rates)),
            "",
            "PASS, row by row:",
            "",
            markdown(verdicts[Verdict.PASS]),
            "",
            "Share of the draws whose own test gives p <= 0.05, before limit, least change and Holm's correction. In the first",
            "row it is the level of the test, which should be 5 % or less; in the others what the test alone could find:",
            "",
            markdown(table(rates, SIGNIFICANT)),
        ]
    )


if __name__ == "__main__":
    launch(main)
