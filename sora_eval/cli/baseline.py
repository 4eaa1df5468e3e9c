"""`sora-eval baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Wide
from sora_eval.util.visible import say

app = typer.Typer(no_args_is_help=True, help="Promote a run to be compared against, and show what is promoted.")
PROMOTE = (
    "Examples: sora-eval baseline promote latest; sora-eval baseline promote runs/A runs/B runs/C runs/D; "
    "sora-eval baseline promote runs/E --add; sora-eval baseline promote runs/GOOD --to baselines/quick.json --force"
)
SHOW = "Example: sora-eval baseline show baselines/quick.json"


@app.command(epilog=PROMOTE)
def promote(
    runs: Annotated[list[Path], typer.Argument(help="Whole runs of committed code, or 'latest'; each of other seeds.")],
    to: Annotated[Path | None, typer.Option(help="The file; left out, baselines/SUITE[.PROFILE].json.")] = None,
    profile: Annotated[str | None, typer.Option(help="Name of the hardware, for gates on speed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a baseline of the same suite.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add the runs to a baseline of the same checkpoint.")] = False,
    suite: Annotated[Path | None, typer.Option(help="Hold the limits of this suite file, not those of the run.")] = None,
    wide: Wide = False,
    clips: Annotated[
        bool,
        typer.Option("--clips", help="Keep the clips too, in a folder beside the file: later runs are compared with them."),
    ] = False,
    features: Annotated[
        bool, typer.Option("--features", help="Keep features and latents of the clips in the file, far smaller than the clips.")
    ] = False,
) -> None:
    """Write runs of one checkpoint as a baseline, after showing the changes against an existing one.

    Several runs under other seeds (run --seed-offset) make a gate pass more often when nothing changed. The file holds the
    limits too: no run is judged by wider ones.
    """
    from sora_eval.gate import baseline
    from sora_eval.runs.find import resolve_run

    folders = [resolve_run(run) for run in runs]
    path = to or baseline.default_path(folders[0].head.suite.id, profile)
    if path.exists():
        existing = baseline.read(path)
        from sora_eval.compare.comparison import compare
        from sora_eval_reports.text.runs import print_comparison

        for folder in folders:
            print_comparison(compare(existing, folder))
    kept = []
    if features:
        from sora_eval.compare.run_data import data_of
        from sora_eval.fidelity.kept import features_to_keep

        kept = [features_to_keep(data_of(folder)) for folder in folders]
    made = baseline.promote(folders, path, profile=profile, force=force, add=add, suite=suite, clips=clips, kept=kept)
    say(f"promoted: {made}", message=True)


@app.command(epilog=SHOW)
def show(path: Annotated[Path, typer.Argument(help="A baseline file.")], wide: Wide = False) -> None:
    """Print what a baseline holds and where it comes from."""
    from sora_eval.gate.baseline import read

    data = read(path)
    from sora_eval_reports.text.baseline import print_baseline

    print_baseline(data)
