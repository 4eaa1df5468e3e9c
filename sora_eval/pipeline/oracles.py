"""Floors: what the metrics of physics say of generators that cannot do better, on the same cases as the run.

The tracker's floor is the world itself; the latent's is the world through the VAE and back. Their clips are not kept.
"""

from __future__ import annotations

from sora_eval.generators.asking import answers, request_of
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import Generator
from sora_eval.metrics.create import make_metrics
from sora_eval.pipeline.score_clip import Views, score_rows, signature_of
from sora_eval.records.case import Case
from sora_eval.registry.metrics import REGISTRY
from sora_eval.runs.folder import RunFolder
from sora_eval.suite import Suite
from sora_eval.util.errors import SoraEvalError
from sora_eval.util.progress import track

PREFIX = "floor:"  # of the slices of metrics.jsonl


def measured(suite: Suite) -> list[str]:
    """The metrics that floors are made for: those of physics that score clip by clip, which cost next to nothing."""
    return [m for m in suite.metrics if REGISTRY[m].family == "physics" and REGISTRY[m].kind == "per-clip"]


def score_floors(folder: RunFolder, suite: Suite, cases: list[Case]) -> None:
    """Append the scores of every floor to floors.jsonl; a case's rows together, so that a killed run goes on here too.

    A generator that cannot be opened leaves one row with the reason.
    """
    names = measured(suite)
    if suite.floors is None or not names:
        return
    metrics = {n: m for n, m in make_metrics(suite.metrics, suite.prompt_list).per_clip.items() if n in names}
    signatures = {n: signature_of(n, m, suite) for n, m in metrics.items()}
    done = {(row["floor"], row["id"]) for row in folder.rows("floors")}
    for spec in suite.floors.generators:
        left = [c for c in cases if (spec, c.id) not in done]
        if not left or (spec, "") in done:
            continue
        try:
            generator = open_generator(spec)
        except SoraEvalError as error:
            folder.append("floors", [{"floor": spec, "id": "", "status": "error", "reason": str(error)}])
            continue
        for case in track(left, f"floor {spec}"):
            rows = score_rows(case, _views(generator, suite, case), metrics, signatures)
            folder.append("floors", [{"floor": spec, **row} for row in rows])


def _views(generator: Generator, suite: Suite, case: Case) -> Views | str:
    answer = answers(generator, [request_of(case, suite)])[0]
    return answer if isinstance(answer, str) else Views(answer, case, suite)
