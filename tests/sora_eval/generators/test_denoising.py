"""The loss of a clip under a pipeline's denoiser: schedulers' own formulas, closed forms, and the pipeline's own decoding."""

import diffusers
import numpy as np
import pytest
import torch

from docs.pages.generators import smallest
from docs.pages.tiny_pipelines import CLASSES
from sora_eval.generators.diffusers.denoising import probed, unguided
from sora_eval.generators.diffusers.latents import LATENTS, encoded, latents_rule
from sora_eval.generators.diffusers.noising import noise_levels
from sora_eval.generators.diffusers.opening import quiet
from sora_eval.generators.opening import open_generator
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.studies.law_preference import law_preference
from sora_eval.suite import load_suite
from sora_eval.util.errors import GeneratorError, Undefined

TIMES = (0.3, 0.8)
FLOWS = {
    "euler": diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    "dpm": diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
}
VARIANCE_PRESERVING = {
    "ddim": diffusers.DDIMScheduler(clip_sample=False),
    "ddpm of velocities": diffusers.DDPMScheduler(prediction_type="v_prediction", clip_sample=False),
    "cogvideox": diffusers.CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    "ddim of clean latents": diffusers.DDIMScheduler(prediction_type="sample", clip_sample=False),
}


def noise_and_clean(shape=(2, 3, 4, 5)):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)


@pytest.mark.parametrize("name", FLOWS)
def test_levels_of_a_flow_are_the_schedulers_own(name):
    scheduler, (noise, clean) = FLOWS[name], noise_and_clean()
    for share, level in zip(TIMES, noise_levels(scheduler, TIMES), strict=True):
        assert level.timestep == pytest.approx(1000 * share)
        noisy, target = level.noisy(clean, noise), level.target(clean, noise)
        torch.testing.assert_close(noisy, (1 - share) * clean + share * noise)
        if name == "euler":
            plain = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
            plain.set_timesteps(sigmas=[share])
            assert plain.timesteps[0] == pytest.approx(float(level.timestep))
            torch.testing.assert_close(plain.scale_noise(clean, plain.timesteps[:1], noise), noisy)
            torch.testing.assert_close(plain.step(target, plain.timesteps[0], noisy).prev_sample, clean, rtol=0, atol=1e-5)
        else:
            scheduler.sigmas, scheduler._step_index = torch.tensor([share, 0.0]), 0
            torch.testing.assert_close(scheduler.convert_model_output(target, sample=noisy), clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
def test_levels_of_a_table_are_the_schedulers_own(name):
    scheduler, (noise, clean) = VARIANCE_PRESERVING[name], noise_and_clean()
    scheduler.set_timesteps(1000)
    for share, level in zip(TIMES, noise_levels(scheduler, TIMES), strict=True):
        assert level.sigma / (level.alpha + level.sigma) == pytest.approx(share, abs=2e-3)
        noisy, target = level.noisy(clean, noise), level.target(clean, noise)
        torch.testing.assert_close(scheduler.add_noise(clean, noise, level.timestep[None]), noisy)
        if scheduler.config.prediction_type == "v_prediction":
            torch.testing.assert_close(scheduler.get_velocity(clean, noise, level.timestep[None]), target)
        recovered = scheduler.step(target, int(level.timestep), noisy).pred_original_sample
        torch.testing.assert_close(recovered, clean, rtol=0, atol=1e-4)


def test_a_flow_that_runs_the_other_way_is_of_the_same_noise():
    noise, clean = noise_and_clean()
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    (level,) = noise_levels(scheduler, [0.8])
    scheduler.set_timesteps(sigmas=[0.8])
    assert float(level.timestep) == pytest.approx(float(scheduler.timesteps[0]))
    step = scheduler.step(level.target(clean, noise), scheduler.timesteps[0], level.noisy(clean, noise))
    torch.testing.assert_close(step.prev_sample, clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "scheduler", [diffusers.EDMEulerScheduler(), diffusers.EulerDiscreteScheduler(timestep_type="continuous")]
)
def test_other_schedulers_are_refused(scheduler):
    with pytest.raises(Undefined, match="is neither of a rectified flow nor of a table of alphas"):
        noise_levels(scheduler, TIMES)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Tiny pipelines by name, made and opened once; further options follow a question mark."""
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def open_(spec):
        name, _, options = spec.partition("?")
        if not (root / name).is_dir():
            with quiet():
                CLASSES[name](root / name)
        if spec not in made:
            made[spec] = open_generator(f"diffusers:{root / name}?{options}".rstrip("?"))
        return made[spec]

    return open_


def clips_of(generator, number=2):
    width, height, lengths = smallest("", generator.capabilities)
    rng = np.random.default_rng(3)
    return [Clip(rng.integers(0, 256, (lengths[-1], height, width, 3), np.uint8), 8.0) for _ in range(number)]


def targets(generator, clips, seed):
    """Noisy latents' levels, clean latents and noise, made here as the documentation says."""
    pipeline = generator._pipeline
    levels = noise_levels(pipeline.scheduler, TIMES)
    with torch.no_grad():
        clean = encoded(pipeline, latents_rule(pipeline), np.stack([c.frames for c in clips]), "cpu")
    shape = clean[:1].shape
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1000 * i)) for i in range(len(levels))]
    return levels, clean, noise


