"""A pipeline of diffusers as a generator, on one of random weights that is made here."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from docs.pages.ltx_peer import save_ltx
from sora_eval.generators.diffusers.families import NEEDS, family_of, lengths_of, multiple_of
from sora_eval.generators.diffusers.options import NAMES, PipelineOptions, read_options
from sora_eval.generators.opening import open_generator, read_spec
from sora_eval.generators.shapes import shape_problems
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny LTX-Video."""
    path = tmp_path_factory.mktemp("ltx")
    save_ltx(path, width=16, depth=1, heads=2)
    return path


def request(seed, **changes):
    return replace(Request("a red circle falls", 32, 32, 9, 8.0, seed, 2), **changes)


def frames(generator, *requests):
    return [clip.frames for clip in generator.generate(requests)]


def test_a_pipeline_answers_with_the_shape_and_seed_that_were_asked_for(folder):
    generator = open_generator(f"diffusers:{folder}")
    a, again, other = (generator.generate([request(seed)])[0].frames for seed in (0, 0, 1))
    assert a.shape == (9, 32, 32, 3)
    assert a.dtype == np.uint8
    assert np.array_equal(a, again)
    assert not np.array_equal(a, other)
    assert generator.where["provider"] == "torch eager"
    assert generator.fingerprint() == open_generator(f"diffusers:{folder}").fingerprint()


def test_several_prompts_are_one_call_and_each_clip_is_of_its_own_prompt_and_seed(folder, monkeypatch):
    generator = open_generator(f"diffusers:{folder}?batch=4")
    assert generator.batch == 4
    calls = []
    call = generator._pipeline.__class__.__call__
    monkeypatch.setattr(generator._pipeline.__class__, "__call__", lambda self, **k: calls.append(k) or call(self, **k))
    asked = [
        request(0),
        request(1),
        request(0, prompt="a circle"),
        request(0, num_frames=5),
        request(0, options={"shift": 2.0}),
    ]
    together = frames(generator, *asked)
    assert [np.size(k["prompt"]) for k in calls] == [3, 1, 1]
    for clip, r in zip(together, asked, strict=True):
        (alone,) = frames(generator, r)
        assert np.abs(clip.astype(int) - alone).max() <= 1  # rounding


def test_rate_and_negative_prompt_and_the_pipelines_own_keywords_reach_the_call(folder):
    generator = open_generator(f"diffusers:{folder}")
    guided = request(0, guidance_scale=5.0, prompt="a red circle")
    (plain,) = frames(generator, guided)
    for changed in ({"fps": 24.0}, {"negative_prompt": "black background"}, {"options": {"guidance_rescale": 0.9}}):
        assert not np.array_equal(plain, frames(generator, replace(guided, **changed))[0]), changed
    assert generator.generate([request(0, fps=24.0)])[0].fps == 24.0


def test_settings_of_the_scheduler_hold_for_their_request_alone(folder):
    generator = open_generator(f"diffusers:{folder}")
    (plain,) = frames(generator, request(0))
    (shifted,) = frames(generator, request(0, options={"shift": 9.0}))
    assert not np.array_equal(plain, shifted)
    assert np.array_equal(plain, frames(generator, request(0))[0])
    spec = open_generator(f"diffusers:{folder}?shift=9.0")
    assert np.array_equal(shifted, frames(spec, request(0))[0])
    assert spec.fingerprint() != generator.fingerprint()
    assert spec.where["shift"] == 9.0


def test_another_scheduler_and_precision_are_other_generators(folder):
    plain = open_generator(f"diffusers:{folder}")
    euler = open_generator(f"diffusers:{folder}?scheduler=FlowMatchHeunDiscreteScheduler")
    half = open_generator(f"diffusers:{folder}?dtype=bf16&vae_dtype=fp32")
    assert len({plain.fingerprint(), euler.fingerprint(), half.fingerprint()}) == 3
    assert next(half._pipeline.transformer.parameters()).dtype == torch.bfloat16
    assert next(half._pipeline.vae.parameters()).dtype == torch.float32


def test_stages_of_a_call_add_up_and_the_pipeline_is_left_as_it_was(folder):
    generator = open_generator(f"diffusers:{folder}")
    started = time.perf_counter()
    seconds = generator.generate([request(0)])[0].seconds
    whole = time.perf_counter() - started
    assert set(seconds) == {"text", "denoise", "denoise_step", "decode"}
    assert all(value > 0 for value in seconds.values())
    assert seconds["denoise_step"] == pytest.approx(seconds["denoise"] / 2)
    assert seconds["text"] + seconds["denoise"] + seconds["decode"] <= whole
    assert "encode_prompt" not in vars(generator._pipeline)


def test_the_library_prints_nothing(folder, capfd):
    generator = open_generator(f"diffusers:{folder}")
    generator.generate([request(0)])
    assert capfd.readouterr() == ("", "")


