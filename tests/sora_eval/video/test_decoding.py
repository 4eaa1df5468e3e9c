"""Files as phones, browsers, editors and crashes leave them, read as a player shows them, or refused with the reason."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sora_eval.util.errors import ClipError
from sora_eval.video.codec import read_clip
from sora_eval.video.file_end import missing_end

PIXELS = {"ffv1": "bgr0", "rawvideo": "bgr24", "libx264rgb": "rgb24", "png": "rgb24", "gif": "rgb8", "mjpeg": "yuvj420p"}
OPTIONS = {"libx264": {"qp": "4"}, "libx264rgb": {"qp": "0"}, "libx265": {"x265-params": "log-level=none:qp=4"}}
CONTAINERS = [  # suffix, codec, largest mean difference of a pixel that the codec may leave
    ("mkv", "ffv1", 0.0),
    ("mkv", "libx264rgb", 0.0),
    ("avi", "rawvideo", 0.0),
    ("mov", "png", 0.0),
    ("mp4", "libx264", 2.0),
    ("mov", "libx264", 2.0),
    ("mkv", "libx265", 2.0),
    ("mp4", "mpeg4", 6.0),
    ("avi", "mjpeg", 6.0),
    ("webm", "libvpx", 6.0),
    ("webm", "libvpx-vp9", 6.0),
    ("ts", "libx264", 2.0),
]


def moving(n, width=96, height=64, step=2.0):
    """A red square that goes right above a blue floor."""
    out = np.full((n, height, width, 3), 90, np.uint8)
    out[:, height - 8 :] = (30, 60, 200)
    for k in range(n):
        x = int(4 + step * k) % (width - 20)
        out[k, 4:20, x : x + 16] = (200, 40, 30)
    return out


def write(path, frames, fps=24, codec="ffv1", times=None, container=None, edit=None, **options):
    """Frames (T, H, W, 3) to a file; with `times`, a frame is shown at its own second. `edit` changes the encoder."""
    pixels = PIXELS.get(codec, "yuv420p")
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixels
        stream.options = {**OPTIONS.get(codec, {}), **options}
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if edit:
            edit(stream)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").reformat(format=pixels)
            if times is not None:
                picture.pts, picture.time_base = round(times[i] * 1000), Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(("suffix", "codec", "loss"), CONTAINERS)
def test_one_clip_in_many_containers_is_one_clip(suffix, codec, loss, tmp_path):
    frames = moving(25)
    clip = read_clip(write(tmp_path / f"a.{suffix}", frames, 25, codec))
    assert clip.frames.shape == frames.shape
    assert clip.fps == 25
    assert np.abs(clip.frames.astype(int) - frames).mean() <= loss
    assert not clip.notes
    assert not missing_end(tmp_path / f"a.{suffix}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.sampled_from([c for c in CONTAINERS if c[0] != "ts"]), st.floats(0.02, 0.97), st.integers(0, 2**31))
@example(("mp4", "mpeg4", 6.0), 0.90625, 0)  # within the index, whose video stream is lost
def test_a_file_that_was_cut_is_never_a_shorter_clip(tmp_path, kind, share, seed):
    suffix, codec, _ = kind
    path = tmp_path / f"a.{suffix}"
    write(path, np.random.default_rng(seed).integers(0, 256, (12, 32, 48, 3), np.uint8), codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ClipError, match=r"damaged or cut|cannot be decoded"):
        read_clip(path)


def test_a_transport_stream_that_ends_within_a_packet_is_cut(tmp_path):
    path = write(tmp_path / "a.ts", moving(24), codec="libx264")
    path.write_bytes(path.read_bytes()[: 188 * 20 + 30])
    with pytest.raises(ClipError, match="its last packet has 30 of 188 bytes"):
        read_clip(path)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_cut_gif_and_a_cut_fragmented_mp4(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    if suffix == "gif":
        pictures = [Image.fromarray(f) for f in moving(24)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    else:
        flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        write(path, moving(48), codec="libx264", container=flags, g="8")
    assert read_clip(path).num_frames == (24 if suffix == "gif" else 48)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ClipError, match="damaged or cut"):
        read_clip(path)
    part = read_clip(path, allow_damaged=True)
    assert 8 < part.num_frames < 40
    assert "damaged: its " in part.notes[0]


def test_a_live_recording_is_known_to_be_cut_by_its_duration(tmp_path):
    """A segment of unknown size says nothing of where it ends; its header's duration does."""
    path = write(tmp_path / "a.mkv", moving(96))
    data = bytearray(path.read_bytes())
    at = data.index(b"\x18\x53\x80\x67") + 4
    data[at : at + 8] = b"\x01" + b"\xff" * 7
    path.write_bytes(data[: len(data) // 2])
    assert not missing_end(path)
    with pytest.raises(ClipError, match=r"it ends at \d.*its header says 4 s"):
        read_clip(path)


def noisy(n):
    noise = np.random.default_rng(0).integers(-40, 40, (n, 64, 96, 1))
    return np.clip(moving(n).astype(int) + noise, 0, 255).astype(np.uint8)


def test_bytes_that_were_destroyed_are_found_and_can_be_allowed(tmp_path):
    path = write(tmp_path / "a.mp4", noisy(24), codec="libx264", qp="20", container={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    data[-900:] = bytes(900)
    path.write_bytes(data)
    for _ in range(10):  # whichever thread of the decoder is first
        with pytest.raises(ClipError, match=r"packets are corrupt; make it again, or use --allow-damaged"):
            read_clip(path)
    clip = read_clip(path, allow_damaged=True)
    assert clip.num_frames == 24
    assert "damaged: " in clip.notes[0]


def test_a_phones_clip_is_turned(tmp_path):
    path = write(tmp_path / "a.mp4", moving(16), codec="libx264rgb")
    upright = read_clip(path).frames
    data = path.read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turn = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # a quarter clockwise
    at = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turn + data[at + 36 :])
    clip = read_clip(path)
    assert (clip.width, clip.height) == (64, 96)
    assert np.array_equal(clip.frames, np.rot90(upright, -1, (1, 2)))
    assert not clip.notes


def test_what_an_edit_list_hides_is_not_missing(tmp_path):
    path = write(tmp_path / "a.mp4", moving(40), 8, "libx264rgb", bf="0")
    whole = read_clip(path).frames
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    total = struct.unpack_from(">I", data, at + 12)[0]
    struct.pack_into(">I", data, at + 12, total // 2)
    struct.pack_into(">i", data, at + 16, 20 * scale // 8)
    path.write_bytes(data)
    clip = read_clip(path)
    assert np.array_equal(clip.frames, whole[20:])
    assert clip.fps == 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.sampled_from([33, 40, 50, 100, 200]), min_size=8, max_size=30))
def test_a_rate_that_varies_is_sampled_by_time(tmp_path, steps):
    times = np.concatenate([[0], np.cumsum(steps)]) / 1000
    frames = moving(len(times))
    clip = read_clip(write(tmp_path / "a.mkv", frames, 30, times=times.tolist()))
    assert clip.fps == pytest.approx((len(times) - 1) / times[-1], rel=0.01)
    assert clip.num_frames == len(times)
    for k, frame in enumerate(clip.frames):  # every frame is one that is shown within half a frame of its time
        near = np.abs(times - (k + 0.5) / clip.fps) <= max(steps) / 1000 + 0.5 / clip.fps
        assert any(np.array_equal(frame, f) for f in frames[near])


def test_a_gif_with_pauses_holds_what_is_shown(tmp_path):
    frames = np.concatenate([np.repeat(moving(1), 10, 0), moving(11, step=6)[1:]])
    pictures = [Image.fromarray(f) for f in frames]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    clip = read_clip(tmp_path / "a.gif")
    assert clip.fps == pytest.approx(10)
    assert clip.num_frames == 20
    assert np.abs(clip.frames.astype(int) - frames).mean() < 1
    assert clip.notes == ("11 stored frames are shown as 20 at 10 fps: equal ones are stored once",)


def test_transparent_pixels_are_shown_on_black(tmp_path):
    pixels = np.zeros((16, 24, 4), np.uint8)
    pixels[..., 0], pixels[:, :12, 3] = 200, 255
    pictures = [Image.fromarray(np.roll(pixels, k, 0), "RGBA") for k in range(3)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[50, 50, 50], disposal=2)
    with av.open(str(tmp_path / "b.mov"), "w") as file:
        stream = file.add_stream("png", rate=20)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "rgba"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgba")))
        file.mux(stream.encode())
    for name in ("a.gif", "b.mov"):
        clip = read_clip(tmp_path / name)
        assert clip.frames[0, 0, 0].tolist() == [200, 0, 0]
        assert clip.frames[0, 0, -1].tolist() == [0, 0, 0]
        assert "partly transparent; shown on black" in clip.notes


def test_what_a_file_leaves_open_is_a_note(tmp_path):
    def oblong(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)

    def bright(stream):
        stream.codec_context.color_trc = 16

    wide = read_clip(write(tmp_path / "a.mkv", moving(8), codec="libx264", edit=oblong))
    assert wide.notes == ("its pixels are 16:15, not square; frames are as stored",)
    hdr = read_clip(write(tmp_path / "b.mkv", moving(8), codec="libx264", edit=bright))
    assert hdr.notes == ("HDR (PQ); frames are as stored, without tone mapping",)


def test_frames_are_decoded_into_one_buffer(tmp_path):
    """numpy reports its memory to tracemalloc: the peak is the clip and some single frames."""
    import tracemalloc

    path = write(tmp_path / "a.mkv", np.zeros((120, 128, 192, 3), np.uint8), codec="libx264")
    tracemalloc.start()
    clip = read_clip(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.25 * clip.frames.nbytes