@pytest.mark.parametrize("name", LATENTS)
def test_each_class_decodes_the_latents_as_its_vae_does_and_a_blind_denoiser_has_the_loss_of_its_targets(name, opened):
    generator = opened(f"{name}?vae_dtype=fp32")  # an own copy, which is changed
    pipeline, clips = generator._pipeline, clips_of(generator)[:1]
    if name == "LTXPipeline":  # the buffers of a new one are 0 and 1
        pipeline.vae.latents_mean.fill_(0.2)
        pipeline.vae.latents_std.fill_(1.7)
    levels, clean, noise = targets(generator, clips, 5)
    denoiser = getattr(pipeline, "transformer", None) or pipeline.unet

    def nothing(module, arguments, output):
        if isinstance(output, tuple):
            return tuple(torch.zeros_like(o) for o in output)
        output.sample = torch.zeros_like(output.sample)
        return output

    hook = denoiser.register_forward_hook(nothing)
    try:
        losses = generator.denoising_losses(clips, ["a red circle falls"], TIMES, 5)
        asked = Request("a red circle", clips[0].width, clips[0].height, clips[0].num_frames, 8.0, 0)
        keywords = unguided(pipeline, generator._keywords([asked]), len(levels)) | {"output_type": "pt"}
        keywords |= {"decode_timestep": 0.0} if name == "LTXPipeline" else {}
        with quiet(), torch.no_grad(), probed(pipeline, levels, clean, noise, latents_rule(pipeline)):
            video = pipeline(**keywords)
    finally:
        hook.remove()
    expected = [float(level.target(clean, e).double().square().mean()) for level, e in zip(levels, noise, strict=True)]
    np.testing.assert_allclose(losses[0], expected, rtol=1e-6)

    frames = next(v for v in (getattr(video, k, None) for k in ("frames", "video", "images")) if v is not None)
    pixels = torch.from_numpy(np.stack([c.frames for c in clips])).movedim(-1, 1).float() / 127.5 - 1
    rule = latents_rule(pipeline)
    with torch.no_grad():
        if rule.by_frame:
            decoded = pipeline.vae.decode(pipeline.vae.encode(pixels[0].movedim(1, 0)).latent_dist.mode()).sample[None]
        else:
            further = (None,) if name == "LTXPipeline" else ()
            decoded = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mode(), *further).sample.movedim(1, 2)
    np.testing.assert_allclose(np.asarray(frames), (decoded / 2 + 0.5).clamp(0, 1).numpy(), atol=1e-4)


EXACT = ("WanPipeline", "TextToVideoSDPipeline", "TextToVideoSDPipeline?prediction_type=v_prediction", "CogVideoXPipeline")


