"""`sora-eval bench`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import SuiteChanges
from sora_eval.records.verdict import EXIT_INCOMPLETE

EXAMPLES = (
    "Examples: sora-eval bench throughput; sora-eval bench throughput -g reference:base --against reference:base-int8; "
    "sora-eval bench throughput -g 'reference?backend=torch' --against reference; "
    "sora-eval bench my.toml -g python:my_model:generate"
)


def bench(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file with \\[throughput].")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="What to time; see 'list generators'.")] = "reference",
    against: Annotated[
        list[str] | None,
        typer.Option("--against", "-a", help="Another generator, timed in turns with the first: A B A B; each leaves a run."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to run, for generators that can choose: cpu or cuda.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where run folders go.")] = Path("runs"),
    set_: SuiteChanges = None,
) -> None:
    """Time a generator over resolutions, aspect ratios, lengths and batches; or several of them in turns."""
    from sora_eval.generators.opening import with_device
    from sora_eval.suite import load_suite

    loaded = load_suite(suite, set_ or ())
    from sora_eval.speed.session import bench as run_bench

    started = time.monotonic()
    folders = run_bench(loaded, [with_device(s, device) for s in (generator, *(against or ()))], out)
    from sora_eval_reports.text.console import console
    from sora_eval_reports.text.speed import print_speed

    out_console = console()
    for folder in folders:
        print_speed(folder, out_console)
        out_console.print(f"{folder.path}  ({time.monotonic() - started:.0f} s)", soft_wrap=True)
    if len(folders) > 1:
        command = f"sora-eval compare {' '.join(str(f.path) for f in folders)} --slices"
        out_console.print(f"compare them: {command}", soft_wrap=True)
    if any(f.head.failed_metrics for f in folders):
        out_console.print("incomplete: some shapes failed; their reasons are above and in timings.jsonl", style="yellow")
        raise typer.Exit(EXIT_INCOMPLETE)
