"""Every metric on every clip under every treatment.

Clips are read one by one and scored as in a run, through `ClipView` and the feature cache. Scores are stored by content as they
are computed, so a killed selfcheck resumes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sora_eval.features.view import ClipView, FeatureCache
from sora_eval.generators.asking import seed_of
from sora_eval.metrics.asking import features_of, scores_of
from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.metrics.create import Metrics
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.selfcheck.claims import SET_CORRUPTIONS
from sora_eval.selfcheck.material import Cell, Material, cells_of
from sora_eval.selfcheck.paired import AgainstClean
from sora_eval.util.errors import MetricError, SelfcheckError, SoraEvalError, Undefined, line_of
from sora_eval.util.files import append_lines, cut_torn_line, whole_lines
from sora_eval.util.progress import Estimate, announce, track
from sora_eval.util.sealed import parse_json, sealed, unsealed
from sora_eval.video.corruptions import CLEAN, CORRUPTIONS

Scores = dict[str, tuple[float | None, str]]  # output -> value, or None with its reason
Vectors = dict[int, npt.NDArray[Any]]  # features of clips


class StoredScores:
    """Scores on disk, one line per (clip, treatment), looked up by content: frames, rate, given first frames, prompt, facts,
    metric, signature and the prompts of `prepare`. Raises SelfcheckError for a damaged line."""

    def __init__(self, path: Path, prompts: Sequence[Prompt]) -> None:
        self._path = path
        self._context = hashlib.sha256("\n".join(p.text for p in prompts).encode()).hexdigest()
        self._scores: dict[str, Scores] = {}
        self.made = 0
        """Number of clips of which scores were computed, not read."""
        if path.exists():
            cut_torn_line(path)
            try:
                lines = whole_lines(path)
            except ValueError as error:
                raise SelfcheckError(f"{path} is damaged: {error}; delete it, and the clips are scored again") from error
            for number, line in enumerate(lines, 1):
                try:
                    stored = unsealed(parse_json(line))["scores"]
                    self._scores.update({k: {o: (s[0], s[1]) for o, s in v.items()} for k, v in stored.items()})
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise SelfcheckError(f"{path}:{number} is damaged: {line_of(error)}; delete the line") from error

    def scores(self, view: ClipView, metrics: dict[str, ClipMetric], cell: Cell) -> dict[str, Scores]:
        """The scores of every metric on one clip; new ones are appended in one write."""
        given = "" if view.given is None else hashlib.sha256(view.given.tobytes()).hexdigest()
        keys = {name: self._key(view.clip, view.case, given, name, m) for name, m in metrics.items()}
        new = {keys[name]: _score(name, m, view) for name, m in metrics.items() if keys[name] not in self._scores}
        if new:
            self._scores.update(new)
            self.made += 1
            row = {"id": view.case.id, "corruption": cell.kind, "strength": cell.strength, "scores": new}
            append_lines(self._path, json.dumps(sealed(row)) + "\n")
        return {name: self._scores[key] for name, key in keys.items()}

    def _key(self, clip: Clip, case: Case, given: str, name: str, metric: ClipMetric) -> str:
        facts = json.dumps(case.prompt.facts, sort_keys=True)
        parts = [clip.sha256, clip.fps, given, case.prompt.text, facts, name, metric.signature, self._context]
        parts += [metric.beside] if isinstance(metric, AgainstClean) else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _score(name: str, metric: ClipMetric, view: ClipView) -> Scores:
    try:
        scores = scores_of(name, metric, view)
    except (Undefined, MetricError) as reason:
        return {o.name: (None, str(reason)) for o in metric.outputs}
    out: Scores = {}
    for o in metric.outputs:
        value = scores[o.name].value
        if value is None:
            out[o.name] = (None, scores[o.name].reason)
        else:
            out[o.name] = (float(value), "") if np.isfinite(value) else (None, f"the metric gave {value}")
    return out


@dataclass
class Measurements:
    """`values` are scores (n,) of an output under a treatment, NaN where there is none, with counts of `reasons`; `vectors` the
    features of an extractor by clip, `reference` those of the reference set."""

    cells: list[Cell]
    values: dict[tuple[str, Cell], npt.NDArray[np.float64]]
    reasons: dict[tuple[str, Cell], Counter[str]]
    vectors: dict[tuple[str, Cell], Vectors]
    reference: dict[str, Vectors]


def open_scores(out: Path, material: Material) -> StoredScores:
    """The scores in the folder `out`, which is made. Raises SelfcheckError when it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return StoredScores(out / "scores.jsonl", material.prompts)
    except OSError as error:
        raise SelfcheckError(f"cannot write into {out}: {error.strerror}; choose another folder with --out") from error


