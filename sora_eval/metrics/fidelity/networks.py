"""Fidelity in the eyes of networks: features and latents of a clip against those of the same case in another run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sora_eval.features.i3d import VideoFeatures
from sora_eval.features.image_text import FrameEmbeddings
from sora_eval.features.latents import Latents
from sora_eval.features.view import ClipView, Extractor
from sora_eval.metrics.base import Output, PairMetric, Score
from sora_eval.util.errors import Undefined

Floats = npt.NDArray[np.floating]


class FeatureFidelity(PairMetric):
    """1 - cosine of the features of two clips: `video`, I3D's Kinetics-400 logits under FVD's original protocol, and `image`,
    an image-text network's embeddings of `frames` frames.

    0 to 2, lower is closer; 0 for identical clips. The embeddings are unit vectors side by side, so that their cosine is the
    mean over frames. `model` is an image network as `clip_score` takes one, `network` a video network in a file in place of
    I3D. With the defaults the features are those of `fvd` and `clip_score`, which a run has computed already. Functional
    twin: `one_minus_cosine`.
    """

    family = "fidelity"
    outputs = (
        Output("fidelity.features.video", "1 - cos", False, "0 to 2; identical clips have 0", (0.0, 2.0)),
        Output("fidelity.features.image", "1 - cos", False, "0 to 2; identical clips have 0", (0.0, 2.0)),
    )
    identical = {"fidelity.features.video": 0.0, "fidelity.features.image": 0.0}  # noqa: RUF012

    def __init__(self, model: str = "world", frames: int = 8, network: str = "") -> None:
        super().__init__()
        self.extractors: dict[str, Extractor] = {
            "fidelity.features.video": VideoFeatures(network=network),
            "fidelity.features.image": FrameEmbeddings(model, frames),
        }
        self.signature = "|".join(["fidelity.features|1-cos", *(e.signature for e in self.extractors.values())])

    def score(self, base: ClipView, new: ClipView) -> Mapping[str, Score]:
        return {name: self._score(base, new, extractor) for name, extractor in self.extractors.items()}

    @staticmethod
    def _score(base: ClipView, new: ClipView, extractor: Extractor) -> Score:
        try:
            return Score(one_minus_cosine(base.features(extractor), new.features(extractor)))
        except Undefined as reason:  # the other network may cover the clip
            return Score(None, str(reason))


def one_minus_cosine(a: Floats, b: Floats) -> float:
    """1 - cos of two arrays of one size, 0 to 2, as |a/|a| - b/|b||^2 / 2: exact also where they hardly differ.

    Raises Undefined for sizes that differ and for a vector of zeros.

    >>> one_minus_cosine(np.array([1.0, 0.0]), np.array([0.0, 2.0]))
    1.0
    """
    x, y = (np.asarray(v, np.float64).ravel() for v in (a, b))
    lengths = [float(np.linalg.norm(v)) for v in (x, y)]
    if x.shape != y.shape or 0 in lengths:
        raise Undefined(f"features of sizes {x.size} and {y.size} and lengths {lengths[0]:g} and {lengths[1]:g} have no cosine")
    return float(np.square(x / lengths[0] - y / lengths[1]).sum() / 2)


class LatentFidelity(PairMetric):
    """Root mean squared difference of two clips' latents, in units of their own root mean square.

    0 to 2, lower is closer; 0 for identical clips, sqrt(2) for latents that have nothing to do with each other. `encoder` is
    `world`, the reference model's VAE, or an ONNX file (its contract is in `features.latents`). Functional twin:
    `relative_difference`.
    """

    family = "fidelity"
    outputs = (Output("fidelity.latent", "rms", False, "0 to 2; identical clips have 0", (0.0, 2.0)),)
    identical = {"fidelity.latent": 0.0}  # noqa: RUF012

    def __init__(self, encoder: str = "world") -> None:
        super().__init__()
        self.extractor = Latents(encoder)
        self.signature = f"fidelity.latent|rms-of-difference/rms|{self.extractor.signature}"

    def score(self, base: ClipView, new: ClipView) -> Mapping[str, Score]:
        return {"fidelity.latent": Score(relative_difference(base.features(self.extractor), new.features(self.extractor)))}


def relative_difference(a: Floats, b: Floats) -> float:
    """|a - b| / sqrt((|a|^2 + |b|^2) / 2) of two arrays of one size, 0 to 2. Raises Undefined for sizes that differ.

    >>> relative_difference(np.array([3.0]), np.array([-3.0])), relative_difference(np.zeros(2), np.zeros(2))
    (2.0, 0.0)
    """
    x, y = (np.asarray(v, np.float64).ravel() for v in (a, b))
    if x.shape != y.shape:
        raise Undefined(f"latents of {x.size} and {y.size} values cannot be compared")
    scale = float(np.sqrt((x @ x + y @ y) / 2))
    return min(float(np.linalg.norm(x - y)) / scale, 2.0) if scale else 0.0
