"""The shipped checkpoints: ONNX equals torch, packs equal single clips, early and base are different trainings."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from docs.pages.reference_page import page
from reference_model.errors import ReferenceModelError
from reference_model.onnx.export import TOLERANCE
from reference_model.onnx.int8 import NEAR
from reference_model.onnx.specs import CHECKS, specs
from reference_model.packing.shapes import ShapeError
from reference_model.sampling.backends import load_backend
from reference_model.sampling.checkpoint import CHECKPOINTS, COMPONENTS, component_files, resolve, shipped
from reference_model.sampling.pipeline import Pipeline, Request
from reference_model.world import ObjectFacts
from tests.conftest import ROOT, world_clip

REQUESTS = [
    Request("a red circle falls on a black background", 32, 32, 17, seed=1, num_inference_steps=6),
    Request("a blue square moves quickly left", 40, 24, 9, seed=2, num_inference_steps=6),
    Request("a green triangle", 24, 40, 1, seed=3, num_inference_steps=6, guidance_scale=1.0),
    Request("a cyan circle falls and bounces on a silver background", 48, 48, 13, seed=4, num_inference_steps=6),
]


@pytest.fixture(scope="module")
def onnx():
    return Pipeline.load("base", "onnx")


@pytest.fixture(scope="module")
def torch_():
    return Pipeline.load("base", "torch")


def test_the_ladder_is_shipped_small_and_of_one_training():
    assert {"base", "base-int8", "middle", "early"} <= set(shipped())
    files = {name: component_files(resolve(name)) for name in ("early", "middle", "base", "base-int8")}
    for part in ("vae_encoder", "caption_decoder", "refine_decoder"):
        assert len({f[part] for f in files.values()}) == 1
    assert files["early"]["vae_decoder"] == files["base"]["vae_decoder"]
    assert len({f["dit"].read_bytes() for f in files.values()}) == 4
    assert sum(f.stat().st_size for f in CHECKPOINTS.rglob("*") if f.is_file()) <= 60e6


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_graph_in_onnx_equals_torch(onnx, torch_, component):
    for which in range(CHECKS):
        inputs = [t.numpy() for t in specs(onnx.config)[component].example(which)]
        outputs = zip(onnx.backend.run(component, *inputs), torch_.backend.run(component, *inputs), strict=True)
        assert max(float(np.abs(a - b).max()) for a, b in outputs) <= TOLERANCE


def test_int8_is_near_its_original_and_is_not_it(onnx):
    small = Pipeline.load("base-int8")
    for network in NEAR:
        inputs = [t.numpy() for t in specs(onnx.config)[network].example(2)]
        for a, b in zip(onnx.backend.run(network, *inputs), small.backend.run(network, *inputs), strict=True):
            assert 0 < np.square(a - b).mean() < 0.05 * np.square(a).mean()


def test_whole_clips_of_both_backends_agree(onnx, torch_):
    for a, b in zip(onnx.generate(REQUESTS), torch_.generate(REQUESTS), strict=True):
        difference = np.abs(a.frames.astype(int) - b.frames)
        assert (difference <= 1).mean() >= 0.999


def test_a_clip_generated_in_a_pack_equals_the_clip_alone(onnx):
    together = onnx.generate(REQUESTS)
    for request, sample in zip(REQUESTS, together, strict=True):
        alone = onnx.generate([request])[0]
        assert alone.frames.shape == (request.num_frames, request.height, request.width, 3)
        assert (np.abs(alone.frames.astype(int) - sample.frames) <= 1).mean() >= 0.999
        assert set(sample.seconds) == {"text", "denoise", "denoise_step", "decode"}


@pytest.mark.parametrize("packing", ["single", "bucketed", "padded"])
def test_the_way_of_batching_changes_no_clip(onnx, packing):
    for a, b in zip(onnx.generate(REQUESTS), onnx.generate(REQUESTS, packing), strict=True):
        assert (np.abs(a.frames.astype(int) - b.frames) <= 1).mean() >= 0.999


def test_known_frames_stay_and_the_rest_follows_them(onnx):
    real = world_clip(ObjectFacts("red", "circle", "moves", "right", "slowly"), seed=3).frames
    request = Request("a red circle moves slowly right on a black background", seed=1, first_frames=real[:5])
    sample = onnx.generate([request, REQUESTS[1]])[0]
    assert np.abs(sample.frames[:5].astype(int) - onnx.reconstruct(real[:5])).max() <= 1
    free = onnx.generate([replace(request, first_frames=None)])[0]
    error, without = (np.abs(s.frames[5:].astype(float) - real[5:]).mean() for s in (sample, free))
    assert error < 0.7 * without  # a free clip starts anywhere; a continued one where the given frames end
    with pytest.raises(ShapeError, match=r"first_frames has the shape \(4, 32, 32, 3\)"):
        onnx.generate([replace(request, first_frames=real[:4])])


def test_a_wrong_request_is_refused_before_anything_is_made(onnx):
    with pytest.raises(Exception, match="nearest valid: 9, 13"):
        onnx.generate([REQUESTS[0], Request("a red circle falls", num_frames=10)])
    with pytest.raises(ReferenceModelError, match="packing 'loose' is not known"):
        onnx.generate(REQUESTS, "loose")


def test_reconstruction_keeps_the_clip(onnx):
    frames = world_clip(ObjectFacts("red", "circle", "falls")).frames
    error = np.square(onnx.reconstruct(frames).astype(float) - frames).mean()
    assert 10 * np.log10(255**2 / error) > 24  # dB; the measured figure is in docs/reference_model.md


def test_torch_threads_are_left_alone():
    before = torch.get_num_threads()
    Pipeline.load("base", "onnx")
    assert torch.get_num_threads() == before


def test_the_page_is_written_from_what_was_measured():
    found = json.loads((ROOT / "docs/reference_model.json").read_text())
    assert page(found) == (ROOT / "docs/reference_model.md").read_text()


def test_guidance_acts_between_its_times_only(onnx):
    def made(times, scale, guide=None):
        pipeline = Pipeline(onnx.backend, guide=guide)
        pipeline.config = replace(onnx.config, sampling=replace(onnx.config.sampling, guidance_times=times))
        return pipeline.generate([replace(REQUESTS[0], guidance_scale=scale), REQUESTS[2]])

    plain, guided = made((0.0, 1.0), 1.0), made((0.0, 1.0), 3.0)
    never = made((0.5, 0.5), 3.0)  # none of the six steps is at this time
    assert np.array_equal(never[0].frames, plain[0].frames)
    part = made((0.0, 0.9), 3.0)
    assert not np.array_equal(part[0].frames, plain[0].frames)
    assert not np.array_equal(part[0].frames, guided[0].frames)
    for a, b in ((part, plain), (guided, plain)):  # what asks for no guidance is not touched
        assert np.abs(a[1].frames.astype(int) - b[1].frames).max() <= 1


def test_a_guide_leads_away_from_itself(onnx):
    guide = load_backend("early", "onnx")
    itself, early = (Pipeline(onnx.backend, guide=g).generate(REQUESTS[:1]) for g in (onnx.backend, guide))
    plain = onnx.generate([replace(REQUESTS[0], guidance_scale=1.0)])
    assert np.abs(itself[0].frames.astype(int) - plain[0].frames).max() <= 1
    assert not np.array_equal(early[0].frames, plain[0].frames)
