"""The tiny pipelines of the page on generators: whole, small, and opened by diffusers alone."""

import inspect

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from docs.pages.tiny_pipelines import CLASSES
from sora_eval.generators.diffusers.families import LENGTH_WORDS, NEEDS

TEXT = (
    "WanPipeline",
    "LTX2Pipeline",
    "CogVideoXPipeline",
    "HunyuanVideoPipeline",
    "Kandinsky5T2VPipeline",
    "AnimateDiffPipeline",
)
IMAGE = ("WanImageToVideoPipeline", "HunyuanSkyreelsImageToVideoPipeline", "PIAPipeline")


def frames(pipeline, prompt, **keywords):
    generator = torch.Generator().manual_seed(0)
    size = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 2}
    return pipeline(prompt=prompt, generator=generator, output_type="np", **size, **keywords).frames


@pytest.mark.parametrize("name", TEXT + IMAGE)
def test_a_tiny_pipeline_is_small_and_draws_its_prompt(name, tmp_path):
    CLASSES[name](tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2e6
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tmp_path)
    assert type(pipeline).__name__ == name
    pipeline.set_progress_bar_config(disable=True)
    image = {"image": Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))} if name in IMAGE else {}
    a, b = (frames(pipeline, prompt, **image) for prompt in ("a red circle falls", "blue sky over the sea"))
    assert a.shape == (1, 9, 32, 32, 3)
    assert np.abs(a - b).max() > 1e-4


def test_weights_are_the_same_every_time(tmp_path):
    for folder in ("a", "b"):
        CLASSES["WanPipeline"](tmp_path / folder)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_every_class_of_the_library_that_makes_video_is_built_or_needs_what_a_suite_does_not_give():
    made = set()
    for name in dir(diffusers):
        if name.endswith("Pipeline") and not name.endswith("ModularPipeline"):
            parameters = inspect.signature(getattr(diffusers, name).__call__).parameters
            if "prompt" in parameters and any(word in parameters for word in LENGTH_WORDS):
                made.add(name)
    assert len(made) > 60
    assert made - set(CLASSES) <= set(NEEDS)
    assert not set(CLASSES) & set(NEEDS)
