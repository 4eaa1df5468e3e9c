"""`sora-eval list`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.cli.options import Wide

EXAMPLES = "Example: sora-eval list metrics"


class What(StrEnum):
    """The kinds of things that can be listed."""

    suites = "suites"
    metrics = "metrics"
    generators = "generators"
    formats = "formats"
    weights = "weights"
    runs = "runs"


def listing(
    what: Annotated[What | None, typer.Argument(help="What to list; left out, all but runs.")] = None,
    root: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    wide: Wide = False,
) -> None:
    """List suites, metrics, generators, formats of manifests, weights or runs."""
    from sora_eval_reports.text.console import console
    from sora_eval_reports.text.fitted import Fitted

    out = console()
    for kind in [what] if what else [w for w in What if w is not What.runs]:
        rows, columns = _rows(kind, root)
        out.print(Fitted({name: [row[i] for row in rows] for i, name in enumerate(columns)}, kind.value, ["changes with"]), "")


def _rows(kind: What, root: Path) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    if kind is What.suites:
        from sora_eval.suite import load_suite, shipped

        suites = [load_suite(name) for name in shipped()]
        return [(s.suite.id, str(len(s.cases)), s.suite.description) for s in suites], ("name", "cases", "about")
    if kind is What.metrics:
        from sora_eval.registry.metrics import METRICS
        from sora_eval.registry.paired_metrics import PAIRED

        built_in = {**METRICS.built_in, **PAIRED.built_in}
        others = {**METRICS.third_party(), **PAIRED.third_party()}
        metrics: list[tuple[str, ...]] = [
            (n, i.family, i.kind, ", ".join(i.sensitive_to) or "none of them", i.about) for n, i in built_in.items()
        ]
        return metrics + [(n, "", "", "", f"of {o}") for n, o in others.items()], (
            "name",
            "family",
            "kind",
            "changes with",
            "about",
        )
    if kind is What.generators:
        from sora_eval.registry.generators import GENERATORS

        kinds: list[tuple[str, ...]] = [(i.usage, i.about) for i in GENERATORS.built_in.values()]
        kinds += [(name, f"of {origin}") for name, origin in GENERATORS.third_party().items()]
        return kinds, ("usage", "about")
    if kind is What.formats:
        from sora_eval.registry.formats import FORMATS

        formats: list[tuple[str, ...]] = [(n, i.about) for n, i in FORMATS.built_in.items()]
        return formats + [(n, f"of {o}") for n, o in FORMATS.third_party().items()], ("suffix", "about")
    if kind is What.weights:
        from sora_eval.util.weights import WEIGHTS

        return [(w.name, "present" if w.present else "not fetched", w.licence, w.about) for w in WEIGHTS.values()], (
            "name",
            "state",
            "licence",
            "about",
        )
    from sora_eval.runs.find import find_runs

    return [(r.name, r.head.suite.id, r.head.generator.label, r.head.status, r.head.started) for r in find_runs(root)], (
        "run",
        "suite",
        "generator",
        "status",
        "started",
    )
