"""`sora-eval baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    """Write a run as a baseline, after showing what changes against the one that is there."""
    from reports.text import runs as render
    from sora_eval.compare.comparison import compare
    from sora_eval.gate import baseline
    from sora_eval.runs.folder import resolve_run

    folder = resolve_run(run)
    path = to or baseline.default_path(folder.head.suite.id, profile)
    if path.exists():
        render.print_comparison(compare(baseline.read(path), folder))
    print(f"promoted: {baseline.promote(folder, path, profile=profile, force=force)}")


@app.command(epilog=SHOW)
def show(path: Annotated[Path, typer.Argument(help="A baseline file.")]) -> None:
    """Print what a baseline holds and where it comes from."""
    import pandas as pd

    from reports.text import tables
    from sora_eval.gate import baseline

    data = baseline.read(path)
    head, out = data.head, tables.console()
    facts = {
        "suite": str(head.suite),
        "generator": f"{data.label} ({head.generator.fingerprint})",
        "run": f"{data.run_id}, {head.finished}",
        "commit": head.git.commit or "-",
        "hardware": ", ".join(str(v) for v in head.hardware.values()),
        "profile": data.profile or "-",
        "cases": str(len(data.samples)),
    }
    rows = [
        {
            "metric": r.metric if r.slice == "all" else f"{r.metric} {r.slice}",
            "value": tables.number(r.value),
            "n": f"{r.n_scored}/{r.n_expected}",
            "unit": r.unit,
        }
        for r in data.metrics.values()
        if r.slice == "all" or r.metric == "latency"
    ]
    out.print(tables.terminal(pd.DataFrame(facts.items(), columns=["what", "it is"]), str(path)), "")
    out.print(tables.terminal(pd.DataFrame(rows, columns=["metric", "value", "n", "unit"]), "values"))
