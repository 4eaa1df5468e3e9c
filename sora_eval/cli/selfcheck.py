"""`sora-eval selfcheck`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Device, Wide
from sora_eval.records.verdict import EXIT_INCOMPLETE, EXIT_REGRESSED
from sora_eval.util.errors import SelfcheckError

EXAMPLES = (
    "Examples: sora-eval selfcheck --n 8 --metrics temporal_flickering,warping_error --corruptions flicker,freeze; "
    "sora-eval selfcheck --clips folder:my_clips --n 4. "
    "Exit codes: 0 every claim holds, 10 a claim fails, 12 a metric could not be made."
)


def selfcheck(
    clips: Annotated[str, typer.Option(help="A suite of world prompts, or folder:PATH with real clips.")] = "world",
    metrics: Annotated[
        str,
        typer.Option(help="Names with commas, options as in 'clip_score?model=ViT-B-32:openai'; left out, all but the paired."),
    ] = "",
    corruptions: Annotated[
        str,
        typer.Option(help="Names with commas; left out, all, set metrics see the most telling ones only, and files are read."),
    ] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Clips.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the corruptions.")] = 0,
    device: Device = None,
    wide: Wide = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the files; a killed selfcheck resumes from it.")] = Path(
        "selfcheck"
    ),
) -> None:
    """Show graded damage to every metric: does it see what it claims to see, and is it blind only to what it says?"""
    from sora_eval.selfcheck.check import selfcheck as check

    result = check(clips, _split(metrics), _split(corruptions), n, seed, out)
    from sora_eval_reports.export.selfcheck import print_result, write_files

    try:
        files = write_files(result, out)
    except OSError as error:
        raise SelfcheckError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    print_result(result, files)
    if result.verdict != "PASS":
        raise typer.Exit(EXIT_REGRESSED if result.verdict == "FAIL" else EXIT_INCOMPLETE)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
