"""Arrays are clips in every order of axes that the shape tells, and are refused where it does not."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.formats.tensors import read_tensor
from sora_eval.util.errors import ClipError
from sora_eval.video.arrays import frames_of, may_be_clip, read_array

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
ORDERS = {"THWC": (0, 1, 2, 3), "TCHW": (0, 3, 1, 2), "CTHW": (3, 0, 1, 2)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch", [False, True])
def test_every_order_of_axes_gives_the_same_frames(order: str, batch: bool) -> None:
    array = FRAMES.transpose(ORDERS[order])
    assert (frames_of(array[None] if batch else array)[0] == FRAMES).all()
    grey = FRAMES[..., :1]
    assert (frames_of(grey.transpose(ORDERS[order]))[0] == grey.repeat(3, -1)).all()


@given(st.sampled_from([np.float16, np.float32, np.float64]), st.booleans())
def test_floats_of_0_to_1_and_of_minus_1_to_1_are_bytes(dtype: npt.DTypeLike, signed: bool) -> None:
    unit = FRAMES / 255
    frames, notes = frames_of((unit * 2 - 1 if signed else unit).astype(dtype))
    assert np.abs(frames.astype(int) - FRAMES).max() <= (dtype == np.float16)
    assert notes == (f"its floats are taken as of {'-1' if signed else '0'} to 1",)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 3, 8, 6), np.uint8), r"is \(T, C, H, W\) or \(C, T, H, W\)"),
        (np.zeros((3, 8, 6, 3), np.uint8), r"is \(T, H, W, C\) or \(C, T, H, W\)"),
        (np.zeros((5, 8, 6, 4), np.uint8), "has no axis of 1 or 3 channels"),
        (np.zeros((2, 5, 8, 6, 3), np.uint8), "a batch of clips is one file per clip"),
        (np.zeros((8, 6, 3), np.uint8), r"its shape is \(8, 6, 3\)"),
        (np.zeros((0, 8, 6, 3), np.uint8), "none of them 0"),
        (np.full((5, 8, 6, 3), 255.0), "its floats go from 255 to 255; expected 0 to 1, or -1 to 1"),
        (np.full((5, 8, 6, 3), np.nan), "NaN or infinite"),
        (np.zeros((5, 8, 6, 3), np.int64), "it is of int64; expected uint8"),
        (np.zeros((5, 8, 6, 3), bool), "it is of bool; expected uint8"),
    ],
)
def test_what_has_several_readings_or_none_is_refused(array: npt.NDArray[np.generic], message: str) -> None:
    with pytest.raises(ClipError, match=message):
        frames_of(array)


def test_files_of_arrays_have_the_rate_that_they_say(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES)
    np.savez(tmp_path / "b.npz", frames=FRAMES, fps=24)
    np.savez(tmp_path / "c.npz", clip=FRAMES)
    torch.save(torch.from_numpy(FRAMES.copy()), tmp_path / "d.pt")
    torch.save({"video": torch.from_numpy(FRAMES / 255).bfloat16(), "fps": 16}, tmp_path / "e.pt")
    clips = [read_array(tmp_path / name, 12.0) for name in ("a.npy", "b.npz", "c.npz")]
    clips += [read_tensor(tmp_path / name, 12.0) for name in ("d.pt", "e.pt")]
    assert [c.fps for c in clips] == [12.0, 24.0, 12.0, 12.0, 16.0]
    assert all((c.frames == FRAMES).all() for c in clips[:4])
    assert np.abs(clips[4].frames.astype(int) - FRAMES).max() <= 1
    assert read_array(tmp_path / "a.npy").notes == ("it says no rate; 8 fps is taken",)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    torch.save({"frames": Harm()}, tmp_path / "a.pt")
    np.save(tmp_path / "b.npy", np.array([Harm()], object), allow_pickle=True)
    with pytest.raises(ClipError, match=r"a\.pt cannot be read as tensors alone"):
        read_tensor(tmp_path / "a.pt")
    with pytest.raises(ClipError, match=r"b\.npy cannot be read as an array"):
        read_array(tmp_path / "b.npy")
    assert not (tmp_path / "harm").exists()


def test_arrays_that_hold_no_frames_are_no_clips(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.zeros((5, 768)))
    np.savez(tmp_path / "features.npz", a=np.zeros((5, 768)), b=np.zeros(3))
    np.savez(tmp_path / "clip.npz", a=FRAMES, fps=8)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    names = ("features.npy", "features.npz", "clip.npz", "broken.npy")
    assert [may_be_clip(tmp_path / n) for n in names] == [False, False, True, True]
    np.savez(tmp_path / "two.npz", a=FRAMES, b=FRAMES)
    with pytest.raises(ClipError, match=r"two\.npz: it holds a, b; expected one of frames, video"):
        read_array(tmp_path / "two.npz")
    with pytest.raises(ClipError, match=r"broken\.npy cannot be read as an array"):
        read_array(tmp_path / "broken.npy")
