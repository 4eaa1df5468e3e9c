"""A suite served in an open loop: one run folder per generator, with the speed that its users would see, and how many of its
answers were good."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sora_eval.features.view import FeatureCache
from sora_eval.generators.opening import read_spec
from sora_eval.metrics.create import make_metrics
from sora_eval.pipeline.score_clip import Views, score_rows, signature_of
from sora_eval.records.case import Case
from sora_eval.records.clip import Clip
from sora_eval.registry.metrics import outputs_of
from sora_eval.runs.folder import RunFolder
from sora_eval.speed.serving import mix_of, offers, rates_for, serve_rate, service_seconds
from sora_eval.speed.session import finish, head_of, new_runs, open_isolated, session_facts
from sora_eval.speed.sweep import prompt_of
from sora_eval.suite import Serve, Suite
from sora_eval.util.errors import MetricError, SuiteError
from sora_eval.util.progress import track


class QualityJudge:
    """Scores served clips by those metrics of a suite that have a limit in [serve].

    Raises MetricError where a metric cannot be made, SuiteError for a limit on the wrong side of a metric.
    """

    def __init__(self, suite: Suite, serve: Serve) -> None:
        limited = {limit.metric for limit in serve.limits}
        names = {name: options for name, options in suite.metrics.items() if limited & {*outputs_of(name)}}
        made = make_metrics(names, suite.prompt_list or ([prompt_of(suite)] if suite.throughput else []))
        for name, reason in made.missing.items():
            raise MetricError(f"[metrics.{name}], which has a limit of quality, cannot be made: {reason}")
        self._suite, self._metrics, self._limited, self._cache = suite, made.per_clip, limited, FeatureCache()
        self._signatures = {name: signature_of(name, metric, suite) for name, metric in made.per_clip.items()}
        outputs = {output.name: (name, output) for name, metric in made.per_clip.items() for output in metric.outputs}
        self.words = []
        for limit in serve.limits:
            name, output = outputs[limit.metric]
            if output.higher_is_better is not None and output.higher_is_better is not limit.at_least:
                side = "higher, expected >=" if output.higher_is_better else "lower, expected <="
                raise SuiteError(f"{suite.path}: [serve].quality {limit}: {limit.metric} is better where it is {side}")
            self.words.append(f"quality:{limit} of {self._signatures[name]}")

    def __call__(self, case: Case, frames: Path, fps: float) -> dict[str, float | None]:
        """The scores of a clip whose frames are in a file of numpy's, by output; None for one that has no value."""
        views = Views(Clip(np.load(frames, allow_pickle=False), fps), case, self._suite, self._cache)
        rows = score_rows(case, views, self._metrics, self._signatures)
        return {row.metric: row.value for row in rows if row.metric in self._limited}


def serve(suite: Suite, specs: Sequence[str], out: Path) -> list[RunFolder]:
    """Offer the mix of a suite at the rates of its [serve] to every generator; one run folder per spec, in that order.

    Several specs take turns in every repeat, and are offered the same requests at the same times. Raises SuiteError for a suite
    that asks for nothing or for what a generator cannot make, GeneratorError for a generator that cannot be opened or answers
    nothing, MetricError where a limit of quality cannot be judged, RunError where the runs cannot be written.
    """
    asked = suite.serve or Serve()
    for spec in specs:
        read_spec(spec)
    judge = QualityJudge(suite, asked) if asked.quality else None
    with open_isolated(specs) as generators:
        mixes = [mix_of(suite, generator) for generator in generators]
        if any(mix != mixes[0] for mix in mixes):
            raise SuiteError(f"{suite.path}: the generators make other shapes of [throughput]; give shapes that all can make")
        facts = session_facts(suite, generators)
        heads = [head_of(suite, generator, facts) for generator in generators]
        seconds = [service_seconds(suite, generator, mixes[0]) for generator in generators]
        rates = asked.rates or rates_for(generators, seconds)
        loop = {**asked.model_dump(mode="json"), "rates": rates, "service_seconds": dict(zip(specs, seconds, strict=True))}
        heads = [head.model_copy(update={"bench": {**(head.bench or {}), "serve": loop}}) for head in heads]
        with new_runs(suite, heads, out) as folders:
            for place, rate in enumerate(rates):
                repeats = track(offers(suite, mixes[0], rate, place, max(seconds)), f"serve {rate:g}/s", asked.repeats)
                with tempfile.TemporaryDirectory(prefix=".served-", dir=out) as clips:
                    rows = serve_rate(generators, repeats, asked, Path(clips) if judge else None, judge)
                for folder, of_generator in zip(folders, rows, strict=True):
                    folder.append(of_generator)
            objective = [] if asked.objective is None else [f"objective:{asked.objective:g}"]
            for folder in folders:
                finish(folder, [], "|".join([*objective, *(judge.words if judge else ())]))
    return folders
