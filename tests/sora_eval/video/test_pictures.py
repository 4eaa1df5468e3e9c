"""Clips that are pictures: their order, what is missing, and what is no clip."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sora_eval.util.errors import ClipError
from sora_eval.video.codec import read_clip
from sora_eval.video.pictures import ASSUMED_FPS, is_animated

GREYS = (10, 20, 30, 40)


def write(folder: Path, *numbers: int, name: str = "f{}.png", size: tuple[int, int] = (6, 4)) -> None:
    for number in numbers:
        Image.new("RGB", size, (GREYS[number % 4],) * 3).save(folder / name.format(number))


def test_frames_are_in_the_order_of_their_numbers_at_the_rate_that_is_given(tmp_path: Path) -> None:
    write(tmp_path, 8, 9, 10, 11)
    (tmp_path / "caption.txt").touch()
    clip = read_clip(tmp_path, fps=24.0)
    assert clip.frames.shape == (4, 4, 6, 3)
    assert clip.frames[:, 0, 0, 0].tolist() == [10, 20, 30, 40]
    assert (clip.fps, clip.notes) == (24.0, ())
    assumed = read_clip(tmp_path)
    assert (assumed.fps, assumed.notes) == (ASSUMED_FPS, ("it says no rate; 8 fps is taken",))


def test_every_tenth_frame_is_a_clip_and_a_gap_is_damage(tmp_path: Path) -> None:
    write(tmp_path, 0, 10, 20, 30)
    assert read_clip(tmp_path).num_frames == 4
    (tmp_path / "f10.png").unlink()
    with pytest.raises(ClipError, match=r"after the picture f0\.png comes f20\.png: frames are missing"):
        read_clip(tmp_path)
    assert read_clip(tmp_path, allow_damaged=True).notes[0].startswith("damaged: after the picture f0.png")


def test_a_fault_of_a_picture_names_it(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    write(tmp_path, 3, size=(8, 4))
    with pytest.raises(ClipError, match=r"the picture f3\.png has another size"):
        read_clip(tmp_path)
    (tmp_path / "f3.png").write_bytes((tmp_path / "f2.png").read_bytes()[:40])
    with pytest.raises(ClipError, match=r"f3\.png cannot be decoded as a picture"):
        read_clip(tmp_path)
    Image.new("I;16", (6, 4)).save(tmp_path / "f3.png")
    with pytest.raises(ClipError, match=r"f3\.png cannot be decoded as a picture: its pixels are of mode I"):
        read_clip(tmp_path)


def test_pictures_that_are_not_numbered_are_no_clip(tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2, name="other{}.png")
    with pytest.raises(ClipError, match="expected at least two pictures"):
        read_clip(tmp_path)


def test_an_animated_webp_is_a_clip_at_its_rate(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (6, 4), (grey, grey, grey, 255)) for grey in GREYS]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=[100, 100, 300, 100], lossless=True)
    clip = read_clip(tmp_path / "a.webp")
    assert clip.fps == pytest.approx(10)
    assert clip.frames[:, 0, 0, 0].tolist() == [10, 20, 30, 30, 30, 40]
    frames[0].save(tmp_path / "still.webp")
    (tmp_path / "broken.webp").write_bytes((tmp_path / "a.webp").read_bytes()[:50])
    assert [is_animated(tmp_path / f"{name}.webp") for name in ("a", "still", "broken")] == [True, False, False]
    with pytest.raises(ClipError, match=r"broken\.webp cannot be decoded as WebP"):
        read_clip(tmp_path / "broken.webp")


def test_what_is_transparent_is_on_black(tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGBA", (6, 4), (200, 100, 0, 128)).save(tmp_path / f"{number}.png")
    assert np.abs(read_clip(tmp_path).frames[0, 0, 0].astype(int) - [100, 50, 0]).max() <= 1
