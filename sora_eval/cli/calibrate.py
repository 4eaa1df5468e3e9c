"""`sora-eval calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "Examples: sora-eval calibrate my.toml -g reference --repeats 5 --metric fvd --metric clip_score --write; "
    "sora-eval calibrate gate --run runs/A --run runs/B --run runs/C"
)


def calibrate(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    generator: Annotated[str, typer.Option("--generator", "-g", help="The checkpoint to repeat.")] = "reference",
    repeats: Annotated[int, typer.Option(min=2, help="Runs, each with other seeds.")] = 5,
    out: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs"),
    run: Annotated[list[Path] | None, typer.Option("--run", "-r", help="Use these runs; nothing is generated.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="Gate this metric too.")] = None,
    share: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Pairs of repeats that shall PASS; fewer give tighter limits and more INCONCLUSIVE."
        ),
    ] = 0.95,
    write: Annotated[bool, typer.Option("--write", help="Write the limits into the suite's \\[gates].")] = False,
) -> None:
    """Measure how far repeats of one checkpoint lie apart, and propose the limits that follow from it."""
    from reports.text import tables
    from reports.text.calibration import spread_table
    from sora_eval.compare.run_data import data_of
    from sora_eval.runs.folder import now, resolve_run
    from sora_eval.studies.calibration import propose, spreads
    from sora_eval.suite import load_suite
    from sora_eval.suite.editing import write_gates
    from sora_eval.util.errors import SuiteError

    loaded = load_suite(suite)
    if run is None:
        from sora_eval.studies.repeats import repeat

        folders = repeat(loaded, generator, repeats, out)
    else:
        folders = [resolve_run(r) for r in run]
        for folder in folders:
            if folder.head.suite.fingerprint != loaded.fingerprint:
                raise SuiteError(f"{folder.path} is a run of another suite than {loaded.path}")
    sides = [data_of(f) for f in folders]
    found = {s.metric: s for s in spreads(sides, share)}
    gated = dict.fromkeys([*loaded.gates, *(metric or [])])
    if unknown := [m for m in gated if m not in found and m in (metric or [])]:
        raise SuiteError(f"no spread of {', '.join(unknown)}; measured: {', '.join(found)}")
    gates = {m: propose(s, loaded.gates.get(m)) for m, s in found.items()}
    out_console = tables.console()
    title = f"{loaded.suite.id}: {len(sides)} repeats of {sides[0].label}"
    out_console.print(tables.terminal(spread_table(found.values(), gates, gated), title), "")
    left = [m for m in loaded.gates if m not in found]
    if left:
        print(f"left as they are, without a spread over all cases: {', '.join(left)}")
    if not write:
        print("nothing was written; --write puts the limits of the gated metrics (*) into the suite")
        return
    if not gated:
        raise SuiteError(f"{loaded.path} has no [gates.*]; choose a few metrics with --metric")
    spec = sides[0].head.generator.spec
    how = f"sora-eval calibrate {loaded.suite.id} -g {spec} --repeats {len(sides)} --share {share:g}"
    source = f"{how}; {now()[:10]}; {sides[0].label} {sides[0].head.generator.fingerprint[:12]}"
    chosen = {m: gates[m].model_copy(update={"provenance": source, "repeats": found[m].record()}) for m in gated if m in found}
    write_gates(loaded.path, chosen)
    load_suite(loaded.path)
    print(f"wrote {len(chosen)} gates into {loaded.path}")
