"""`sora-eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sora_eval.compare.run_data import RunData

EXAMPLES = (
    "Examples: sora-eval compare runs/20260101-120000-aaaaaa runs/20260102-120000-bbbbbb --markdown; "
    "sora-eval compare EARLY MIDDLE BASE --ladder --page docs/ladder.md"
)


def compare(
    base: Annotated[Path, typer.Argument(help="The run or baseline file to compare against.")],
    new: Annotated[list[Path], typer.Argument(help="One run or several.")],
    slices: Annotated[bool, typer.Option("--slices", help="Also a row a shape, length and tag.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown instead of a terminal table.")] = False,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Each run against the one before it: does every metric order them, worst first?")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Also write the ladder to this Markdown page.")] = None,
) -> None:
    """Compare runs of one suite case by case, with intervals of the differences (new minus base)."""
    from reports.text.runs import comparison_markdown, print_comparison
    from sora_eval.compare.comparison import compare as pair
    from sora_eval.compare.run_data import data_of
    from sora_eval.gate.baseline import read
    from sora_eval.runs.folder import resolve_run

    first, *others = [data_of(read(p) if p.suffix == ".json" else resolve_run(p)) for p in (base, *new)]
    if ladder or page is not None:
        _checkpoint_order([first, *others], page, slices or markdown)
        return
    for comparison in [pair(first, other, slices) for other in others]:
        if markdown:
            print(comparison_markdown(comparison, slices))
        else:
            print_comparison(comparison, slices)


def _checkpoint_order(sides: list[RunData], page: Path | None, other_options: bool) -> None:
    from reports.text import checkpoints as report
    from sora_eval.compare.checkpoints import checkpoint_order, names_of
    from sora_eval.util.errors import RunError

    if other_options:
        raise RunError("--slices and --markdown do not go with --ladder; write its page with --page")
    rungs, labels = checkpoint_order(sides), names_of(sides)
    report.print_order(rungs, labels)
    if page is not None:
        runs = " ".join(n.rpartition(":")[2].upper().replace(" ", "") for n in labels)
        command = f"sora-eval compare {runs} --ladder --page {page.parent.name}/{page.name}"
        text = report.page(rungs, labels, command, sides[0].head.suite.id, len(sides[0].samples))
        try:
            page.write_text(text)
        except OSError as error:
            raise RunError(f"cannot write {page}: {error.strerror}; choose another --page") from error
        typer.echo(page)
