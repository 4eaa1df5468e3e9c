"""A pipeline of diffusers as a generator, on one of random weights that is made here."""

import time

import numpy as np
import pytest

from docs.pages.ltx_peer import save_ltx
from sora_eval.generators.opening import open_generator
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny LTX-Video."""
    path = tmp_path_factory.mktemp("ltx")
    save_ltx(path, width=16, depth=1, heads=2)
    return path


def request(seed):
    return Request("a red circle falls", 32, 32, 9, 8.0, seed, 2)


def test_a_pipeline_answers_with_the_shape_and_seed_that_were_asked_for(folder):
    generator = open_generator(f"diffusers:{folder}")
    a, again, other = (generator.generate([request(seed)])[0].frames for seed in (0, 0, 1))
    assert a.shape == (9, 32, 32, 3)
    assert a.dtype == np.uint8
    assert np.array_equal(a, again)
    assert not np.array_equal(a, other)
    assert generator.where["provider"] == "torch eager"
    assert generator.fingerprint() == open_generator(f"diffusers:{folder}").fingerprint()


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


def test_what_cannot_be_opened_says_why(folder, tmp_path):
    with pytest.raises(GeneratorError, match="cannot be opened"):
        open_generator(f"diffusers:{tmp_path / 'none'}")
    with pytest.raises(GeneratorError, match="dtype=int3 is not one of"):
        open_generator(f"diffusers:{folder}?dtype=int3")
