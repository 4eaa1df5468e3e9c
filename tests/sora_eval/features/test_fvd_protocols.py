"""Every named protocol gives the number of the public code that it is named after, on whole clips too."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.features import fvd_protocols
from sora_eval.features.fvd_protocols import FVD_PROTOCOLS, resize_tf1
from sora_eval.features.i3d import VideoFeatures
from sora_eval.features.view import ClipView
from sora_eval.metrics.create import create
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.util.errors import SuiteError, Undefined

SHAPES = [(17, 32, 32), (16, 24, 40), (20, 300, 260), (12, 40, 24)]


def clip(rng, shape):
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8)


def interpolate(video, size, **options):
    """torch's bilinear resize of (T, H, W, 3), as most public code calls it."""
    x = torch.from_numpy(np.asarray(video, np.float32)).permute(0, 3, 1, 2)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, **options).permute(0, 2, 3, 1).numpy()


def squashed(frames):
    return 2 * interpolate(frames, (224, 224)) / 255 - 1


def cropped(frames, side, **options):
    """Short side, then the central square, in [0, 1]."""
    _, height, width, _ = frames.shape
    scale = side / min(height, width)
    size = (side, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), side)
    whole = interpolate(frames / np.float32(255), size, **options)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return whole[:, top : top + side, left : left + side]


def through_bytes(frames):
    return squashed((cropped(frames, 256, antialias=True) * 255).clip(0, 255).astype(np.uint8))


def tf1(frames):
    """TensorFlow 1's grid, by its definition: source = i * size / 224, no half-pixel shift, edges repeated."""
    out = frames.astype(np.float32)
    for axis in (1, 2):
        place = np.arange(224) * (out.shape[axis] / 224)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, out.shape[axis] - 1)
        share = (place - low).reshape([-1 if i == axis else 1 for i in range(4)]).astype(np.float32)
        out = out.take(low, axis) * (1 - share) + out.take(high, axis) * share
    return out / 127.5 - 1


def prepared(name, frames):
    """What the code of every device makes of frames, on the CPU."""
    return FVD_PROTOCOLS[name].video(frames, torch.device("cpu"))[0].permute(1, 2, 3, 0).numpy()


# What each peer does: frames to network input, whether it takes 16 frames and from where, divisor and ridge of covariances.
PEERS = {
    "original": (tf1, None, 1, 0.0),
    "styleganv": (squashed, "0", 0, 0.0),  # load_n_consecutive_random_offset = False for generated clips, True for real ones
    "cdfvd": (through_bytes, "drawn", 0, 0.0),  # a random window of a random video for both
    "common_metrics": (lambda f: (cropped(f, 224) - 0.5) * 2, None, 1, 0.0),
    "fastvideo": (squashed, None, 1, 1e-6),
}
NUMBER, FRAMES = 60, 21


def whole_clips(seed, tint):
    """Moving gratings, longer than 16 frames, whose speed differs between clips, so that another window is another vector."""
    rng = np.random.default_rng(seed)
    y, x, t = np.mgrid[0:20, 0:28, 0:FRAMES].astype(np.float32)
    for i in range(NUMBER):
        angle, pace, drift = rng.uniform(0, np.pi), rng.uniform(0.1, 0.6), rng.uniform(-3, 3, 3)
        wave = np.cos((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.2, 0.8) + pace * t)
        colour = rng.uniform(60, 180, 3) + tint
        frames = colour + 50 * wave[..., None] + drift * t[..., None]
        noise = rng.normal(0, 12, frames.shape)
        yield f"p{i}", (frames + noise).clip(0, 255).astype(np.uint8).transpose(2, 0, 1, 3)


def cells(video):
    """The features of the small network of the fixture: mean over time, then over a 4x4 grid."""
    return video.mean(0).transpose(2, 0, 1).reshape(3, 4, 56, 4, 56).mean((2, 4)).ravel()


def peers_number(name, generated, real, starts):
    prepare, rule, ddof, ridge = PEERS[name]
    sets = []
    for clips, is_real in ((generated, False), (real, True)):
        vectors = []
        for case, frames in clips:
            start = 0 if rule == "0" and not is_real else starts[case]
            vectors.append(cells(prepare(frames if rule is None else frames[start : start + 16])))
        sets.append(np.array(vectors, np.float64))
    means = [s.mean(0) for s in sets]
    covariances = [np.cov(s, rowvar=False, ddof=ddof) + ridge * np.eye(s.shape[1]) for s in sets]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    return float(np.square(means[0] - means[1]).sum() + np.trace(sum(covariances)) - 2 * np.trace(root).real)


def view(case, frames):
    return ClipView(Clip(np.ascontiguousarray(frames), 8.0), Case(Prompt(case, "words"), None, None, None, None))


