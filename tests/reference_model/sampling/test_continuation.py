"""Longer clips: each window goes on from the one before, and what fits a window is as without."""

from dataclasses import replace

import numpy as np
import pytest

from reference_model.packing.shapes import ShapeError
from reference_model.sampling.continuation import generate_in_windows, known_frames
from reference_model.sampling.pipeline import Pipeline, Request
from sora_eval.generators.opening import open_generator
from sora_eval.util.errors import GeneratorError

SHORT = Request("a red circle moves right", 24, 24, 5, seed=3, num_inference_steps=2)
LONG = Request("a blue square falls", 24, 24, 21, seed=4, num_inference_steps=2)


@pytest.fixture(scope="module")
def base():
    return Pipeline.load("base")


@pytest.mark.parametrize("window", [5, 9, 13])
def test_windows_go_on_from_each_other_and_a_clip_that_fits_is_as_without(base, window):
    short, long = generate_in_windows(base, [SHORT, LONG], window)
    assert np.array_equal(short.frames, base.generate([SHORT])[0].frames)
    assert long.frames.shape == (21, 24, 24, 3)
    first = base.generate([replace(LONG, num_frames=window)])[0]
    assert np.abs(long.frames[:window].astype(int) - first.frames).max() <= 1  # the packs are others, and their rounding
    known = known_frames(window)
    part = replace(LONG, num_frames=window, seed=LONG.seed + (1 << 32), first_frames=long.frames[window - known : window])
    second = base.generate([part])[0].frames[known:]
    new = long.frames[window:][: len(second)]
    assert (np.abs(new.astype(int) - second[: len(new)]) <= 1).mean() >= 0.99


def test_given_first_frames_stay_and_a_window_that_they_fill_is_longer(base):
    given = generate_in_windows(base, [LONG], 9)[0].frames[:9]
    frames = generate_in_windows(base, [replace(LONG, first_frames=given)], 9)[0].frames
    assert frames.shape == (21, 24, 24, 3)
    assert np.abs(frames[:9].astype(int) - given).mean() < 12  # through the VAE


@pytest.mark.parametrize("window", [0, 1, 6, 16])
def test_a_window_that_cannot_be_is_an_error(base, window):
    with pytest.raises(ShapeError, match=r"expected 1 \+ a multiple of 4, at least 5"):
        generate_in_windows(base, [LONG], window)
    with pytest.raises(GeneratorError, match="window"):
        open_generator(f"reference:base?window={window}")
