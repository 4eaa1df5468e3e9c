"""VBench's dimensions of quality on VBench's own networks, which are given as files; see `features.vbench`.

Means are over a clip, then over clips. VBench's own mean of the two consistencies weighs clips by their length on one GPU, and
not on several; of clips of one length all are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sora_eval.features.vbench import (
    CLIP_B,
    CLIP_L,
    ClipFrames,
    DinoFrames,
    FrameRatings,
    Interpolations,
    RaftMotion,
    aesthetic_head,
)
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.temporal import consistency
from sora_eval.util.errors import Undefined

MOVING = 6.0  # px of a short side of 256


class _OnFiles(ClipMetric):
    """A metric whose networks are files, by its options' names; without them a clip has no score, and the row says why."""

    def _open(self, files: Mapping[str, str], make: Callable[..., Any], further: str = "") -> None:
        name = self.outputs[0].name
        self.missing = [option for option, file in files.items() if not file]
        self.extractor = None if self.missing else make(*files.values())
        self.signature = f"{name}|vbench|{self.extractor.signature if self.extractor else 'no-network'}{further}"

    def features(self, view: ClipView) -> Any:
        """What the network says of a clip. Raises Undefined where its file was not given."""
        if self.extractor is None:
            options = ", ".join(f'{option} = "FILE"' for option in self.missing)
            raise Undefined(f"VBench's network was not given: set {options} in [metrics.{self.outputs[0].name}]")
        return view.features(self.extractor)


class VBenchSubjectConsistency(_OnFiles):
    """VBench's subject consistency: DINO ViT-B/16 of each frame against the first and the one before; 0 to 1.

    A still picture has 1. Changes with fps.
    """

    outputs = (Output("vbench_subject_consistency", "cos", True, "0 to 1", (0.0, 1.0)),)

    def __init__(self, dino: str = "") -> None:
        super().__init__()
        self._open({"dino": dino}, DinoFrames)

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {self.outputs[0].name: Score(consistency(self.features(view)))}


class VBenchBackgroundConsistency(_OnFiles):
    """VBench's background consistency: the same with OpenAI's CLIP ViT-B/32; 0 to 1. A still picture has 1."""

    outputs = (Output("vbench_background_consistency", "cos", True, "0 to 1", (0.0, 1.0)),)

    def __init__(self, clip: str = "") -> None:
        super().__init__()
        self._open({"clip": clip}, lambda file: ClipFrames(CLIP_B, file))

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {self.outputs[0].name: Score(consistency(self.features(view)))}


class VBenchMotionSmoothness(_OnFiles):
    """VBench's motion smoothness: (255 - mean absolute difference of every second frame to AMT-S's) / 255; 0 to 1."""

    outputs = (Output("vbench_motion_smoothness", "1", True, "0 to 1", (0.0, 1.0)),)

    def __init__(self, amt: str = "") -> None:
        super().__init__()
        self._open({"amt": amt}, Interpolations)

    def score(self, view: ClipView) -> Mapping[str, Score]:
        errors = self.features(view)
        detail = {"worst_frame": int(2 * errors.argmax() + 1)}
        return {self.outputs[0].name: Score((255.0 - float(errors.mean())) / 255.0, detail=detail)}


class VBenchDynamicDegree(_OnFiles):
    """VBench's dynamic degree: 1 if round(n / 4) pairs of n frames at about 8 fps have a RAFT flow above 6 px of 256.

    A clip of one frame does not move; one whose number of pairs rounds to 0 does, as in VBench.
    """

    outputs = (Output("vbench_dynamic_degree", "share", True, "0 or 1", (0.0, 1.0)),)

    def __init__(self, raft: str = "") -> None:
        super().__init__()
        self._open({"raft": raft}, RaftMotion)

    def score(self, view: ClipView) -> Mapping[str, Score]:
        pairs = self.features(view)
        moving = int((pairs > MOVING * min(view.clip.height, view.clip.width) / 256.0).sum())
        needed = round(4 * ((len(pairs) + 1) / 16.0))
        moves = len(pairs) > 0 and moving >= needed
        return {self.outputs[0].name: Score(float(moves), detail={"moving_pairs": moving, "needed": needed})}


class VBenchAestheticQuality(_OnFiles):
    """VBench's aesthetic quality: LAION's linear head on OpenAI's CLIP ViT-L/14, a tenth of its 0 to 10, mean over frames."""

    outputs = (Output("vbench_aesthetic_quality", "1", True, "about 0 to 1"),)

    def __init__(self, clip: str = "", head: str = "") -> None:
        super().__init__()
        self.head = head
        further = f"|head:{aesthetic_head(head)[2]}" if head else ""
        self._open({"clip": clip, "head": head}, lambda file, _: ClipFrames(CLIP_L, file), further)

    def score(self, view: ClipView) -> Mapping[str, Score]:
        vectors = self.features(view)
        weights, bias, _ = aesthetic_head(self.head)
        if vectors.shape[1] != len(weights):
            raise Undefined(f"the aesthetic head takes vectors of {len(weights)}; those of the network have {vectors.shape[1]}")
        return {self.outputs[0].name: Score(float(np.mean(vectors.astype(np.float64) @ weights + bias)) / 10)}


class VBenchImagingQuality(_OnFiles):
    """VBench's imaging quality: MUSIQ (SPAQ) of each frame, 0 to 100, mean over frames, a hundredth of it."""

    outputs = (Output("vbench_imaging_quality", "1", True, "0 to 1"),)

    def __init__(self, musiq: str = "") -> None:
        super().__init__()
        self._open({"musiq": musiq}, FrameRatings)

    def score(self, view: ClipView) -> Mapping[str, Score]:
        ratings = self.features(view)
        return {self.outputs[0].name: Score(float(ratings.mean()) / 100, detail={"worst_frame": int(ratings.argmin())})}
