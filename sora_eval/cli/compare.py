"""`sora-eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.fidelity import DriftFile, FidelityMetrics
from sora_eval.cli.options import Wide
from sora_eval.util.errors import SoraEvalError
from sora_eval.util.visible import say

EXAMPLES = (
    "Examples: sora-eval compare runs/20260101-120000-aaaaaa runs/20260102-120000-bbbbbb --markdown; "
    "sora-eval compare EARLY MIDDLE BASE --ladder; sora-eval compare ONNX TORCH --fidelity all"
)


def compare(
    base: Annotated[Path, typer.Argument(help="The run or baseline file to compare against.")],
    new: Annotated[list[Path], typer.Argument(help="One run or several.")],
    slices: Annotated[bool, typer.Option("--slices", help="Also one row per shape, length and tag.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown instead of a terminal table.")] = False,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder", help="Each run against the one before it: does every metric order them? The least trained first."
        ),
    ] = False,
    notes: Annotated[bool, typer.Option("--notes", help="All notes; else five lines of them.")] = False,
    wide: Wide = False,
    fidelity: FidelityMetrics = None,
    drift: DriftFile = None,
) -> None:
    """Compare runs of one suite case by case, with intervals of the differences (new minus base).

    Clips of equal cases are compared frame by frame where both runs keep them; the last line says how many drifted, and
    whether a metric is worse.
    """
    if ladder and (slices or markdown):
        raise SoraEvalError("--slices and --markdown do not go with --ladder")
    from sora_eval.gate.baseline import open_data

    first, *others = map(open_data, (base, *new))
    if ladder:
        from sora_eval.compare.checkpoints import checkpoint_order, names_of
        from sora_eval_reports.text.checkpoints import print_order

        print_order(checkpoint_order([first, *others]), names_of([first, *others]))
        return
    from sora_eval.compare.comparison import compare as pair
    from sora_eval.fidelity.asked import with_fidelity
    from sora_eval_reports.answer.of_runs import of_pair
    from sora_eval_reports.text.runs import comparison_markdown, print_comparison

    for other in others:
        comparison = pair(first, with_fidelity(first, other, fidelity or (), drift), slices)
        answer = of_pair(comparison, first, other)
        if markdown:
            say(comparison_markdown(comparison, slices, answer))
        else:
            command = "" if notes else f"sora-eval compare {base} {other.path} --notes"
            print_comparison(comparison, slices, answer=answer, all_notes=command)
