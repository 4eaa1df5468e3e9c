"""`docs/ladder.md`: whether every metric orders the checkpoints of the reference model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from docs.pages.program import launch, write_page
from sora_eval.compare.checkpoints import CheckpointOrder, checkpoint_order, names_of
from sora_eval.compare.run_data import data_of
from sora_eval.studies.repeats import repeat
from sora_eval.suite import load_suite
from sora_eval_reports.text.checkpoints import by_family, print_order, reasons, sentence, steps_of, table, title
from sora_eval_reports.text.tables import escape, markdown

COMMAND = "python -m docs.pages.checkpoints"
CHECKPOINTS = ("reference:early", "reference:middle", "reference:base")  # the least trained first


def main(
    page: Annotated[Path, typer.Option(help="The page.")] = Path("docs/ladder.md"),
    runs: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs"),
) -> None:
    """Run the suite `gate` on every checkpoint of the reference model and write docs/ladder.md."""
    suite = load_suite("gate")
    data = [data_of(run) for spec in CHECKPOINTS for run in repeat(suite, spec, 1, runs)]
    rungs, labels = checkpoint_order(data), names_of(data)
    print_order(rungs, labels)
    write_page(page, page_text(rungs, labels, suite.suite.id, len(suite.cases)))


def page_text(rungs: Sequence[CheckpointOrder], labels: Sequence[str], suite: str, cases: int) -> str:
    """The page in Markdown."""
    families = by_family(rungs)
    about = (
        f"Written by `{COMMAND}` from one run of each checkpoint on the suite `{suite}` ({cases} cases): does every metric "
        f"order {' < '.join(f'`{n}`' for n in labels)}?"
    )
    terms = (
        f"Steps: {steps_of(labels)}; each cell is the paired change with its 95 % interval. A step *holds* when the interval "
        "leaves 0 out on the better side and the permutation test agrees (p <= 0.05); it is *reversed* when both say worse, "
        "and *within noise* else: then the smallest change that so many prompts show with 80 % power stands beside it. Steps "
        "are not corrected for their number. A metric without a better end orders nothing."
    )
    parts = ["# The ladder of checkpoints", about, "\n".join(f"- {sentence(n, own, labels)}" for n, own in families.items())]
    parts.append(terms)
    for name, own in families.items():
        parts += [f"## {title(name)}", markdown(table(own, labels))]
        if lines := reasons(own):
            parts.append("\n".join(f"- {escape(line)}" for line in lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    launch(main)
