"""Agreement of a clip with its prompt, by the embeddings of a CLIP model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np

from sora_eval.features.image_text import Floats, FrameEmbeddings, ImageText, text_vector
from sora_eval.features.timm_network import TimmModel
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.records.case import Prompt
from sora_eval.util.errors import Undefined, WeightsError


class _PromptMetric(ClipMetric):
    """The common embeddings: frames (n, D) and prompt (D,), unit vectors. Raises WeightsError without a text tower."""

    def __init__(self, model: str = "world", frames: int = 8) -> None:
        super().__init__()
        self.extractor = FrameEmbeddings(model, frames)
        if isinstance(self.extractor.model, TimmModel):
            raise WeightsError(f"{model!r} has no text tower; a text metric needs a CLIP model")
        self.extractor.model.check_text()
        self.truncation = f"text:{self._model.context_length}-tokens-with-end"

    @property
    def _model(self) -> ImageText:
        return cast(ImageText, self.extractor.model)

    def text(self, prompt: str) -> Floats:
        """The prompt's unit vector (D,). Raises Undefined for an empty prompt and words that a closed vocabulary lacks."""
        if not prompt.strip():
            raise Undefined("the clip has no prompt")
        return text_vector(self.extractor.spec, prompt)

    def note(self, prompt: str) -> str:
        """What the model does not see of a prompt, or ''."""
        length = self._model.context_length
        return f"the prompt is longer than the model's context of {length} tokens and cut" if self._model.is_cut(prompt) else ""


class ClipScore(_PromptMetric):
    """CLIPScore (Hessel et al. 2021) as torchmetrics defines it: the mean of 100 cos(image, text) over frames and clips, at
    least 0. Scores of clips are not cut at 0: a mean of cut ones would be another number.

    Higher is better. A black frame can out-score a healthy one: read it beside `clip_retrieval`.
    """

    outputs = (Output("clip_score", "100 cos", True, "0 to 100; of a clip from -100", limits=(0.0, 100.0)),)

    def __init__(self, model: str = "world", frames: int = 8) -> None:
        super().__init__(model, frames)
        self.signature = f"clip_score|{self.extractor.signature}|{self.truncation}|clamp-of-mean"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        prompt = view.case.prompt.text
        return {"clip_score": Score(clip_score(view.features(self.extractor), self.text(prompt)), self.note(prompt))}


def clip_score(frames: Floats, text: Floats) -> float:
    """Mean of 100 cos of unit vectors, frames (n, D) and text (D,).

    >>> clip_score(np.float32([[1, 0], [0, 1]]), np.float32([1, 0]))
    50.0
    """
    return float(100.0 * (frames.astype(np.float64) @ text.astype(np.float64)).mean())


class ClipRetrieval(_PromptMetric):
    """R@1: 1 if the clip is nearer to its own prompt than to every other prompt of the suite; a tie is a miss. Of prompts that
    the model cannot tell apart, such as those that differ in case, no clip has a score.

    0 or 1, higher is better. A constant clip cannot win it.
    """

    outputs = (Output("clip_retrieval", "share", True, "0 or 1", (0.0, 1.0)),)

    def __init__(self, model: str = "world", frames: int = 8) -> None:
        super().__init__(model, frames)
        self.signature = f"clip_retrieval|{self.extractor.signature}|{self.truncation}|R@1-ties-miss-twins-undefined"
        self._others: tuple[str, ...] = ()

    def prepare(self, prompts: Iterable[Prompt]) -> None:
        self._others = tuple(dict.fromkeys(p.text for p in prompts))

    def score(self, view: ClipView) -> Mapping[str, Score]:
        prompt = view.case.prompt.text
        others = [self.text(t) for t in self._others if t != prompt]
        if not others:
            raise Undefined("retrieval needs at least two different prompts")
        text = self.text(prompt)
        if same := [t for t in self._others if t != prompt and np.array_equal(self.text(t), text)]:
            raise Undefined(f"to the model its prompt is the same as {same[0]!r:.80}")
        rank = retrieval_rank(view.features(self.extractor), text, np.stack(others))
        return {"clip_retrieval": Score(float(rank == 1), self.note(prompt), {"rank": rank, "of": len(others) + 1})}


def retrieval_rank(frames: Floats, prompt: Floats, others: Floats) -> int:
    """1 + the number of `others` (m, D) at least as near to the mean of the frames (n, D) as `prompt` (D,).

    >>> retrieval_rank(np.float32([[1, 0]]), np.float32([1, 0]), np.float32([[0, 1], [1, 0]]))  # a tie
    2
    """
    mean = frames.astype(np.float64).mean(0)
    return 1 + int((others @ mean >= prompt @ mean).sum())
