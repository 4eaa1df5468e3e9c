"""`sora-eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Example: sora-eval compare runs/20260101-120000-aaaaaa runs/20260102-120000-bbbbbb --markdown"


def compare(
    base: Annotated[Path, typer.Argument(help="The run to compare against.")],
    new: Annotated[list[Path], typer.Argument(help="One run or several.")],
    slices: Annotated[bool, typer.Option("--slices", help="Also a row a shape.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown instead of a terminal table.")] = False,
) -> None:
    """Compare runs of one suite case by case, with intervals of the differences (new minus base)."""
    from rich.console import Console

    from reports import tables
    from sora_eval.cli.run import show_comparison
    from sora_eval.compare import compare as pair
    from sora_eval.runs import resolve_run

    first = resolve_run(base)
    for other in new:
        comparison = pair(first, resolve_run(other))
        if markdown:
            print(
                "\n".join(
                    [f"## {comparison.base} against {comparison.new}", "", *(f"- {w}" for w in comparison.warnings)]
                )
            )
            print(tables.markdown(tables.comparison_table(comparison, slices)))
        else:
            show_comparison(Console(), comparison, slices)
