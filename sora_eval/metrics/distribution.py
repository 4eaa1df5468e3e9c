"""Distances between the distributions of generated and real clips."""

from __future__ import annotations

import torch

from sora_eval.distances import frechet_distance, kernel_distance
from sora_eval.errors import SuiteError
from sora_eval.features.i3d import I3DLogits
from sora_eval.metrics.base import Output, SetMetric

PROTOCOLS = ("original",)


class _I3DSetMetric(SetMetric):
    def __init__(self, protocol: str = "original") -> None:
        if protocol not in PROTOCOLS:
            raise SuiteError(f"protocol {protocol!r} is not known; expected one of: {', '.join(PROTOCOLS)}")
        self.extractor = I3DLogits(protocol)
        super().__init__()


class FVD(_I3DSetMetric):
    """Fréchet video distance (Unterthiner et al. 2018): Fréchet distance of I3D Kinetics-400 logits, N-1 covariance.

    Squared logit units, >= 0, lower is better. Biased upwards by about 1/n: compare values of equal n only. Functional
    twin: `sora_eval.distances.frechet_distance`.
    """

    outputs = (Output("fvd", "logits^2", False, ">= 0"),)

    def __init__(self, protocol: str = "original") -> None:
        super().__init__(protocol)
        self.signature = f"fvd|{self.extractor.signature}|frechet|ddof:1"

    def compute(self) -> torch.Tensor:
        return torch.tensor([frechet_distance(*self.sets())], dtype=torch.float64)


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
