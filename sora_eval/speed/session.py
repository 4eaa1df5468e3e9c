"""Benchmarks: a suite's sweep on one generator, or on two that take turns, each in a process of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sora_eval.generators.opening import read_spec
from sora_eval.runs.folder import RunFolder, new_head, now
from sora_eval.runs.head import GeneratorId, RunHead
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.speed.peak_flops import matrix_peak_apart
from sora_eval.speed.summary import cost_fit, signature_of, summarise
from sora_eval.speed.timed_generator import Arm, WorkerArm
from sora_eval.speed.timing import plan, time_group
from sora_eval.suite import Suite
from sora_eval.util.errors import GeneratorError, RunError, SuiteError
from sora_eval.util.progress import track


def bench(suite: Suite, specs: Sequence[str], out: Path) -> list[RunFolder]:
    """Time the sweep of a suite; a run folder a spec, in that order. Two specs take turns in every round.

    Raises SuiteError for a suite without [throughput], GeneratorError for a generator that cannot be opened.
    """
    if suite.throughput is None:
        raise SuiteError(f"{suite.path} has no [throughput]: there is nothing to time; see docs/suites.md")
    for spec in specs:
        read_spec(spec)
    with workers(specs) as arms:
        facts = session_facts(suite, arms)
        folders = [RunFolder.create(out, _head(suite, arm, facts), suite.to_json()) for arm in arms]
        groups, notes = plan(suite, arms)
        try:
            for group in track(groups, "throughput"):
                for folder, rows in zip(folders, time_group(suite, arms, group), strict=True):
                    folder.append(rows)
        except KeyboardInterrupt:
            for folder in folders:
                folder.update_head(status="cancelled", finished=now())
            raise
        except OSError as error:
            raise RunError(f"the runs in {out} cannot be written: {error}; free some space and start again") from error
    for folder in folders:
        finish(folder, notes)
    return folders


@contextmanager
def workers(specs: Sequence[str]) -> Iterator[list[WorkerArm]]:
    """Generators in processes of their own, ended at the end."""
    with ExitStack() as stack:
        arms = []
        for spec in specs:
            arms.append(WorkerArm(spec))
            stack.callback(arms[-1].close)
        yield arms


def session_facts(suite: Suite, arms: Sequence[Arm]) -> dict[str, Any]:
    """What run.json says of a job in which arms take turns. `common` is where they do not differ."""
    where = [{**_settings(suite), **arm.facts.where} for arm in arms]
    common = {k: v for k, v in where[0].items() if all(w.get(k) == v for w in where)}
    device = str(where[0].get("device", "cpu"))
    return {
        "session": secrets.token_hex(8),
        "arms": [arm.facts.spec for arm in arms],
        "matrix_peak_flops": matrix_peak_apart(device, int(where[0].get("threads", 0))),
        "common": common,
    }


def _settings(suite: Suite) -> dict[str, Any]:
    asked = suite.generate
    found = {"steps": asked.num_inference_steps, "guidance": asked.guidance_scale}
    return {k: v for k, v in found.items() if v is not None}


def _head(suite: Suite, arm: Arm, session: dict[str, Any]) -> RunHead:
    facts = arm.facts
    if facts.name == "folder":
        raise GeneratorError(f"{facts.spec}: its clips exist already; there is nothing to time")
    where = {"device": "cpu", "provider": "unknown", "threads": None, **_settings(suite), **facts.where}
    made_by = GeneratorId(spec=facts.spec, name=facts.name, checkpoint=facts.checkpoint, fingerprint=facts.fingerprint)
    return new_head(suite, made_by, bench={**session, **where, "open_seconds": facts.open_seconds})


def finish(folder: RunFolder, notes: Sequence[str]) -> None:
    """metrics.jsonl and the fit of cost over tokens, from the timings on disk."""
    head, rows = folder.head, folder.rows(TimingRow)
    session = head.bench or {}
    metrics = summarise(rows, signature_of(head), session["matrix_peak_flops"])
    folder.replace(MetricRow, metrics)
    failed = sum(r.stage == "failed" for r in rows)
    bench = {**session, "cost": cost_fit(rows), "snapped": list(notes)}
    folder.update_head(status="success", finished=now(), cases=0, failed_cases=0, failed_metrics=failed, bench=bench)