@pytest.mark.parametrize("name", PEERS)
def test_whole_clips_have_the_peers_number(name, network):
    generated, real = list(whole_clips(1, 0)), list(whole_clips(2, 12))
    metric = create("fvd", {"protocol": name, "network": str(network)})
    metric.update([view(*c) for c in generated])
    metric.update([view(*c) for c in real], real=True)
    # The peers draw from one generator in the order of their files; which window is drawn is all that is taken from here.
    starts = {case: FVD_PROTOCOLS[name].start(f"{case}/native/0", FRAMES, real=True) for case, _ in real}
    assert float(metric.compute()) == pytest.approx(peers_number(name, generated, real, starts), rel=2e-4)


def test_it_matters_where_generated_clips_start(monkeypatch):
    """The tolerance of the test above is far below the effect of the rule that it holds."""
    generated, real = list(whole_clips(1, 0)), list(whole_clips(2, 12))
    starts = {case: FVD_PROTOCOLS["styleganv"].start(f"{case}/native/0", FRAMES, real=True) for case, _ in real}
    number = peers_number("styleganv", generated, real, starts)
    monkeypatch.setitem(PEERS, "styleganv", (squashed, "drawn", 0, 0.0))
    assert abs(peers_number("styleganv", generated, real, starts) / number - 1) > 0.005


@given(st.text(), st.integers(1, 60))
def test_a_drawn_start_is_inside_the_clip_and_follows_from_the_id_alone(case, frames):
    for name in ("styleganv", "cdfvd"):
        start = FVD_PROTOCOLS[name].start(case, frames, real=True)
        assert 0 <= start <= max(frames - 16, 0)
        assert start == FVD_PROTOCOLS[name].start(case, frames, real=True)
    assert FVD_PROTOCOLS["styleganv"].start(case, frames, real=False) == 0


def test_drawn_starts_are_uniform():
    starts = [FVD_PROTOCOLS["cdfvd"].start(f"p{i}/native/0", 20, real=False) for i in range(500)]
    assert np.bincount(starts, minlength=5).min() > 60  # of 100 each
    assert len(starts) == sum(np.bincount(starts, minlength=5))


@pytest.mark.parametrize("name", ["styleganv", "cdfvd"])
def test_no_pixel_moves_a_window(name, rng, network):
    """One bit of one pixel outside and inside of the window: the vector is the same, or differs by that bit."""
    metric, frames = create("fvd", {"protocol": name, "network": str(network)}), clip(rng, (40, 16, 24))
    before = metric.features(view("p", frames))
    for t in (0, 39):
        flipped = frames.copy()
        flipped[t, 0, 0, 0] ^= 1
        assert np.abs(metric.features(view("p", flipped)) - before).max() < 1e-3
    assert np.abs(metric.features(view("another id", frames)) - before).max() > 0 or name == "styleganv"


def test_features_of_a_clip_that_was_not_cut_are_refused():
    with pytest.raises(Undefined, match="24 frames; this protocol takes 16"):
        VideoFeatures("styleganv")(Clip(np.zeros((24, 8, 8, 3), np.uint8), 8.0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PEERS)
def test_frames_are_prepared_as_the_peer_does(name, shape, rng):
    frames = clip(rng, shape)
    difference = np.abs(prepared(name, frames) - PEERS[name][0](frames))
    # cd-fvd cuts to bytes: what lies on a whole number may be cut to either side.
    assert (difference <= 1e-4).mean() >= (0.999 if name == "cdfvd" else 1.0)


@pytest.mark.parametrize("name", sorted(set(FVD_PROTOCOLS) - {"cdfvd"}))  # which cuts to bytes on the CPU
def test_frames_are_prepared_where_they_are(name, rng):
    """torch's meta device has no values, and refuses what is computed with tensors elsewhere."""
    video = FVD_PROTOCOLS[name].video(clip(rng, (17, 24, 40)), torch.device("meta"))
    assert (video.device.type, video.dtype, video.shape) == ("meta", torch.float32, (1, 3, 17, 224, 224))


def test_long_clips_are_prepared_in_parts(rng, monkeypatch):
    frames = clip(rng, (11, 24, 40))
    whole = prepared("fastvideo", frames)
    monkeypatch.setattr(fvd_protocols, "CHUNK_BYTES", 3 * frames[0].nbytes)
    assert np.array_equal(prepared("fastvideo", frames), whole)


def test_original_is_the_tf1_squash(rng):
    frames = clip(rng, (11, 24, 40))
    assert np.allclose(prepared("original", frames), resize_tf1(torch.from_numpy(frames)) / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("protocol", "covariance"),
    [
        ("original", "ddof:1"),
        ("styleganv", "ddof:0"),
        ("cdfvd", "ddof:0"),
        ("common_metrics", "ddof:1"),
        ("fastvideo", "ddof:1|ridge:1e-06"),
    ],
)
def test_the_signature_says_protocol_and_covariance(protocol, covariance):
    signature = create("fvd", {"protocol": protocol}).signature
    assert f"protocol:{protocol}|" in signature
    assert signature.endswith(covariance)


def test_an_unknown_protocol_is_named():
    with pytest.raises(SuiteError, match="protocol = 'mine' is not known; expected one of: original, styleganv"):
        create("fvd", {"protocol": "mine"})