def test_what_it_can_make_and_reads_is_stated(folder):
    made = open_generator(f"diffusers:{folder}").capabilities
    assert (made.side, made.stride, made.fps, made.first_frames) == (32, 4, None, (0, 0))
    assert {"num_inference_steps", "guidance_scale", "negative_prompt", "decode_timestep", "shift"} <= set(made.settings)
    assert not {"prompt", "height", "num_frames", "frame_rate", "generator", "latents"} & set(made.settings)
    assert open_generator(f"diffusers:{folder}?fps=24").capabilities.fps == 24.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("dtype=int3", "dtype=int3; expected one of float32"),
        ("batch=0", "batch=0; expected a whole number from 1"),
        ("fps=fast", "fps=fast; expected a number"),
        ("device=tpu", "device=tpu; expected one of cpu, cuda, mps"),
        ("offload=disk", "offload=disk; expected model or sequential"),
        ("compile=yes", "compile=yes; expected true or false"),
        ("offload=model&device_map=balanced", "give one of them"),
    ],
)
def test_values_of_options_are_checked_before_anything_is_opened(options, message):
    with pytest.raises(GeneratorError, match=message):
        read_spec(f"diffusers:nowhere?{options}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("guidance_scal=3", "'guidance_scal' is no option, and LTXPipeline takes none; did you mean 'guidance_scale'?"),
        ("num_videos_per_prompt=2", "clips of one prompt are the seeds of .axes.; say batch=N"),
        ("scheduler=EulerSchedule", "scheduler=EulerSchedule is no scheduler of diffusers; did you mean"),
        ("offload=model", "offload=model moves weights to a GPU and back"),
        ("lora=nowhere", "cannot be opened .lora."),
    ],
)
def test_what_a_pipeline_does_not_take_is_refused_when_it_is_opened(folder, options, message):
    with pytest.raises(GeneratorError, match=message):
        open_generator(f"diffusers:{folder}?{options}")


def test_what_cannot_be_opened_says_why(folder, tmp_path):
    with pytest.raises(GeneratorError, match="is neither a folder nor a name on the hub"):
        open_generator(f"diffusers:{tmp_path / 'none'}")
    with pytest.raises(GeneratorError, match="cannot be opened"):
        open_generator(f"diffusers:{tmp_path}")
    with pytest.raises(GeneratorError, match="needs a folder or the name"):
        open_generator("diffusers")
    (tmp_path / "model_index.json").write_text('{"_class_name": "WanVideoToVideoPipeline"}')
    with pytest.raises(GeneratorError, match="WanVideoToVideoPipeline needs a video to change, which a suite does not give"):
        open_generator(f"diffusers:{tmp_path}")


def test_options_and_their_record_are_one_list():
    options = dict.fromkeys(("variant", "revision", "scheduler", "lora", "attention"), "x") | {
        "device": "cuda:1",
        "tiling": "true",
    }
    read = read_options("m", {**options, "true_cfg_scale": "4", "sigmas": "[1, 0.5]"})
    assert set(options) <= set(NAMES)
    assert read == PipelineOptions(
        device="cuda:1",
        variant="x",
        revision="x",
        scheduler="x",
        lora="x",
        attention="x",
        tiling=True,
        keywords={"true_cfg_scale": 4, "sigmas": [1, 0.5]},
    )


class Stub:
    """The attributes of a pipeline, by which its rule is read."""

    def __init__(self, **values):
        vars(self).update(values)


def config(**values):
    return Stub(config=Stub(**values))


def latents(spatial, temporal, **transformer):
    return Stub(vae_scale_factor_spatial=spatial, vae_scale_factor_temporal=temporal, transformer=config(**transformer))


MOCHI = Stub(vae_spatial_scale_factor=8, vae_temporal_scale_factor=6, patch_size=2, transformer=None)
RULES = {  # class, its attributes, the multiple, offset and stride, from the checks and the rounding in diffusers' sources
    "WanPipeline": (latents(8, 4, patch_size=(1, 2, 2)), 16, (1, 4)),
    "WanImageToVideoPipeline": (latents(16, 4, patch_size=(1, 2, 2)), 32, (1, 4)),
    "HunyuanVideoPipeline": (latents(8, 4, patch_size=2), 16, (1, 4)),
    "LTX2Pipeline": (latents(32, 8), 32, (1, 8)),
    "CogVideoXPipeline": (latents(8, 4, patch_size=2), 16, (1, 8)),
    "MochiPipeline": (MOCHI, 16, (1, 6)),
    "AllegroPipeline": (Stub(vae=Stub(kernel=(24, 320, 320), stride=(16, 200, 240)), transformer=None), 16, (24, 16)),
    "AnimateDiffPipeline": (Stub(motion_adapter=config(motion_max_seq_length=32), vae_scale_factor=8), 8, (1, 1)),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_of_well_known_classes(name):
    pipeline, multiple, steps = RULES[name]
    family = family_of(name)
    assert family.known
    assert multiple_of(pipeline, family) == multiple
    assert lengths_of(pipeline, family, {})[:2] == steps


def test_a_length_or_size_that_would_be_lost_is_named_with_the_nearest(folder):
    made = open_generator(f"diffusers:{folder}").capabilities
    assert list(shape_problems([(40, 32, 10)], made)) == [
        "width = 40 is not a multiple of 32; nearest valid: 32, 64",
        "frames = 10 is not 1 + a multiple of 4; nearest valid: 9, 13",
    ]


def test_every_class_that_a_suite_cannot_drive_is_one_of_the_library():
    import diffusers

    assert all(hasattr(diffusers, name) for name in NEEDS)
