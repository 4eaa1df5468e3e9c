"""`sora-eval selfcheck`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.errors import SelfcheckError

EXIT_FAILED, EXIT_INCOMPLETE = 10, 12
EXAMPLES = (
    "Examples: sora-eval selfcheck --n 8 --metrics temporal_flickering,warping_error --corruptions flicker,freeze; "
    "sora-eval selfcheck --clips folder:my_clips --n 4; sora-eval selfcheck --page docs/selfcheck.md. "
    "Exit codes: 0 every claim holds, 10 a claim fails, 12 a metric could not be made."
)


def selfcheck(
    clips: Annotated[str, typer.Option(help="A suite of world prompts, or folder:PATH with real clips.")] = "world",
    metrics: Annotated[
        str, typer.Option(help="Names with commas, options as in 'clip_score?model=ViT-B-32:openai'; left out, all.")
    ] = "",
    corruptions: Annotated[
        str, typer.Option(help="Names with commas; left out, all, and set metrics see the most telling ones only.")
    ] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Clips.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the corruptions.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the files; a killed selfcheck goes on from it.")] = Path("selfcheck"),
    page: Annotated[Path | None, typer.Option(help="Also write this Markdown page, with its picture in images/.")] = None,
) -> None:
    """Show graded damage to every metric: does it see what it claims to see, and is it blind only to what it says?"""
    from reports.export import selfcheck as report
    from sora_eval.metrics.create import make_metrics
    from sora_eval.selfcheck.judge import judge
    from sora_eval.selfcheck.material import open_material
    from sora_eval.selfcheck.measure import check_corruptions, check_metrics, measure

    chosen = check_corruptions(_split(corruptions))
    material = open_material(clips, n, seed)
    made = make_metrics(check_metrics(_split(metrics)), material.prompts)
    seen = measure(material, made, chosen, out, all_sets=bool(corruptions))
    shown = clips if material.exact else f"folder:{Path(clips.removeprefix('folder:')).name}"  # pages hold no paths
    result = judge(material, made, seen, shown)
    try:
        files = report.write_files(result, out)
        if page is not None:
            files += report.write_page(result, page, _command(shown, metrics, corruptions, n, seed, page))
    except OSError as error:
        raise SelfcheckError(f"cannot write {error.filename}: {error.strerror}; choose another --out or --page") from error
    report.print_result(result, files)
    if result.verdict != "PASS":
        raise typer.Exit(EXIT_FAILED if result.verdict == "FAIL" else EXIT_INCOMPLETE)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _command(clips: str, metrics: str, corruptions: str, n: int, seed: int, page: Path) -> str:
    """The command, without what is at its default."""
    options = {"--clips": clips, "--metrics": metrics, "--corruptions": corruptions, "--n": n, "--seed": seed}
    usual = {"--clips": "world", "--metrics": "", "--corruptions": "", "--n": 16, "--seed": 0}
    changed = " ".join(f"{k} {v}" for k, v in options.items() if v != usual[k])
    return " ".join(filter(None, ["sora-eval selfcheck", changed, f"--page {page.parent.name}/{page.name}"]))
