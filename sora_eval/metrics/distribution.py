"""Distances between the distributions of generated and real clips."""

from __future__ import annotations

import torch

from sora_eval.features.fvd_protocols import CLIP_FRAMES
from sora_eval.features.i3d import VideoFeatures
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import Output, Score, SetMetric
from sora_eval.stats.distances import frechet_distance, gaussian_distance, kernel_distance, precision_recall
from sora_eval.stats.extrapolation import extrapolated_frechet
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.util.errors import RefusedError

NEIGHBOURS = 3


class _VideoSetMetric(SetMetric):
    """The common features; `protocol`, `precision` and `network` are those of `features.i3d.VideoFeatures`."""

    def __init__(self, protocol: str = "original", precision: str = "fp32", network: str = "") -> None:
        self.extractor: VideoFeatures = VideoFeatures(protocol, precision, network)
        super().__init__()
        self.statistic = self.statistic_of_protocol()
        if self.extractor.protocol.cuts:
            self.unseen = frozenset({"length"})  # of every clip it takes the same number of frames
        self.signature = f"{self.outputs[0].name}|{self.extractor.signature}|{self.statistic}"

    def seen(self, view: ClipView) -> ClipView:
        """The clip, or the 16 frames of it that the protocol cuts."""
        protocol = self.extractor.protocol
        if not protocol.cuts:
            return view
        return view.window(protocol.start(view.case.id, view.clip.num_frames, view.real), CLIP_FRAMES)

    def statistic_of_protocol(self) -> SetStatistic:
        """The statistic of two sets; a protocol may decide its details."""
        return type(self).statistic


class FVD(_VideoSetMetric):
    """Fréchet video distance (Unterthiner et al. 2018): Fréchet distance of I3D Kinetics-400 logits.

    Squared logit units, >= 0, lower is better. Biased upwards by about 1/n: compare values of equal n only. The protocol
    decides frames, resize and covariance. With `extrapolate` a second output is its limit for n -> infinity, where that
    can be known. Functional twins: `stats.distances.frechet_distance`, `stats.extrapolation.extrapolated_frechet`.
    """

    outputs: tuple[Output, ...] = (Output("fvd", "logits^2", False, ">= 0"),)
    INFINITY = Output("fvd.infinity", "logits^2", False, "real")
    least = 2
    further_method = "intercept of a line in 1/n; both sets cut to the same n"
    further_protocol = "infinity:1/n"

    def __init__(
        self, protocol: str = "original", precision: str = "fp32", network: str = "", extrapolate: bool = False
    ) -> None:
        super().__init__(protocol, precision, network)
        if extrapolate:
            self.outputs = (*type(self).outputs, self.INFINITY)

    def statistic_of_protocol(self) -> SetStatistic:
        protocol = self.extractor.protocol
        return SetStatistic(kind="frechet", ddof=protocol.ddof, ridge=protocol.ridge)

    def compute(self) -> torch.Tensor:
        return torch.tensor([frechet_distance(*self.sets(), self.statistic.ddof, self.statistic.ridge)], dtype=torch.float64)

    def compute_infinity(self) -> float:
        """The value for n -> infinity. Raises RefusedError where n is not well above the width of the features."""
        return extrapolated_frechet(*self.sets(), self.statistic.ddof)

    def further(self, output: Output) -> Score:
        try:
            return Score(self.compute_infinity())
        except RefusedError as refusal:
            return Score(None, str(refusal))


class KVD(_VideoSetMetric):
    """Kernel video distance: unbiased MMD^2 with the cubic kernel of KID (Binkowski et al. 2018) on I3D logits.

    No bias in n; around 0, and below it, for equal distributions. Lower is better. Functional twin:
    `stats.distances.kernel_distance`.
    """

    outputs = (Output("kvd", "1", False, "real"),)
    statistic = SetStatistic(kind="mmd-cubic")
    least = 2

    def compute(self) -> torch.Tensor:
        return torch.tensor([kernel_distance(*self.sets())], dtype=torch.float64)


class MMD(_VideoSetMetric):
    """Unbiased MMD^2 with a Gaussian kernel (Gretton et al. 2012) on I3D logits; the bandwidth is the median distance of two
    reference clips.

    No bias in n; around 0, and below it, for equal distributions. Lower is better. Of a hundred clips it sees smaller changes
    than FVD does, so it is the row of a gate. Functional twin: `stats.distances.gaussian_distance`.
    """

    outputs = (Output("mmd", "1", False, "real"),)
    statistic = SetStatistic(kind="mmd-gaussian")
    least = 2

    def compute(self) -> torch.Tensor:
        return torch.tensor([gaussian_distance(*self.sets())], dtype=torch.float64)


class Precision(_VideoSetMetric):
    """Improved precision (Kynkäänniemi et al. 2019) on I3D logits: the share of generated clips that look real.

    0 to 1, higher is better. Functional twin: `stats.distances.precision_recall`.
    """

    outputs = (Output("precision", "share", True, "0 to 1", (0.0, 1.0)),)
    statistic = SetStatistic(kind="precision", neighbours=NEIGHBOURS)
    least = NEIGHBOURS + 1

    def compute(self) -> torch.Tensor:
        return torch.tensor([precision_recall(*self.sets(), NEIGHBOURS)[0]], dtype=torch.float64)


class Recall(_VideoSetMetric):
    """Improved recall (Kynkäänniemi et al. 2019) on I3D logits: the share of real clips that are covered.

    0 to 1, higher is better; mode collapse lowers it. Functional twin: `stats.distances.precision_recall`.
    """

    outputs = (Output("recall", "share", True, "0 to 1", (0.0, 1.0)),)
    statistic = SetStatistic(kind="recall", neighbours=NEIGHBOURS)
    least = NEIGHBOURS + 1

    def compute(self) -> torch.Tensor:
        return torch.tensor([precision_recall(*self.sets(), NEIGHBOURS)[1]], dtype=torch.float64)
