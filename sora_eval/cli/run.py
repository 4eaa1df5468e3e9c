"""`sora-eval run`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sora_eval.cli.options import Device, SuiteChanges, Wide, is_there
from sora_eval.records.verdict import EXIT_INCOMPLETE
from sora_eval.util.errors import SoraEvalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sora_eval.pipeline.engines.options import EngineOptions
    from sora_eval.records.verdict import GateResult
    from sora_eval.runs.folder import RunFolder
    from sora_eval.runs.rows import MetricRow
    from sora_eval.suite import Suite

EXAMPLES = (
    "Examples: sora-eval run quick; sora-eval run quick -g reference:early -g reference:base (ends with their "
    "comparison); sora-eval run videos -g folder:my_clips; sora-eval run my.toml -g python:my_model:generate; "
    "sora-eval run gate -g reference:middle --until-decided --baseline baselines/gate.json --batch 8; "
    "sora-eval run --resume latest"
)


def run(
    suite: Annotated[str | None, typer.Argument(help="A shipped name or a TOML file.")] = None,
    generator: Annotated[
        list[str] | None,
        typer.Option("--generator", "-g", help="What to test; see 'list generators'. Several are compared with the first."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where run folders go.")] = Path("runs"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N cases; such a run is marked partial.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="Only the part I/N of the cases, on this machine; 'sora-eval merge' makes them one run.")
    ] = None,
    seed_offset: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Added to every seed: other clips of the same cases, for a baseline.")
    ] = 0,
    reference: Annotated[str | None, typer.Option(help="Another reference set, for example folder:REAL.")] = None,
    device: Device = None,
    generator_device: Annotated[
        str | None,
        typer.Option(
            metavar="cpu|cuda[:N]",
            callback=is_there,
            help="Where generators compute. Default: --device, where they can choose.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with a killed run, and try failed cases again: its folder, or 'latest'.")
    ] = None,
    keep_errors: Annotated[
        bool, typer.Option("--keep-errors", help="Of --resume: leave the failed cases as they are.")
    ] = False,
    give_up_after: Annotated[
        int, typer.Option(min=0, help="Stop where the first N cases fail for one reason; 0 never does.")
    ] = 8,
    trust: Annotated[
        bool, typer.Option("--trust", help="Of --resume: open what the run names, code and files, if others made it.")
    ] = False,
    allow_damaged: Annotated[
        bool,
        typer.Option("--allow-damaged", help="Score what can be decoded of damaged or cut files of a folder, with a note."),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score clips; the numbers stay the same.")] = 1,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="local|ray",
            help="Generate and score at once, in processes or in actors of a Ray cluster; the numbers stay the same.",
        ),
    ] = None,
    generators: Annotated[int | None, typer.Option(min=1, help="Of --engine: workers that generate. Default: 1.")] = None,
    scorers: Annotated[int | None, typer.Option(min=1, help="Of --engine: workers that score. Default: 1.")] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of --engine ray: auto, or HOST:PORT of its head. Default: a cluster that runs here, or a new one."),
    ] = None,
    gpus_per_generator: Annotated[
        float | None, typer.Option(help="Of --engine ray: GPUs of each generator, such as 0.5 or 4.")
    ] = None,
    case_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Of --engine: end a worker that needs more for one case.")
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(min=0, help="Of --engine: tries more for a case whose worker was lost or too slow. Default: 2."),
    ] = None,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Add prompts until the gate is decided or the suite has no more.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", "-b", help="Of --until-decided: a baseline file, a folder of them, or a run folder."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Of --until-decided: prompts between two looks. Default: 8.")] = None,
    spending: Annotated[
        str | None,
        typer.Option(help="Of --until-decided: obrien-fleming (default) or pocock, how the looks share the error rate."),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Of --until-decided: name of the hardware, for gates on speed.")] = None,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict", help="Of --until-decided: exit 11 for what stays open; the default where CI is set."
        ),
    ] = None,
    scale: Annotated[
        bool, typer.Option("--scale", help="Measure the suite's scale first, if it is not known: 'sora-eval scale'.")
    ] = False,
    wide: Wide = False,
    set_: SuiteChanges = None,
) -> None:
    """Run a suite against a generator: generate, score, summarise; ends with the table.

    With --until-decided, whole prompts are added batch by batch until the gate against --baseline is decided: a row is
    REGRESSED, or all are PASS or IMPROVED. The last line is the verdict and how many prompts it took; the exit code is that of
    'sora-eval gate' (0, 10, 11, 12).
    """
    if (suite is None) == (resume is None):
        raise SoraEvalError("give a suite to run, or --resume RUN; shipped suites: 'sora-eval list suites'")
    if trust and resume is None:
        raise SoraEvalError("--trust is of --resume: a new run is your own")
    if keep_errors and resume is None:
        raise SoraEvalError("--keep-errors is of --resume: a new run has no failed cases")
    options = {"--baseline": baseline, "--batch": batch, "--spending": spending, "--profile": profile, "--strict": strict}
    _check_options(
        until_decided, [o for o, value in options.items() if value is not None], limit or seed_offset or shard, generator or []
    )
    carried = _engine(
        engine,
        {"--workers": workers > 1, "--until-decided": until_decided},
        generators=generators,
        scorers=scorers,
        address=address,
        gpus_per_generator=gpus_per_generator,
        case_timeout=case_timeout,
        retries=retries,
    )
    started = time.monotonic()
    result: GateResult | None = None
    if resume is not None:
        placed = device or generator_device
        if generator or limit or shard or seed_offset or reference or placed or allow_damaged or until_decided or set_ or scale:
            raise SoraEvalError(
                "--resume takes generator, limit, shard, seed offset, reference, device, --allow-damaged, baseline and --set "
                "from the run, and --scale is of a new one; leave them out"
            )
        from sora_eval.runs.find import resolve_run

        runs = [resolve_run(resume, trust)]
        from sora_eval.features.device import networks_on
        from sora_eval.studies.until_decided import resume_any

        with networks_on(runs[0].head.networks.get("device")):
            result = resume_any(runs[0], workers, keep_errors=keep_errors, give_up=give_up_after, engine=carried)
    else:
        from sora_eval.generators.opening import on_device, with_device, with_option
        from sora_eval.runs.head import Shard
        from sora_eval.suite import load_suite

        part = None if shard is None else Shard.parse(shard)
        loaded = load_suite(str(suite), set_ or ())
        if scale:
            from sora_eval.pipeline.run import with_reference
            from sora_eval.pipeline.scale import scale_for

            scale_for(with_reference(loaded, reference) if reference else loaded)
        specs = generator or ["reference"]
        specs = [with_device(s, generator_device) if generator_device else on_device(s, device) for s in specs]
        if allow_damaged:
            specs = [with_option(spec, "damaged=note") for spec in specs]
            reference = with_option(reference, "damaged=note") if reference else None
        if until_decided:
            from sora_eval.gate.looks import BATCH
            from sora_eval.studies.until_decided import run_until_decided
            from sora_eval.util.environment import is_strict

            folder, result = run_until_decided(
                loaded,
                specs[0],
                out,
                baseline or Path("baselines"),
                batch=batch or BATCH,
                spending=spending or "obrien-fleming",
                reference=reference,
                profile=profile,
                strict=is_strict(strict),
                workers=workers,
                give_up=give_up_after,
            )
            runs = [folder]
        else:
            from sora_eval.generators.opening import specs_of
            from sora_eval.pipeline.run import run_all

            specs = [each for spec in specs for each in specs_of(spec)]
            _say_duration(loaded, specs, out, limit or shard)
            runs = run_all(
                loaded,
                specs,
                out,
                limit=limit,
                reference=reference,
                seed_offset=seed_offset,
                workers=workers,
                give_up=give_up_after,
                shard=part,
                engine=carried,
            )
    show(runs, time.monotonic() - started)
    if result is not None:
        from sora_eval.cli.gate import conclude

        conclude(result, runs[0])
    if any(map(is_incomplete, runs)):
        raise typer.Exit(EXIT_INCOMPLETE)


def _say_duration(suite: Suite, specs: list[str], out: Path, part: int | str | None) -> None:
    """Say how long the runs will take, where earlier ones of the suite in the same folder tell, and it is long."""
    from sora_eval.runs.find import usual_seconds
    from sora_eval.util.progress import LONG, announce, duration

    usual = None if part else usual_seconds(out, suite.fingerprint)
    if usual is not None and usual * len(specs) >= LONG:
        runs = "a run" if len(specs) == 1 else f"{len(specs)} runs"
        announce(
            f"{suite.suite.id}: {runs} of {len(suite.cases)} cases, about {duration(usual * len(specs))} as earlier runs took"
        )


def _check_options(until_decided: bool, options: list[str], limit: int | str | None, generators: list[str]) -> None:
    """Raises SoraEvalError for options that exclude each other; `options` are those of --until-decided only."""
    if options and not until_decided:
        raise SoraEvalError(f"{', '.join(options)}: of --until-decided; to judge a whole run, use 'sora-eval gate'")
    if until_decided and (limit or len(generators) > 1):
        raise SoraEvalError(
            "--until-decided takes one generator, and no --limit, --shard or --seed-offset: the gate decides how many prompts "
            "it needs"
        )


def _engine(name: str | None, excluded: dict[str, bool], **options: float | str | None) -> EngineOptions | None:
    """The engine that is asked for. Raises SoraEvalError for its options without one, and those that one excludes."""
    given = {key: value for key, value in options.items() if value is not None}
    if name is None:
        if given:
            raise SoraEvalError(
                f"{', '.join('--' + key.replace('_', '-') for key in given)}: of --engine local or --engine ray"
            )
        return None
    for option, is_given in excluded.items():
        if is_given:
            raise SoraEvalError(f"{option} does not go with --engine, whose workers are --generators and --scorers")
    from sora_eval.pipeline.engines.options import EngineOptions

    return EngineOptions(name, **given)  # type: ignore[arg-type]


def is_incomplete(run: RunFolder) -> bool:
    """Whether cases or metrics of a run failed."""
    return bool(run.head.failed_cases or run.head.failed_metrics)


def show(
    runs: list[RunFolder], seconds: float | None = None, beside: Sequence[MetricRow] = (), *, all_notes: bool = False
) -> None:
    """Print the tables, the folders of the runs with the `seconds` and the memory that they took, and the
    failures of each.

    `beside` are rows of other programs in the table of one run.
    """
    from sora_eval.util.environment import most_bytes
    from sora_eval_reports.text.console import console, line
    from sora_eval_reports.text.runs import print_runs

    print_runs(runs, beside, all_notes=all_notes)
    out = console()
    for run in runs:
        took = "" if seconds is None else f"  ({seconds:.0f} s, peak memory {most_bytes() / 1e9:.2f} GB)"
        line(out, f"{run.path}{took}")
    for run in filter(is_incomplete, runs):
        head = run.head
        line(
            out,
            f"incomplete: {head.failed_cases} of {head.cases} cases and {head.failed_metrics} metrics "
            f"failed; the reasons are in {run.path}/samples.jsonl, scores.jsonl and metrics.jsonl"
            + (f"; try them again: sora-eval run --resume {run.path}" if head.failed_cases else ""),
            "yellow",
        )
