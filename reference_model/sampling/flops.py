"""Floating-point operations of a call, counted by torch on the input shapes of the networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reference_model.config import ModelConfig
from reference_model.networks.components import build
from reference_model.networks.flow import euler_times
from reference_model.sampling.backends import Backend
from reference_model.sampling.pipeline import Pipeline, Request

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

    def flops(self) -> dict[str, int]:
        """FLOPs by stage of what was recorded."""
        out = dict.fromkeys(STAGES.values(), 0)
        for (component, signature), count in self.calls.items():
            if component in STAGES:
                out[STAGES[component]] += count * component_flops(self.config, component, signature)
        return out


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


def flops(pipeline: Pipeline, requests: Sequence[Request], packing: str) -> dict[str, int] | None:
    """FLOPs of `generate` by stage, `whole` and the mean `denoise_step`, from one denoising step of each kind that is run.

    None where numbers of steps differ between requests.
    """
    sampling = pipeline.config.sampling
    jobs = [r.with_defaults(sampling) for r in requests]
    numbers = {r.num_inference_steps or 1 for r in jobs}
    if len(numbers) != 1:
        return None
    steps, cut = numbers.pop(), [replace(r, num_inference_steps=1) for r in jobs]
    acts_from, acts_until = sampling.guidance_times
    guided = sum(acts_from <= t <= acts_until for t in euler_times(steps, sampling.time_shift)[:-1])

    def one_step(guidance_times: tuple[float, float]) -> dict[str, int]:
        recorder = Recorder(pipeline.backend)
        recorder.config = replace(recorder.config, sampling=replace(sampling, guidance_times=guidance_times))
        Pipeline(recorder, pipeline.refiner).generate(cut, packing)
        return recorder.flops()

    out = one_step((0.0, 1.0))
    out["denoise"] *= guided
    if guided < steps:
        out["denoise"] += (steps - guided) * one_step((0.0, 0.0))["denoise"]  # the one step is at t = 1
    return out | {"denoise_step": out["denoise"] // steps, "whole": sum(out.values())}
