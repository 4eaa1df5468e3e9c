"""Distances between the distributions of generated and real clips."""

from __future__ import annotations

import torch

from sora_eval.distances import frechet_distance, kernel_distance, precision_recall
from sora_eval.errors import SuiteError
from sora_eval.features.i3d import I3DLogits
from sora_eval.features.protocols import FVD_PROTOCOLS
from sora_eval.metrics.base import Output, SetMetric

NEIGHBOURS = 3


class _I3DSetMetric(SetMetric):
    def __init__(self, protocol: str = "original") -> None:
        if protocol not in FVD_PROTOCOLS:
            raise SuiteError(f"protocol {protocol!r} is not known; expected one of: {', '.join(FVD_PROTOCOLS)}")
        self.extractor: I3DLogits = I3DLogits(protocol)
        super().__init__()


class FVD(_I3DSetMetric):
    """Fréchet video distance (Unterthiner et al. 2018): Fréchet distance of I3D Kinetics-400 logits.

    Squared logit units, >= 0, lower is better. Biased upwards by about 1/n: compare values of equal n only. The protocol
    decides frames, resize and covariance. Functional twin: `sora_eval.distances.frechet_distance`.
    """

    outputs = (Output("fvd", "logits^2", False, ">= 0"),)

    def __init__(self, protocol: str = "original") -> None:
        super().__init__(protocol)
        chosen = self.extractor.protocol
        ridge = f"|ridge:{chosen.ridge:g}" if chosen.ridge else ""
        self.signature = f"fvd|{self.extractor.signature}|frechet|ddof:{chosen.ddof}{ridge}"

    def compute(self) -> torch.Tensor:
        chosen = self.extractor.protocol
        return torch.tensor([frechet_distance(*self.sets(), chosen.ddof, chosen.ridge)], dtype=torch.float64)


class KVD(_I3DSetMetric):
    """Kernel video distance: unbiased MMD^2 with the cubic kernel of KID (Binkowski et al. 2018) on I3D logits.

    No bias in n; around 0, and below it, for equal distributions. Lower is better. Functional twin:
    `sora_eval.distances.kernel_distance`.
    """

    outputs = (Output("kvd", "1", False, "real"),)

    def __init__(self, protocol: str = "original") -> None:
        super().__init__(protocol)
        self.signature = f"kvd|{self.extractor.signature}|mmd-cubic-unbiased"

    def compute(self) -> torch.Tensor:
        return torch.tensor([kernel_distance(*self.sets())], dtype=torch.float64)


class Precision(_I3DSetMetric):
    """Improved precision (Kynkäänniemi et al. 2019) on I3D logits: the share of generated clips that look real.

    0 to 1, higher is better. Functional twin: `sora_eval.distances.precision_recall`.
    """

    outputs = (Output("precision", "share", True, "0 to 1"),)

    def __init__(self, protocol: str = "original") -> None:
        super().__init__(protocol)
        self.signature = f"precision|{self.extractor.signature}|precision-knn:{NEIGHBOURS}"

    def compute(self) -> torch.Tensor:
        return torch.tensor([precision_recall(*self.sets(), NEIGHBOURS)[0]], dtype=torch.float64)


class Recall(_I3DSetMetric):
    """Improved recall (Kynkäänniemi et al. 2019) on I3D logits: the share of real clips that are covered.

    0 to 1, higher is better; mode collapse lowers it. Functional twin: `sora_eval.distances.precision_recall`.
    """

    outputs = (Output("recall", "share", True, "0 to 1"),)

    def __init__(self, protocol: str = "original") -> None:
        super().__init__(protocol)
        self.signature = f"recall|{self.extractor.signature}|recall-knn:{NEIGHBOURS}"

    def compute(self) -> torch.Tensor:
        return torch.tensor([precision_recall(*self.sets(), NEIGHBOURS)[1]], dtype=torch.float64)
