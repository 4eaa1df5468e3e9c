"""`sora-eval baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.visible import say

app = typer.Typer(no_args_is_help=True, help="Promote a run to be compared against, and show what is promoted.")
PROMOTE = "Examples: sora-eval baseline promote latest; sora-eval baseline promote runs/GOOD --to baselines/quick.json --force"
SHOW = "Example: sora-eval baseline show baselines/quick.json"


@app.command(epilog=PROMOTE)
def promote(
    run: Annotated[Path, typer.Argument(help="A whole run of committed code: its folder, or 'latest'.")],
    to: Annotated[Path | None, typer.Option(help="The file; left out, baselines/SUITE[.PROFILE].json.")] = None,
    profile: Annotated[str | None, typer.Option(help="Name of the hardware, for gates on speed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a baseline of the same suite.")] = False,
) -> None:
    """Write a run as a baseline, after showing the changes against an existing one."""
    from sora_eval.gate import baseline
    from sora_eval.runs.find import resolve_run

    folder = resolve_run(run)
    path = to or baseline.default_path(folder.head.suite.id, profile)
    if path.exists():
        existing = baseline.read(path)
        from reports.text.runs import print_comparison
        from sora_eval.compare.comparison import compare

        print_comparison(compare(existing, folder))
    say(f"promoted: {baseline.promote(folder, path, profile=profile, force=force)}")


@app.command(epilog=SHOW)
def show(path: Annotated[Path, typer.Argument(help="A baseline file.")]) -> None:
    """Print what a baseline holds and where it comes from."""
    from sora_eval.gate.baseline import read

    data = read(path)
    from reports.text.baseline import print_baseline

    print_baseline(data)
