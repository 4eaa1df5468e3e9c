"""Floating-point operations of a call, counted by torch on the input shapes of the networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reference_model.config import ModelConfig
from reference_model.networks.components import build

if TYPE_CHECKING:
    from reference_model.sampling.backends import Backend

STAGES = {"text_encoder": "text", "dit": "denoise", "vae_decoder": "decode"}
Signature = tuple[tuple[tuple[int, ...], str], ...]  # shape and type of every input


class Recorder:
    """A backend that counts the evaluations of each network by the shapes of its inputs."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.config = backend, backend.config
        self.device, self.provider, self.threads = backend.device, backend.provider, backend.threads
        self.calls = Counter[tuple[str, Signature]]()

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        self.calls[component, _signature(inputs)] += 1
        return self.backend.run(component, *inputs)

    def bind(
        self, component: str, inputs: Sequence[npt.NDArray[Any]], moving: Sequence[int]
    ) -> Callable[..., npt.NDArray[np.float32]]:
        step = self.backend.bind(component, inputs, moving)

        def counted(*values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            self.calls[component, _signature(inputs)] += 1
            return step(*values)

        return counted

    def synchronise(self) -> None:
        self.backend.synchronise()

    def flops(self, steps: int) -> dict[str, int]:
        """FLOPs by stage for `steps` denoising steps, of which one is recorded; `whole` is the sum of the stages."""
        out = dict.fromkeys(STAGES.values(), 0)
        for (component, signature), count in self.calls.items():
            if component in STAGES:
                out[STAGES[component]] += count * component_flops(self.config, component, signature)
        out["denoise_step"] = out["denoise"]
        out["denoise"] *= steps
        return out | {"whole": out["text"] + out["denoise"] + out["decode"]}


def _signature(inputs: Sequence[npt.NDArray[Any]]) -> Signature:
    return tuple((tuple(i.shape), str(i.dtype)) for i in inputs)


@lru_cache(maxsize=4)
def _modules(config: ModelConfig) -> dict[str, nn.Module]:
    with torch.device("meta"):  # shapes only: nothing is stored or computed
        return {name: module.eval() for name, module in build(config).items()}


@lru_cache(maxsize=4096)
def component_flops(config: ModelConfig, component: str, signature: Signature) -> int:
    """FLOPs of one evaluation of a network, by `torch.utils.flop_counter`; a multiply-add counts as two."""
    inputs = [torch.empty(shape, dtype=getattr(torch, kind), device="meta") for shape, kind in signature]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _modules(config)[component](*inputs)
    return int(counter.get_total_flops())


def one_step(requests: Sequence[Any]) -> tuple[list[Any], int] | None:
    """Requests cut to one denoising step, and their number of steps; None where these differ between requests."""
    steps = {r.num_inference_steps for r in requests}
    return ([replace(r, num_inference_steps=1) for r in requests], steps.pop()) if len(steps) == 1 else None
