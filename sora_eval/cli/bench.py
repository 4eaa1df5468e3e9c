"""`sora-eval bench`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.errors import SoraEvalError

EXIT_INCOMPLETE = 12
EXAMPLES = (
    "Examples: sora-eval bench throughput; sora-eval bench throughput -g reference:base --against reference:base-int8; "
    "sora-eval bench throughput -g 'reference?backend=torch' --against reference; "
    "sora-eval bench my.toml -g python:my_model:generate; sora-eval bench --page docs/performance.md"
)


def bench(
    suite: Annotated[str | None, typer.Argument(help="A shipped name or a TOML file with \\[throughput].")] = None,
    generator: Annotated[str, typer.Option("--generator", "-g", help="What to time; see 'list generators'.")] = "reference",
    against: Annotated[
        str | None, typer.Option(help="Another generator, timed in turns with the first: A B A B; both leave a run.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to run, for generators that can choose: cpu or cuda.")] = None,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    page: Annotated[
        Path | None, typer.Option(help="Instead of a suite: measure the reference model and write the page of its speed.")
    ] = None,
) -> None:
    """Time a generator over resolutions, aspect ratios, lengths and batches; or two of them in turns."""
    from reports.text import speed as speed_tables
    from reports.text import tables
    from sora_eval.generators.opening import with_device
    from sora_eval.speed.session import bench as run_bench
    from sora_eval.suite import load_suite

    if (suite is None) == (page is None):
        raise SoraEvalError("give a suite to time, or --page FILE; shipped suites: 'sora-eval list suites'")
    if page is not None:
        from docs.pages.speed import write_page

        print(write_page(page, out))
        return
    started = time.monotonic()
    specs = [with_device(s, device) for s in (generator, against) if s is not None]
    folders = run_bench(load_suite(str(suite)), specs, out)
    console = tables.console()
    for folder in folders:
        speed_tables.print_speed(folder, console)
        console.print(f"{folder.path}  ({time.monotonic() - started:.0f} s)", highlight=False, soft_wrap=True)
    if len(folders) == 2:
        command = f"sora-eval compare {folders[0].path} {folders[1].path} --slices"
        console.print(f"compare them: {command}", highlight=False, soft_wrap=True)
    if failed := [f for f in folders if f.head.failed_metrics]:
        console.print("incomplete: some shapes failed; their reasons are above and in timings.jsonl", style="yellow")
        raise typer.Exit(EXIT_INCOMPLETE if failed else 0)
