"""Agreement of a clip with its prompt, by the embeddings of a CLIP model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np

from sora_eval.features.image_text import ClipModel, Floats, FrameEmbeddings
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.records.case import Prompt
from sora_eval.util.errors import Undefined, WeightsError


class _PromptMetric(ClipMetric):
    """The common embeddings: frames (n, D) and prompt (D,), unit vectors. Raises WeightsError without a text tower."""

    def __init__(self, model: str = "world", frames: int = 8) -> None:
        super().__init__()
        self.extractor = FrameEmbeddings(model, frames)
        if not isinstance(self.extractor.model, ClipModel):
            raise WeightsError(f"{model!r} has no text tower; a text metric needs a CLIP model")
        self.truncation = f"text:first-{self._model.context_length}-tokens"
        self._texts: dict[str, Floats] = {}

    @property
    def _model(self) -> ClipModel:
        return cast(ClipModel, self.extractor.model)

    def text(self, prompt: str) -> Floats:
        """The prompt's unit vector (D,). Raises Undefined for an empty prompt and words that a closed vocabulary lacks."""
        if not prompt.strip():
            raise Undefined("the clip has no prompt")
        if prompt not in self._texts:
            self._texts[prompt] = self._model.embed_text(prompt)
        return self._texts[prompt]


class ClipScore(_PromptMetric):
    """CLIPScore (Hessel et al. 2021) as torchmetrics defines it: max(100 cos(image, text), 0), mean over frames.

    0 to 100, higher is better. A black frame can out-score a healthy one: read it beside `clip_retrieval`.
    """

    outputs = (Output("clip_score", "100 cos", True, "0 to 100"),)

    def __init__(self, model: str = "world", frames: int = 8) -> None:
        super().__init__(model, frames)
        self.signature = f"clip_score|{self.extractor.signature}|{self.truncation}|mean-then-clamp"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {"clip_score": Score(clip_score(view.features(self.extractor), self.text(view.case.prompt.text)))}


def clip_score(frames: Floats, text: Floats) -> float:
    """max(mean of 100 cos, 0) of unit vectors, frames (n, D) and text (D,).

    >>> clip_score(np.float32([[1, 0], [0, 1]]), np.float32([1, 0]))
    50.0
    """
    return max(float(100.0 * (frames.astype(np.float64) @ text.astype(np.float64)).mean()), 0.0)


class ClipRetrieval(_PromptMetric):
    """R@1: 1 if the clip is nearer to its own prompt than to every other prompt of the suite; a tie is a miss.

    0 or 1, higher is better. A constant clip cannot win it.
    """

    outputs = (Output("clip_retrieval", "share", True, "0 or 1"),)

    def __init__(self, model: str = "world", frames: int = 8) -> None:
        super().__init__(model, frames)
        self.signature = f"clip_retrieval|{self.extractor.signature}|{self.truncation}|R@1-ties-miss"
        self._others: tuple[str, ...] = ()

    def prepare(self, prompts: Iterable[Prompt]) -> None:
        self._others = tuple(dict.fromkeys(p.text for p in prompts))

    def score(self, view: ClipView) -> Mapping[str, Score]:
        prompt = view.case.prompt.text
        others = [self.text(t) for t in self._others if t != prompt]
        if not others:
            raise Undefined("retrieval needs at least two different prompts")
        rank = retrieval_rank(view.features(self.extractor), self.text(prompt), np.stack(others))
        return {"clip_retrieval": Score(float(rank == 1), detail={"rank": rank, "of": len(others) + 1})}


def retrieval_rank(frames: Floats, prompt: Floats, others: Floats) -> int:
    """1 + the number of `others` (m, D) at least as near to the mean of the frames (n, D) as `prompt` (D,).

    >>> retrieval_rank(np.float32([[1, 0]]), np.float32([1, 0]), np.float32([[0, 1], [1, 0]]))  # a tie
    2
    """
    mean = frames.astype(np.float64).mean(0)
    return 1 + int((others @ mean >= prompt @ mean).sum())
