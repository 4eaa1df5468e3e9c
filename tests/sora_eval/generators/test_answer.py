"""What a user's code may return, and that two readings are refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from sora_eval.generators.answer import clip_from
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import ClipError
from sora_eval.video.codec import write_clip

REQUEST = Request("a", 16, 8, 5, 8.0, 0)
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 8, 16, 3), np.uint8)
FLOATS = (FRAMES / 255).astype(np.float32)

READABLE = {
    "thwc": FRAMES,
    "tchw": FRAMES.transpose(0, 3, 1, 2),
    "cthw": FRAMES.transpose(3, 0, 1, 2),
    "floats": FLOATS,
    "signed floats": FLOATS * 2 - 1,
    "tensor": torch.tensor(FRAMES.transpose(0, 3, 1, 2).copy()),
    "tensor of floats": torch.tensor(FLOATS.transpose(3, 0, 1, 2).copy(), requires_grad=True),
    "pictures": [Image.fromarray(frame) for frame in FRAMES],
    "list of arrays": list(FRAMES),
    "list of tensors": [torch.tensor(frame) for frame in FLOATS],
    "clip": Clip(FRAMES, 8.0),
    "table": {"frames": FRAMES},
    "table of a tensor": {"video": torch.tensor(FLOATS), "fps": 8},
}


@pytest.mark.parametrize("name", READABLE)
def test_every_order_of_axes_and_type_gives_the_same_frames(name):
    clip = clip_from(READABLE[name], REQUEST)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert clip.fps == 8.0


def test_half_precision_is_read_to_its_rounding():
    clip = clip_from(torch.tensor(FLOATS, dtype=torch.bfloat16), REQUEST)
    assert np.abs(clip.frames.astype(int) - FRAMES).max() <= 1


def test_a_table_and_a_file_have_their_own_rate(tmp_path):
    assert clip_from({"frames": FRAMES, "fps": 24}, REQUEST).fps == 24
    write_clip(Clip(FRAMES, 24.0), tmp_path / "clip.mkv")
    clip = clip_from(str(tmp_path / "clip.mkv"), REQUEST)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert clip.fps == 24


REFUSED = {
    "two sizes": ([Image.new("RGB", (16, 8)), Image.new("RGB", (8, 8))], r"the shapes \(8, 8, 3\) and \(8, 16, 3\)"),
    "words": (["a", "b"], "a list of str; expected pictures"),
    "another key": ({"pixels": FRAMES, "rate": 8, "more": FRAMES}, "it holds pixels, rate, more; expected one of frames"),
    "floats of bytes": (FLOATS * 255, "its floats go from 0 to 255"),
    "nan": (FLOATS * np.nan, "NaN"),
    "three axes": (FRAMES[0], r"its shape is \(8, 16, 3\)"),
    "integers": (FRAMES.astype(np.int64), "int64"),
    "no file": ("nowhere.mp4", "nowhere.mp4"),
    "nothing": (None, "frames are a NoneType"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_answers_are_refused(name):
    answer, message = REFUSED[name]
    with pytest.raises(ClipError, match=message):
        clip_from(answer, REQUEST)


def test_three_frames_before_three_channels_are_two_readings_unless_the_size_tells():
    request = Request("a", 16, 8, 3, 8.0, 0)
    with pytest.raises(ClipError, match=r"\(T, C, H, W\) or \(C, T, H, W\); return a Clip"):
        clip_from(np.zeros((3, 3, 8, 16), np.uint8), request)
    with pytest.raises(ClipError, match=r"\(T, C, H, W\) or \(C, T, H, W\)"):
        clip_from(np.zeros((3, 3, 8, 16), np.uint8), REQUEST)
    narrow = np.random.default_rng(0).integers(0, 256, (3, 5, 8, 3), np.uint8)  # (C, T, H, W) of 3 px width, or (T, H, W, C)
    assert np.array_equal(clip_from(narrow, Request("a", 3, 8, 5, 8.0, 0)).frames, narrow.transpose(1, 2, 3, 0))
    assert np.array_equal(clip_from(narrow, Request("a", 8, 5, 3, 8.0, 0)).frames, narrow)
