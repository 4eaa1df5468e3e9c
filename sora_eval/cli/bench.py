"""`sora-eval bench`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from sora_eval.cli.options import SuiteChanges, Wide
from sora_eval.records.verdict import EXIT_INCOMPLETE

EXAMPLES = (
    "Examples: sora-eval bench throughput; sora-eval bench throughput -g reference:base --against reference:base-int8; "
    "sora-eval bench throughput -g 'reference?backend=torch' --against reference; "
    "sora-eval bench my.toml -g python:my_model:generate; "
    "sora-eval bench quick -g http://localhost:8091/v1/videos --scenario serve --rate 0.5 --rate 1 --objective 30 "
    "--quality 'clip_score>=25'"
)
T = TypeVar("T")
LOOP = "With --scenario serve: "


def _above_0(value: T) -> T:
    """Raises BadParameter for a number that is none above 0."""
    numbers: list[float] = value if isinstance(value, list) else [] if value is None else [value]  # type: ignore[list-item]
    for number in numbers:
        if not 0 < number < math.inf:
            raise typer.BadParameter(f"{number:g}; expected a number above 0")
    return value


def bench(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file with \\[throughput].")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="What to time; see 'list generators'.")] = "reference",
    against: Annotated[
        list[str] | None,
        typer.Option("--against", "-a", help="Another generator, timed in turns with the first: A B A B; each leaves a run."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to run, for generators that can choose: cpu or cuda.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where run folders go.")] = Path("runs"),
    scenario: Annotated[
        Literal["sweep", "serve"],
        typer.Option(help="sweep: call after call over \\[throughput]; serve: Poisson arrivals of the suite's cases."),
    ] = "sweep",
    rate: Annotated[
        list[float] | None,
        typer.Option(
            callback=_above_0, help=f"{LOOP}requests per second; several times for several. Default: from the service time."
        ),
    ] = None,
    objective: Annotated[
        float | None, typer.Option(metavar="SECONDS", callback=_above_0, help=f"{LOOP}the latency that is promised.")
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC>=VALUE", help=f"{LOOP}what a good clip holds besides, by a per-clip metric of the suite, or <=."
        ),
    ] = None,
    requests: Annotated[int | None, typer.Option(help=f"{LOOP}counted requests per repeat. Default: 100.")] = None,
    repeats: Annotated[int | None, typer.Option(help=f"{LOOP}repeats of each rate. Default: 6.")] = None,
    seed: Annotated[int | None, typer.Option(help=f"{LOOP}of the arrivals and of their order. Default: 0.")] = None,
    wide: Wide = False,
    set_: SuiteChanges = None,
) -> None:
    """Time a generator over resolutions, aspect ratios, lengths and batches, or under load; or several of them in turns."""
    from sora_eval.generators.opening import with_device
    from sora_eval.suite import load_suite

    loop = {
        "rates": rate, "objective": objective, "quality": quality, "requests": requests, "repeats": repeats, "seed": seed
    }  # fmt: skip
    loaded = load_suite(suite, [*(set_ or ()), *_changes(scenario, loop)])
    specs, started = [with_device(s, device) for s in (generator, *(against or ()))], time.monotonic()
    if scenario == "serve":
        from sora_eval.pipeline.serve import serve

        folders = serve(loaded, specs, out)
    else:
        from sora_eval.speed.session import bench as run_bench

        folders = run_bench(loaded, specs, out)
    from sora_eval_reports.text.console import console, line
    from sora_eval_reports.text.speed import print_speed

    out_console = console()
    for folder in folders:
        print_speed(folder, out_console)
        line(out_console, f"{folder.path}  ({time.monotonic() - started:.0f} s)")
    if len(folders) > 1:
        command = f"sora-eval compare {' '.join(str(f.path) for f in folders)} --slices"
        line(out_console, f"compare them: {command}")
    if any(f.head.failed_metrics for f in folders):
        what = "rates" if scenario == "serve" else "shapes"
        line(out_console, f"incomplete: some {what} failed; their reasons are above and in timings.jsonl", "yellow")
        raise typer.Exit(EXIT_INCOMPLETE)


def _changes(scenario: str, loop: dict[str, Any]) -> list[str]:
    """The options of an open loop as changes of [serve], so that the run records them and runs of others are not compared.

    Raises BadParameter for one without --scenario serve.
    """
    given = {key: value for key, value in loop.items() if value not in (None, [])}
    if given and scenario != "serve":
        option = f"--{'rate' if 'rates' in given else next(iter(given))}"
        raise typer.BadParameter(f"{option} is of an open loop; add --scenario serve, or leave it out", param_hint=option)
    return [f"serve.{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