def measure(
    material: Material, metrics: Metrics, corruptions: tuple[str, ...], store: StoredScores, *, all_sets: bool = False
) -> Measurements:
    """Every metric on every clip under every treatment. Set metrics, whose network costs most, see the corruptions of
    `SET_CORRUPTIONS` only, unless `all_sets`."""
    cells, cache, n = cells_of(corruptions), FeatureCache(), len(material.cases)
    extractors = {metric.extractor.signature: (name, metric) for name, metric in metrics.sets.items()}
    # Those that run no network see everything.
    costly = {s for s, (_, metric) in extractors.items() if not getattr(metric.extractor, "beside_networks", False)}
    set_cells = {c for c in cells if all_sets or c.kind not in CORRUPTIONS or c.kind in SET_CORRUPTIONS}
    names = [o.name for m in metrics.per_clip.values() for o in m.outputs]
    measurements = Measurements(
        cells,
        {(name, cell): np.full(n, np.nan) for name in names for cell in cells},
        {(name, cell): Counter() for name in [*names, *extractors] for cell in cells},
        {(signature, cell): {} for signature in extractors for cell in cells if signature not in costly or cell in set_cells},
        {signature: {} for signature in extractors},
    )
    announce(
        f"selfcheck: {n} clips under {len(cells)} treatments each, {len(metrics.per_clip) + len(metrics.sets)} metrics; "
        "how long it takes is said after the first scores, and what is done is kept"
    )
    estimate = Estimate("the selfcheck", "; fewer --n, --metrics or --corruptions take less")
    paired = [metric for metric in metrics.per_clip.values() if isinstance(metric, AgainstClean)]
    with _one_thread():
        for done, (i, cell, view) in enumerate(track(_views(material, cells, cache), "selfcheck", n * len(cells)), 1):
            started, stored = time.monotonic(), store.made
            if cell.kind == CLEAN and isinstance(view, ClipView):
                for pair in paired:
                    pair.show_clean(view)
            if isinstance(view, str):
                for name in [*names, *extractors]:
                    measurements.reasons[name, cell][view] += 1
                continue
            for scores in store.scores(view, metrics.per_clip, cell).values():
                for name, (value, reason) in scores.items():
                    measurements.values[name, cell][i] = np.nan if value is None else value
                    measurements.reasons[name, cell].update([reason] if value is None else [])
            # As the case itself, not as one with a swapped caption: a protocol may draw frames by the id of the case.
            own = ClipView(view.clip, material.cases[i], cache)
            for signature, (name, metric) in extractors.items():
                if (signature, cell) in measurements.vectors:
                    try:
                        measurements.vectors[signature, cell][i] = features_of(name, metric, own)
                    except (Undefined, MetricError) as reason:
                        measurements.reasons[signature, cell][str(reason)] += 1
            if store.made > stored:
                estimate.unit(time.monotonic() - started, n * len(cells) - done)
    if extractors:
        _see_reference(material, extractors, cache, measurements.reference)
    return measurements


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch: image towers see one small frame at a time here, for which more threads are slower, above all on a
    machine with other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _see_reference(
    material: Material, extractors: dict[str, tuple[str, SetMetric]], cache: FeatureCache, vectors: dict[str, Vectors]
) -> None:
    for i in track(range(len(material.cases)), "reference"):
        for signature, (name, metric) in extractors.items():
            try:
                view = ClipView(material.reference(i), material.cases[i], cache, real=True)
                vectors[signature][i] = features_of(name, metric, view)
            except (Undefined, SoraEvalError):  # the clean clip of the case has the same reason
                continue


def _views(material: Material, cells: list[Cell], cache: FeatureCache) -> Iterator[tuple[int, Cell, ClipView | str]]:
    """Every clip under every treatment, or the reason why there is none; each clip is read once."""
    for i in range(len(material.cases)):
        clip: Clip | str
        try:
            clip = material.clip(i)
        except SelfcheckError:
            raise
        except SoraEvalError as error:
            clip = f"no clip: {error}"
        for cell in cells:
            if isinstance(clip, str):
                yield i, cell, clip
                continue
            try:
                treated, case = material.treat(i, clip, cell)
            except (Undefined, SoraEvalError) as reason:
                yield i, cell, str(reason)
                continue
            yield i, cell, ClipView(treated, case, cache, request=partial(_request, material.cases[i], clip))


def _request(case: Case, clip: Clip) -> Request:
    """What treated clips answer: image to video, from the first frame of the clean clip."""
    size = (clip.width, clip.height, clip.num_frames, clip.fps)
    facts = case.prompt.facts
    return Request(case.prompt.text, *size, seed_of(case), facts=facts, case_seed=case.seed, first_frames=clip.frames[:1])
