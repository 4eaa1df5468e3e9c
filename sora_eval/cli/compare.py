"""`sora-eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Example: sora-eval compare runs/20260101-120000-aaaaaa runs/20260102-120000-bbbbbb --markdown"


def compare(
    base: Annotated[Path, typer.Argument(help="The run or baseline file to compare against.")],
    new: Annotated[list[Path], typer.Argument(help="One run or several.")],
    slices: Annotated[bool, typer.Option("--slices", help="Also a row a shape, length and tag.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown instead of a terminal table.")] = False,
) -> None:
    """Compare runs of one suite case by case, with intervals of the differences (new minus base)."""
    from reports.render import comparison_markdown, print_comparison
    from sora_eval.baseline import read
    from sora_eval.compare import compare as pair
    from sora_eval.runs import resolve_run
    from sora_eval.sides import side_of

    first, *others = [side_of(read(p) if p.suffix == ".json" else resolve_run(p)) for p in (base, *new)]
    for comparison in [pair(first, other, slices) for other in others]:
        if markdown:
            print(comparison_markdown(comparison, slices))
        else:
            print_comparison(comparison, slices)
