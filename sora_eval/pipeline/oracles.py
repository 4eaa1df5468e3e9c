"""Oracles: the physics metrics of generators with the best possible answers, on the same cases as the run.

The tracker's oracle is the world itself; the latent's is the world after encoding and decoding by the VAE. Their clips are not
stored.
"""

from __future__ import annotations

from sora_eval.features.device import CPU, device
from sora_eval.generators.asking import answers_of
from sora_eval.generators.opening import on_device, open_generator
from sora_eval.generators.protocol import Generator
from sora_eval.metrics.create import make_metrics
from sora_eval.pipeline.score_clip import Views, score_rows, signature_of
from sora_eval.records.case import Case
from sora_eval.registry.metrics import metric_info
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import OracleRow
from sora_eval.suite import Suite
from sora_eval.util.errors import SoraEvalError
from sora_eval.util.progress import track
from sora_eval.util.redaction import redact

PREFIX = "oracle:"  # of their slices in metrics.jsonl


def oracle_metrics(suite: Suite) -> list[str]:
    """The metrics of a suite that oracles are scored by: the per-clip metrics of physics, which are cheap."""
    infos = {name: metric_info(name) for name in suite.metrics}
    return [name for name, info in infos.items() if info.family == "physics" and info.kind == "per-clip"]


def score_oracles(folder: RunFolder, suite: Suite, cases: list[Case]) -> None:
    """Append the scores of every oracle to oracles.jsonl, all rows of a case in one write, so that a killed run resumes.

    A generator that cannot be opened gets one row with the reason.
    """
    names = oracle_metrics(suite)
    if suite.oracles is None or not names:
        return
    metrics = {n: m for n, m in make_metrics(suite.metrics, suite.prompt_list).per_clip.items() if n in names}
    signatures = {n: signature_of(n, m, suite) for n, m in metrics.items()}
    existing = {(row.oracle, row.id) for row in folder.rows(OracleRow)}
    for spec in suite.oracles.generators:
        label = redact(spec)
        remaining = [c for c in cases if (label, c.id) not in existing]
        if not remaining or (label, "") in existing:
            continue
        try:
            generator = open_generator(on_device(spec, None if device() == CPU else device()))
        except SoraEvalError as error:
            folder.append([OracleRow(oracle=label, id="", metric="", value=None, status="error", reason=str(error))])
            continue
        for case in track(remaining, f"oracle {label}"):
            rows = score_rows(case, _views(generator, suite, case), metrics, signatures)
            folder.append([OracleRow(oracle=label, **dict(row)) for row in rows])


def _views(generator: Generator, suite: Suite, case: Case) -> Views | str:
    answer = answers_of(generator, suite, [case])[0]
    return answer if isinstance(answer, str) else Views(answer, case, suite, seed_offset=0)
