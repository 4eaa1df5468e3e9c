"""FLOPs of a call, from single steps, are those of all its evaluations."""

from dataclasses import replace

import pytest

from reference_model.sampling.flops import Recorder, flops
from reference_model.sampling.pipeline import Pipeline, Request

REQUESTS = [
    Request("a red circle falls", 24, 24, 5, num_inference_steps=5),
    Request("a blue square", 32, 16, 1, num_inference_steps=5, guidance_scale=1.0),
]


@pytest.mark.parametrize("times", [(0.0, 1.0), (0.6, 1.0), (0.3, 0.9), (0.0, 0.0)])
@pytest.mark.parametrize("packing", ["packed", "single"])
def test_single_steps_add_up_to_the_whole_call(times, packing):
    base = Pipeline.load("base")
    sampling = replace(base.config.sampling, guidance_times=times)
    recorder = Recorder(base.backend)
    recorder.config = replace(base.config, sampling=sampling)
    pipeline = Pipeline(recorder)
    pipeline.generate(REQUESTS, packing)
    every = recorder.flops()
    counted = flops(pipeline, REQUESTS, packing)
    assert counted == every | {"denoise_step": every["denoise"] // 5, "whole": sum(every.values())}


def test_requests_of_different_steps_have_no_figure():
    assert flops(Pipeline.load("base"), [REQUESTS[0], replace(REQUESTS[1], num_inference_steps=4)], "packed") is None
