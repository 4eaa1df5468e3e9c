"""Benchmarks: a suite's sweep on one generator, or on several that take turns, each in its own process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sora_eval.generators.opening import read_spec
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import GeneratorId, RunHead, new_head, now
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.speed.peak_flops import matrix_peak_apart
from sora_eval.speed.summary import cost_fit, signature_of, summarise
from sora_eval.speed.timed_generator import IsolatedGenerator, TimedGenerator
from sora_eval.speed.timing import plan, time_group
from sora_eval.suite import Suite
from sora_eval.util.errors import GeneratorError, RunError, SuiteError, fault_of_machine
from sora_eval.util.progress import track


def bench(suite: Suite, specs: Sequence[str], out: Path) -> list[RunFolder]:
    """Time the sweep of a suite; one run folder per spec, in that order. Several specs take turns in every round.

    Raises SuiteError for a suite without [throughput], GeneratorError for a generator that cannot be opened, RunError where
    the runs cannot be written.
    """
    if suite.throughput is None:
        raise SuiteError(f"{suite.path} has no [throughput]: there is nothing to time; see docs/suites.md")
    for spec in specs:
        read_spec(spec)
    with open_isolated(specs) as generators:
        facts = session_facts(suite, generators)
        with new_runs(suite, [head_of(suite, g, facts) for g in generators], out) as folders:
            groups, notes = plan(suite, generators)
            for group in track(groups, "throughput"):
                for folder, rows in zip(folders, time_group(suite, generators, group), strict=True):
                    folder.append(rows)
            for folder in folders:
                finish(folder, notes)
    return folders


@contextmanager
def new_runs(suite: Suite, heads: Sequence[RunHead], out: Path) -> Iterator[list[RunFolder]]:
    """New run folders in `out`, cancelled where the context is interrupted. Raises RunError for an OSError in it."""
    folders = [RunFolder.create(out, head, suite.to_json()) for head in heads]
    try:
        yield folders
    except KeyboardInterrupt:
        for folder in folders:
            folder.update_head(status="cancelled", finished=now())
        raise
    except OSError as error:
        fault = fault_of_machine(error) or str(error)
        raise RunError(f"the runs in {out} cannot be written: {fault}; then start again") from error
    finally:
        for folder in folders:
            folder.lock.release()


@contextmanager
def open_isolated(specs: Sequence[str]) -> Iterator[list[IsolatedGenerator]]:
    """Generators in their own processes, which end with the context. Raises SoraEvalError where one cannot be opened."""
    with ExitStack() as stack:
        generators = []
        for spec in specs:
            generators.append(IsolatedGenerator(spec))
            stack.callback(generators[-1].close)
        yield generators


def session_facts(suite: Suite, generators: Sequence[TimedGenerator]) -> dict[str, Any]:
    """The record in run.json of a session in which generators take turns; `common` holds their equal settings."""
    where = [{**_settings(suite), **g.facts.where} for g in generators]
    common = {k: v for k, v in where[0].items() if all(w.get(k) == v for w in where)}
    device = str(where[0].get("device", "cpu"))
    return {
        "session": secrets.token_hex(8),
        "arms": [g.facts.spec for g in generators],
        "matrix_peak_flops": matrix_peak_apart(device, int(where[0].get("threads", 0))),
        "common": common,
    }


def _settings(suite: Suite) -> dict[str, Any]:
    generate = suite.generate
    settings = {"steps": generate.num_inference_steps, "guidance": generate.guidance_scale}
    return {k: v for k, v in settings.items() if v is not None}


def head_of(suite: Suite, generator: TimedGenerator, session: dict[str, Any]) -> RunHead:
    """The head of a run of a session. Raises GeneratorError for a generator whose clips exist."""
    facts = generator.facts
    if facts.name == "folder":
        raise GeneratorError(f"{facts.spec}: its clips exist already; there is nothing to time")
    where = {"device": "cpu", "provider": "unknown", "threads": None, **_settings(suite), **facts.where}
    made_by = GeneratorId(
        spec=facts.spec,
        name=facts.name,
        checkpoint=facts.checkpoint,
        fingerprint=facts.fingerprint,
        not_covered=facts.not_covered,
    )
    return new_head(suite, made_by, bench={**session, **where, "open_seconds": facts.open_seconds})


def finish(folder: RunFolder, notes: Sequence[str], promise: str = "") -> None:
    """Write metrics.jsonl and the fit of cost over tokens, from the timings on disk, and close the run.

    `promise` is that of `speed.served.served_rows`.
    """
    head, rows = folder.head, folder.rows(TimingRow)
    session = head.bench or {}
    metrics = summarise(rows, signature_of(head), session["matrix_peak_flops"], promise)
    folder.replace(MetricRow, metrics)
    failed = sum(r.stage == "failed" for r in rows)
    bench = {**session, "cost": cost_fit(rows), "snapped": list(notes)}
    folder.finish(cases=0, failed_cases=0, failed_metrics=failed, bench=bench)