@pytest.mark.parametrize("spec", EXACT)
def test_a_denoiser_that_is_right_about_the_clip_has_no_loss(spec, opened):
    generator = opened(spec)
    pipeline, clips = generator._pipeline, clips_of(generator)[:1]
    generator._keywords([Request("x", clips[0].width, clips[0].height, clips[0].num_frames, 8.0, 0)])  # as a call sets it
    levels, clean, _ = targets(generator, clips, 5)
    latents = clean.movedim(2, 1) if spec == "CogVideoXPipeline" else clean

    def right(module, arguments, keywords, output):
        noisy = keywords["hidden_states"] if "hidden_states" in keywords else arguments[0]
        time = keywords["timestep"] if "timestep" in keywords else arguments[1]
        level = next(level for level in levels if torch.allclose(level.timestep.double(), time.reshape(-1)[0].double()))
        return (level.target(latents, (noisy - level.alpha * latents) / level.sigma),)

    denoiser = getattr(pipeline, "transformer", None) or pipeline.unet
    hook = denoiser.register_forward_hook(right, with_kwargs=True)
    try:
        losses = generator.denoising_losses(clips, ["a red circle falls"], TIMES, 5)
    finally:
        hook.remove()
    assert losses.shape == (1, 2)
    assert losses.max() < 1e-9


@pytest.mark.parametrize("name", ["LTXPipeline", "AnimateDiffPipeline", "HunyuanVideo15Pipeline"])
def test_the_loss_depends_on_clip_prompt_time_and_seed_and_not_on_the_batch(name, opened):
    generator, together = opened(name), opened(f"{name}?batch=3") if name != "HunyuanVideo15Pipeline" else opened(name)
    a, b = clips_of(generator)
    width, frames = 2 * a.width, a.frames.repeat(2, axis=2)
    clips, prompts = [a, Clip(frames, 8.0), b, a], ["a red circle falls", "x", "", "blue sky over the sea"]
    scheduler, components = generator._pipeline.scheduler, generator.fingerprint()
    alone = np.concatenate([generator.denoising_losses([c], [p], TIMES, 1) for c, p in zip(clips, prompts, strict=True)])
    np.testing.assert_allclose(together.denoising_losses(clips, prompts, TIMES, 1), alone, rtol=1e-5)
    assert clips[1].width == width
    assert np.array_equal(generator.denoising_losses([a], [prompts[0]], TIMES, 1)[0], alone[0])
    assert not np.allclose(alone[0], alone[3], rtol=1e-6)
    assert not np.allclose(alone[0], alone[2], rtol=1e-6)
    assert not np.allclose(generator.denoising_losses([a], [prompts[0]], TIMES, 2)[0], alone[0], rtol=1e-6)
    assert generator._pipeline.scheduler is scheduler
    assert generator.fingerprint() == components
    assert len(generator.generate([Request("x", a.width, a.height, a.num_frames, 8.0, 0, 2)])) == 1


def test_what_has_no_rule_or_another_shape_is_one_message(opened):
    vace = opened("WanVACEPipeline")
    with pytest.raises(
        Undefined, match="WanVACEPipeline cannot be asked for the loss of a clip; of diffusers' classes these can"
    ):
        vace.denoising_losses(clips_of(vace), ["x", "y"], TIMES, 1)
    ltx = opened("LTXPipeline")
    with pytest.raises(GeneratorError, match=r"width = 40 is not a multiple of 32; nearest valid: 32, 64"):
        ltx.denoising_losses([Clip(np.zeros((9, 32, 40, 3), np.uint8), 8.0)], ["x"], TIMES, 1)


def test_laws_are_asked_of_a_pipeline(opened):
    ltx = opened("LTXPipeline")
    preferences = law_preference(load_suite("world", ['axes.shapes=["32x32"]']), [f"diffusers:{ltx.checkpoint}"], limit=2)
    assert [len(p.margins) for p in preferences][:2] == [2, 2]
    assert all(np.isfinite(margin) for p in preferences for margin in p.margins.values())
