"""Fidelity of motion: the optical flow of a clip against that of the same case in another run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sora_eval.features.flow import ClipFlow
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import Output, PairMetric, Score


class FlowFidelity(PairMetric):
    """End-point difference of optical flow: |flow of NEW - flow of BASE|, mean over pixels and pairs of frames.

    In per cent of the short side per frame, at least 0, lower is closer; 0 for identical clips. DIS flow by default; `flow` and
    `flow_weights` as for `warping_error`. The end-point error of the flow literature, between two estimates. The detail has it
    by pair of frames.
    """

    family = "fidelity"
    outputs = (Output("fidelity.flow", "% of the short side", False, ">= 0; identical clips have 0"),)
    identical = {"fidelity.flow": 0.0}  # noqa: RUF012

    def __init__(self, flow: str = "dis", flow_weights: str = "") -> None:
        super().__init__()
        self.extractor = ClipFlow(flow, flow_weights)
        self.signature = f"fidelity.flow|end-point-difference|{self.extractor.signature}"

    def score(self, base: ClipView, new: ClipView) -> Mapping[str, Score]:
        a, b = (view.features(self.extractor) for view in (base, new))  # (T - 1, H, W, 2)
        short = min(a.shape[1:3])
        differences = np.array([np.hypot(*np.moveaxis(y - x, -1, 0)).mean(dtype=np.float64) for x, y in zip(a, b, strict=True)])
        by_pair = 100 * differences / short
        return {"fidelity.flow": Score(float(by_pair.mean()), detail={"by_pair": by_pair.tolist()})}
