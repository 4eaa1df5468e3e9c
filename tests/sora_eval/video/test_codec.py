"""Clips survive their files, and what is no clip says so."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError
from sora_eval.video.codec import read_clip, write_clip


def encode(path, frames, fps=24, codec="libx264", **options):
    """Write an ordinary lossy video."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@settings(max_examples=15)
@given(t=st.integers(1, 6), h=st.integers(4, 40), w=st.integers(4, 40), seed=st.integers(0, 99))
def test_written_clips_come_back_bit_equal(tmp_path_factory, t, h, w, seed):
    path = tmp_path_factory.mktemp("clip") / "a.mkv"
    clip = Clip(np.random.default_rng(seed).integers(0, 256, (t, h, w, 3), dtype=np.uint8), 8.0)
    write_clip(clip, path)
    back = read_clip(path)
    assert np.array_equal(back.frames, clip.frames)
    assert back.fps == clip.fps
    assert back.sha256 == clip.sha256
    assert [p.name for p in path.parent.iterdir()] == ["a.mkv"]


def test_a_clip_too_small_for_its_codec_says_so(tmp_path):
    with pytest.raises(ClipError, match="too small to be stored"):
        write_clip(Clip(np.zeros((1, 2, 1, 3), np.uint8), 8.0), tmp_path / "a.mkv")
    assert not list(tmp_path.iterdir())


def test_the_hash_is_of_shape_and_content():
    frames = np.zeros((2, 4, 8, 3), np.uint8)
    assert Clip(frames, 8).sha256 == Clip(frames.copy(), 24).sha256
    assert Clip(frames, 8).sha256 != Clip(frames.reshape(2, 8, 4, 3), 8).sha256


def test_files_that_are_no_whole_video_are_named(tmp_path, rng):
    good = tmp_path / "good.mp4"
    encode(good, rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8), movflags="faststart")
    assert read_clip(good).num_frames == 40
    half, text = tmp_path / "half.mp4", tmp_path / "text.mp4"
    half.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    text.write_text("not a video")
    with pytest.raises(ClipError, match="damaged or cut: its box 'mdat' ends at byte"):
        read_clip(half)
    with pytest.raises(ClipError, match="cannot be decoded as a video"):
        read_clip(text)
    with pytest.raises(ClipError, match="does not exist"):
        read_clip(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([1, 2], "a list; expected a numpy array"),
        (np.full((2, 4, 4, 3), np.nan), "NaN or infinite"),
        (np.zeros((2, 4, 4, 3)), "are float64; expected uint8"),
        (np.zeros((2, 4, 4), np.uint8), r"shape \(2, 4, 4\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), "none of them 0"),
    ],
)
def test_what_is_no_clip_says_found_and_expected(frames, words):
    with pytest.raises(ClipError, match=words):
        Clip(frames, 8.0)
