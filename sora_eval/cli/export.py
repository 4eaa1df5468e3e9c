"""`sora-eval export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.visible import say

EXAMPLES = (
    "Examples: sora-eval export latest --to model-index; sora-eval export RUN --to hub-results --dataset me/my-benchmark; "
    "sora-eval export RUN --to vbench-json --with results_eval_results.json"
)


def export(
    run: Annotated[Path, typer.Argument(help="A finished run: its folder, or 'latest'.")],
    to: Annotated[str, typer.Option(help="csv, every-eval-ever, hub-results, model-index, vbench-json or wandb.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the files; by default 'export' in the run.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option("--with", help="VBench's own result files, or a folder of them, beside the run's.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="The data set on the Hugging Face Hub that the suite is: OWNER/NAME.")] = "",
) -> None:
    """Write a run's values in the format of another place. What has no value is named, never written as 0."""
    from sora_eval.runs.find import resolve_run
    from sora_eval.runs.foreign import vbench_rows
    from sora_eval.util.errors import RunError
    from sora_eval_reports.export.formats import export as write
    from sora_eval_reports.export.published import Published
    from sora_eval_reports.source import open_source

    source = open_source([resolve_run(run).path])
    if not source.runs:
        raise RunError("; ".join(source.problems))
    published = Published(source, vbench_rows(beside) if beside else (), dataset)
    folder = out or source.runs[0].path / "export"
    try:
        files = write(published, to, folder)
    except OSError as error:
        raise RunError(f"{error.filename or folder} cannot be written: {error.strerror}; choose another --out") from error
    for line in published.left_out:
        say(f"note: {line}", err=True)
    for file in files:
        say(file)
