"""The measured block of `docs/continuation.md`: whether rows of continuation and of unseen laws order the checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from docs.pages.checkpoints import CHECKPOINTS
from docs.pages.program import between, check_markers, launch, write_page
from sora_eval.compare.checkpoints import CheckpointOrder, checkpoint_order, names_of
from sora_eval.compare.run_data import RunData, data_of
from sora_eval.compare.slices import slice_rows
from sora_eval.studies.repeats import repeat
from sora_eval.suite import load_suite
from sora_eval_reports.numbers import interval, number
from sora_eval_reports.text.checkpoints import by_family, reasons, sentence, steps_of, table, title
from sora_eval_reports.text.tables import escape, markdown

COMMAND = "python -m docs.pages.continuation"
MARK = "measured"
SUITES = ("continue", "unseen")
SHOWN = ("first_frame_fidelity", "continuation", "conservation", "fitted_parameters")  # the others are on the ladder's own page
ORACLES = ("oracle:world", "oracle:vae")


def main(
    page: Annotated[Path, typer.Option(help="The page whose measured block is written.")] = Path("docs/continuation.md"),
    runs: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs"),
) -> None:
    """Run the suites `continue` and `unseen` on every checkpoint and write the measured block of docs/continuation.md."""
    check_markers(page, MARK)
    parts = []
    for name in SUITES:
        suite = load_suite(name)
        data = [data_of(run) for spec in CHECKPOINTS for run in repeat(suite, spec, 1, runs)]
        parts += suite_parts(data, name, len(suite.cases))
    text = "\n\n".join([f"Written by `{COMMAND}` from one run of each checkpoint.", *parts])
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, text))


def suite_parts(data: Sequence[RunData], suite: str, cases: int) -> list[str]:
    """The parts of the block on one suite, in Markdown: the order of the checkpoints, what the oracles reach, and errors in and
    out of the training range where the suite's tags tell them apart."""
    labels = names_of(data)
    rungs = [r for r in checkpoint_order(data) if r.metric.partition(".")[0] in SHOWN and r.higher_is_better is not None]
    out = [f"### Suite `{suite}`, {cases} cases", f"Steps: {steps_of(labels)}, as on [the ladder](ladder.md)."]
    for name, own in by_family(rungs).items():
        out += [f"**{title(name)}.** {sentence(name, own, labels).partition(': ')[2]}.", markdown(table(own, labels))]
        if lines := reasons(own):
            out.append("\n".join(f"- {escape(line)}" for line in lines))
    if len(oracles := oracle_table(data[-1], rungs)):
        out += ["What the world and its VAE reach on the same cases:", markdown(oracles)]
    if len(ranges := range_table(data, labels)):
        out += ["In and out of the range of the training, mean with its 95 % interval and number of clips:", markdown(ranges)]
    return out


def oracle_table(run: RunData, rungs: Sequence[CheckpointOrder]) -> pd.DataFrame:
    """The oracles' values of the rows of a ladder, as strings; empty without oracles."""
    rows = []
    for rung in rungs:
        known = {o: row for o in ORACLES if (row := run.metrics.get((rung.metric, o))) is not None}
        if known:
            cells = {o: number(known[o].value) if o in known else "-" for o in ORACLES}
            rows.append({"metric": rung.metric, **cells})
    return pd.DataFrame(rows)


def range_table(data: Sequence[RunData], labels: Sequence[str]) -> pd.DataFrame:
    """Errors of fitted constants by the tags `range:in` and `range:out`, as strings; empty without such tags."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for label, run in zip(labels, data, strict=True):
        for row in slice_rows(None, run, ("tag",)):
            if row.metric.endswith("_error") and row.slice.removeprefix("tag:").startswith("range:"):
                value = f"{number(row.new)} ({interval(row.interval.low, row.interval.high)}), {row.n}"
                cells.setdefault((row.metric, row.slice), {})[label] = value
    rows = [{"metric": m, "tag": s, **{n: own.get(n, "-") for n in labels}} for (m, s), own in sorted(cells.items())]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    launch(main)
