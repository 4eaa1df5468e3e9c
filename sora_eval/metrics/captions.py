"""The prompt's facts as the reference model's recaptioner reads them from the clip.

With `generators.reference` the only module of the harness that imports the reference model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from reference_model.errors import ReferenceModelError
from reference_model.packing.shapes import MULTIPLE, TIME_STRIDE
from reference_model.sampling.checkpoint import CheckpointError, component_files, resolve
from reference_model.sampling.pipeline import Pipeline
from reference_model.world import Description, Facts, describe, parse
from sora_eval.features.device import device
from sora_eval.features.view import Array, ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.records.clip import Clip
from sora_eval.util.errors import MetricError, Undefined, WeightsError
from sora_eval.util.processes import session_threads
from sora_eval.util.stages import stage
from sora_eval.util.weights import sha256_file


def _pipeline(checkpoint: str) -> Pipeline:
    return _open(checkpoint, device())


@cache
def _open(checkpoint: str, device: str) -> Pipeline:
    try:
        return Pipeline.load(checkpoint, device=device, threads=session_threads())
    except ReferenceModelError as error:
        raise WeightsError(f"caption_facts: {error}") from error


class Recaption:
    """The recaptioner's words for a clip, an array (1,) of str; sides and length are cut to what the model takes."""

    cached = True

    def __init__(self, checkpoint: str) -> None:
        self._checkpoint = checkpoint  # not the networks: a metric can be pickled
        threshold = _pipeline(checkpoint).config.captioner.drop_threshold
        files = component_files(resolve(checkpoint))  # they are there: the pipeline is open
        weights = "+".join(sha256_file(files[part])[:8] for part in ("caption_encoder", "caption_decoder"))
        self.signature = f"recaptioner|weights:{weights}|drop:{threshold:g}"

    def __call__(self, clip: Clip) -> Array:
        height, width = (side // MULTIPLE * MULTIPLE for side in (clip.height, clip.width))
        if not height or not width:
            raise Undefined(f"{clip.width}x{clip.height} px; the recaptioner needs at least {MULTIPLE}x{MULTIPLE}")
        frames = clip.frames[: (clip.num_frames - 1) // TIME_STRIDE * TIME_STRIDE + 1, :height, :width]
        try:
            with stage("network"):
                return np.array(_pipeline(self._checkpoint).caption([np.ascontiguousarray(frames)]))
        except CheckpointError as error:
            raise MetricError(f"caption_facts: {error}") from error
        except ReferenceModelError as error:
            raise Undefined(str(error)) from error


class CaptionFacts(ClipMetric):
    """F1 of the facts that the recaptioner reads from a clip against those of its prompt; 0 to 1, higher is better.

    Facts are count, colours, shapes, motions, directions, speeds, background and bar. The recaptioner errs on real world
    clips too: read the value beside the one of the generator `world`.
    """

    outputs = (Output("caption_facts", "F1", True, "0 to 1", (0.0, 1.0)),)

    def __init__(self, checkpoint: str = "base") -> None:
        super().__init__()
        self.extractor = Recaption(checkpoint)
        self.signature = f"caption_facts|slots-f1|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        facts = view.case.prompt.facts
        if not facts or not facts.get("objects"):
            raise Undefined("the prompt has no facts to read back")
        still = view.clip.num_frames == 1
        try:
            expected = describe(Facts.from_json(facts)).at("medium", still=still)
        except ReferenceModelError as error:
            raise Undefined(f"the prompt's facts are not of the reference world: {error}") from error
        text = str(view.features(self.extractor)[0])
        caption = parse(text).at("medium", still=still)
        return {"caption_facts": Score(slot_f1(expected, caption), detail={"caption": text})}


def slot_f1(expected: Description, caption: Description) -> float:
    """2 |a and b| / (|a| + |b|) of the slots a and b of two descriptions; 0 to 1.

    >>> slot_f1(parse("a red circle"), parse("a red square"))  # of 3 slots each, the shape differs
    0.6666666666666666
    """
    a, b = expected.slots(), caption.slots()
    return 2 * len(a & b) / (len(a) + len(b))
