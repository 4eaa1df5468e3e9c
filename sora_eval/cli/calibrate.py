"""`sora-eval calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.fidelity import FidelityMetrics
from sora_eval.cli.options import SuiteChanges, Wide
from sora_eval.util.errors import SoraEvalError
from sora_eval.util.visible import say

EXAMPLES = (
    "Examples: sora-eval calibrate my.toml -g reference --metric mmd --metric clip_score --pass .9 --write; "
    "sora-eval calibrate gate --run runs/A --run runs/B --run runs/C --baseline-seeds 2 --seeds 1; "
    "sora-eval calibrate --drift runs/ONE_THREAD runs/TWO_THREADS runs/TORCH --write"
)


def calibrate(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file; with --drift a run.")],
    others: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="With --drift: the other runs.")] = None,
    generator: Annotated[str, typer.Option("--generator", "-g", help="The checkpoint to repeat.")] = "reference",
    repeats: Annotated[
        int | None, typer.Option(min=2, help="Runs, each with other seeds; left out, as many as both sides of a pair need.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the runs go; what is there already is used.")] = Path("runs"),
    run: Annotated[list[Path] | None, typer.Option("--run", "-r", help="Use these runs; nothing is generated.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="Gate this metric too.")] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", "-k", help="Leave this gate as it is; the others make up for it.")
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            "--pass",
            min=0.01,
            max=1.0,
            help="Share of pairs, nothing changed, in which the whole gate shall PASS; less gives tighter limits.",
        ),
    ] = 0.9,
    baseline_seeds: Annotated[int, typer.Option(min=1, help="Seeds per prompt of the baseline in a pair.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per prompt of the run in a pair.")] = 2,
    draws: Annotated[int, typer.Option(min=20, help="Pairs that are drawn from the repeats.")] = 500,
    write: Annotated[
        bool, typer.Option("--write", help="Write the limits into the suite's \\[gates], or with --drift the bounds.")
    ] = False,
    wide: Wide = False,
    set_: SuiteChanges = None,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift", help="Of runs of one checkpoint, seeds and suite: how far clips lie apart when nothing changed."
        ),
    ] = False,
    fidelity: FidelityMetrics = None,
    to: Annotated[Path | None, typer.Option(help="With --drift: the file; left out, baselines/drift/SUITE.json.")] = None,
) -> None:
    """Measure how far runs of one checkpoint lie apart, and propose limits that the whole gate passes when nothing changed.

    With --drift RUN RUN..., repeats on other threads, batches, backends or cards, it bounds what 'compare' and 'gate' call
    UNCHANGED: the farthest pair of clips.
    """
    if drift:
        _drift([suite, *(others or ())], fidelity or (), to, write)
        return
    if others or to or fidelity:
        raise SoraEvalError(
            f"{others[0] if others else to or '--fidelity'} goes with --drift: sora-eval calibrate --drift RUN RUN"
        )
    from sora_eval.suite import load_suite
    from sora_eval.util.errors import SuiteError

    if write and set_:
        raise SuiteError("--write writes into the suite file, which --set does not change; leave one of them out")
    loaded = load_suite(suite, set_ or ())
    from sora_eval.runs.find import resolve_run
    from sora_eval.studies.calibrate import calibrate as measure

    runs = None if run is None else [resolve_run(r) for r in run]
    calibration = measure(
        loaded,
        generator,
        repeats,
        out,
        runs=runs,
        metrics=metric or (),
        keep=keep or (),
        share=share,
        seeds=(baseline_seeds, seeds),
        draws=draws,
        write=write,
    )
    from sora_eval_reports.text.calibration import print_calibration

    print_calibration(calibration)
    if write:
        say(f"wrote {len(calibration.limits)} gates into {loaded.path}", message=True)
    else:
        say("nothing was written; --write puts these limits into the suite", message=True)


def _drift(runs: list[str], metrics: Sequence[str], to: Path | None, write: bool) -> None:
    """Print the bounds of repeats, and write them into `to` or the suite's own file."""
    from sora_eval.compare.drift_bounds import default_path
    from sora_eval.registry.paired_metrics import CHEAP, paired_specs
    from sora_eval.runs.find import resolve_run

    folders, specs = [resolve_run(Path(run)) for run in runs], tuple(dict.fromkeys([*CHEAP, *metrics]))
    paired_specs(specs)
    from sora_eval.studies.drift import drift_bounds
    from sora_eval_reports.text.calibration import print_drift

    bounds = drift_bounds(folders, specs)
    print_drift(bounds)
    path = to or default_path(bounds.suite)
    if write:
        bounds.write(path)
        say(f"wrote {path}", message=True)
    else:
        say(f"nothing was written; --write puts these bounds into {path}", message=True)
