"""Physics-IQ (Motamed et al. 2025) and Physics-IQ Verified (Rädsch et al. 2026): where, when and how much a clip moves,
against real takes of the same scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.physics_iq.benchmark import Benchmark
from sora_eval.metrics.physics_iq.masks import PROTOCOLS
from sora_eval.metrics.physics_iq.measures import MEASURES, Measures, original_score, verified_score
from sora_eval.metrics.physics_iq.takes import Shot, check_length, parse_name
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined

Compared = tuple[Measures, Measures, dict[str, Any]]


class PhysicsIQ(ClipMetric):
    """Generated clips against two real takes of the same scene.

    `real` is the folder of the benchmark's takes, `real_verified` that of Verified's, which has takes and masks of its own;
    left out, `real` serves for both. `protocol` is one of `physics_iq.masks`. original: `original_score`, 0 to 100 as a mean.
    verified: `verified_score`, 0 to 100. The four measures compare the clip with take 1 of `real`; the detail holds those of
    take 1 and take 2. No number is rounded. The prompt's id is the benchmark's name of the clip. Changes with fps; the clip's
    own size matters through its masks.
    """

    outputs = (
        Output("physics_iq.original", "%", True, "0 to 100 as a mean", (0.0, 100.0)),
        Output("physics_iq.verified", "%", True, "0 to 100", (0.0, 100.0)),
        Output("physics_iq.mse", "intensity^2", False, "0 to 1", (0.0, 1.0)),
        Output("physics_iq.spatiotemporal_iou", "share", True, "0 to 1", (0.0, 1.0)),
        Output("physics_iq.spatial_iou", "share", True, "0 to 1", (0.0, 1.0)),
        Output("physics_iq.weighted_spatial_iou", "share", True, "0 to 1", (0.0, 1.0)),
    )

    def __init__(self, real: str = "", real_verified: str = "", protocol: str = "published") -> None:
        super().__init__()
        self.original = Benchmark(Path(real), protocol) if real else None
        self.verified = Benchmark(Path(real_verified), protocol) if real_verified else self.original
        contents = [b.takes.content if b else "none" for b in (self.original, self.verified)]
        self.signature = f"physics_iq|{PROTOCOLS[protocol]}|real:{contents[0]}|verified:{contents[1]}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        if self.verified is None:
            raise Undefined('no real takes: set real = "FOLDER" in [metrics.physics_iq]')
        name, clip = view.case.prompt.id, view.clip
        shot = parse_name(name)
        if shot is None:
            raise Undefined(f"{name!r} is not a Physics-IQ name, such as 0001_perspective-left_trimmed-ball-and-block-fall")
        check_length(clip.num_frames, clip.fps, "the clip")
        original = self._compared(self.original, shot, clip)
        verified = original if self.verified is self.original else self._compared(self.verified, shot, clip)
        if isinstance(original, Undefined) and isinstance(verified, Undefined):
            raise original if self.original is not None else verified
        return self._of_original(original, clip.fps) | self._of_verified(verified)

    @staticmethod
    def _compared(benchmark: Benchmark | None, shot: Shot, clip: Clip) -> Compared | Undefined:
        if benchmark is None:
            return Undefined('no takes of the original benchmark: set real = "FOLDER" in [metrics.physics_iq]')
        try:
            return benchmark.compare(shot, clip)
        except Undefined as reason:
            return reason

    def _of_original(self, compared: Compared | Undefined, fps: float) -> dict[str, Score]:
        names = [f"physics_iq.{m}" for m in MEASURES]
        if isinstance(compared, Undefined):
            return {name: Score(None, str(compared)) for name in ("physics_iq.original", *names)}
        assert self.original is not None
        own, _, detail = compared
        whole, pairs = self.original.whole(fps)
        detail = {**detail, "benchmark_variance": whole.rounded(), "pairs": pairs}
        try:
            score = Score(original_score(own, whole), detail=detail)
        except Undefined as reason:
            score = Score(None, str(reason), detail)
        return {"physics_iq.original": score} | {n: Score(v) for n, v in zip(names, own.array().tolist(), strict=True)}

    def _of_verified(self, compared: Compared | Undefined) -> dict[str, Score]:
        if isinstance(compared, Undefined):
            return {"physics_iq.verified": Score(None, str(compared))}
        own, variance, detail = compared
        takes = "real" if self.verified is self.original else "real_verified"
        return {"physics_iq.verified": Score(verified_score(own, variance), detail={**detail, "takes": takes})}
