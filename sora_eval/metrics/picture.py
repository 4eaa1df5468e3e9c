"""Quality of single frames without a reference picture: statistics against real clips, and networks from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from sora_eval.features.image_text import FrameEmbeddings
from sora_eval.features.picture_network import FrameScores
from sora_eval.features.scene_statistics import SceneStatistics
from sora_eval.features.score_head import ScoreHead
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score, SetMetric
from sora_eval.stats.natural_scene import clip_distances
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.util.errors import Undefined

FRAMES = 8


class NaturalScene(SetMetric):
    """How surprising the contrasts of a clip's patches are among those of the reference clips; the mean over clips, in nats.

    NIQE's principle (Mittal et al. 2013) with the two parts of its coefficient in place of their ratio: a Gaussian of
    `features.scene_statistics.contrast_features` is fitted to the reference clips of each size, and the Kullback-Leibler
    divergence of a clip's own Gaussian from it is its score. >= 0, lower is better; above 0 for real clips too, since one
    clip varies less than all, and more so the fewer its patches are. It grows with blur, noise and blocks of 8 px.
    Functional twin: `stats.natural_scene.clip_distances`.
    """

    outputs = (Output("natural_scene", "nats", False, ">= 0"),)
    statistic = SetStatistic(kind="natural-scene")
    least = 1

    def __init__(self) -> None:
        self.extractor = SceneStatistics("contrast")
        super().__init__()
        self.signature = f"{self.outputs[0].name}|{self.extractor.signature}|{self.statistic}"

    def compute(self) -> torch.Tensor:
        return torch.tensor([clip_distances("natural-scene", *self.sets()).mean()], dtype=torch.float64)


class NiqeRefitted(SetMetric):
    """NIQE (Mittal et al. 2013), its features and its distance, with a Gaussian that is fitted to the reference clips of each
    size, and not NIQE's own pictures; of all patches of a clip's frames together, mean over clips.

    >= 0, lower is better. It is steep where a picture is nearly natural: a little noise is far, and more of it little further;
    of small or flat pictures under strong blur it falls again. Functional twin: `stats.natural_scene.clip_distances`.
    """

    outputs = (Output("niqe_refitted", "1", False, ">= 0"),)
    statistic = SetStatistic(kind="niqe")
    least = 1

    def __init__(self) -> None:
        self.extractor = SceneStatistics("niqe")
        super().__init__()
        self.signature = f"{self.outputs[0].name}|{self.extractor.signature}|{self.statistic}"

    def compute(self) -> torch.Tensor:
        return torch.tensor([clip_distances("niqe", *self.sets()).mean()], dtype=torch.float64)


class Aesthetic(ClipMetric):
    """A linear score of a frame's embedding, as LAION's aesthetic predictors are, mean of 8 frames.

    `head` is a file: `weight` and `bias` of one linear layer (LAION's predictor of 2022, which VBench takes), or the `layers.N`
    of the improved one, which have nothing between them. `model` is the image tower that the head was made for, by default the
    shipped one, and must give vectors as long as the head's. Higher is better; range and unit are the head's.
    """

    outputs = (Output("aesthetic", "score of the head", True, "any"),)

    def __init__(self, model: str = "world", head: str = "") -> None:
        super().__init__()
        self.head = ScoreHead(Path(head)) if head else None
        self.extractor = FrameEmbeddings(model, FRAMES)
        self.signature = f"aesthetic|{self.extractor.signature}|head:{self.head.identity if self.head else 'none'}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        if self.head is None:
            raise Undefined('no head: set head = "FILE" in [metrics.aesthetic], for example LAION\'s for its model')
        return {"aesthetic": Score(float(self.head(view.features(self.extractor)).mean()))}


class ImagingQuality(ClipMetric):
    """The score of any network of pictures in an ONNX file, mean of 8 frames; VBench's imaging quality has MUSIQ (SPAQ).

    `features.picture_network` has the contract. Higher is better; range and unit are the network's.
    """

    outputs = (Output("imaging_quality", "score of the network", True, "any"),)

    def __init__(self, network: str = "") -> None:
        super().__init__()
        self.extractor = FrameScores(network, FRAMES) if network else None
        self.signature = f"imaging_quality-not-musiq|{self.extractor.signature if self.extractor else 'none'}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        if self.extractor is None:
            raise Undefined('no network: set network = "FILE.onnx" in [metrics.imaging_quality]')
        return {"imaging_quality": Score(float(view.features(self.extractor).mean()))}
