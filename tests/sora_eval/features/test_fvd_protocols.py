"""Every named protocol prepares clips as the public code does that it is named after."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sora_eval.features.fvd_protocols import FVD_PROTOCOLS, cut, resize_tf1
from sora_eval.metrics.create import create
from sora_eval.util.errors import SuiteError

SHAPES = [(17, 32, 32), (16, 24, 40), (20, 300, 260), (12, 40, 24)]


def clip(rng, shape):
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8)


def interpolate(video, size, **options):
    """torch's bilinear resize of (T, H, W, 3), as most public code calls it."""
    x = torch.from_numpy(np.asarray(video, np.float32)).permute(0, 3, 1, 2)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, **options).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_squashing_protocols_equal_torchs_resize(shape, rng):
    frames = clip(rng, shape)
    expected = 2 * interpolate(frames, (224, 224)) / 255 - 1
    assert np.abs(FVD_PROTOCOLS["fastvideo"].prepare(frames) - expected).max() <= 1e-4
    part = cut(frames, 0)
    assert np.abs(FVD_PROTOCOLS["styleganv"].prepare(frames) - (2 * interpolate(part, (224, 224)) / 255 - 1)).max() <= 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_common_metrics_keeps_the_aspect_ratio_and_crops_the_centre(shape, rng):
    frames = clip(rng, shape)
    _, height, width = shape
    scale = 224 / min(height, width)
    size = (224, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), 224)
    whole = interpolate(frames / 255, size)
    top, left = (size[0] - 224) // 2, (size[1] - 224) // 2
    expected = (whole[:, top : top + 224, left : left + 224] - 0.5) * 2
    assert np.abs(FVD_PROTOCOLS["common_metrics"].prepare(frames) - expected).max() <= 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_cdfvd_goes_through_bytes_at_256(shape, rng):
    frames = clip(rng, shape)
    part = cut(frames, 42)
    _, height, width = shape
    scale = 256 / min(height, width)
    size = (256, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), 256)
    whole = interpolate(part / np.float32(255), size, antialias=True)
    top, left = (size[0] - 256) // 2, (size[1] - 256) // 2
    middle = (whole[:, top : top + 256, left : left + 256] * 255).clip(0, 255).astype(np.uint8)
    expected = 2 * interpolate(middle, (224, 224)) / 255 - 1
    # A byte that lies on a whole number may be cut to either side.
    assert (np.abs(FVD_PROTOCOLS["cdfvd"].prepare(frames) - expected) <= 1e-4).mean() >= 0.999


def test_original_is_the_tf1_squash(rng):
    frames = clip(rng, (11, 24, 40))
    assert np.allclose(FVD_PROTOCOLS["original"].prepare(frames), resize_tf1(frames) / 127.5 - 1, atol=1e-6)


def test_a_cut_is_consecutive_and_depends_on_the_clip_alone(rng):
    starts = set()
    for _ in range(12):
        frames = clip(rng, (24, 8, 8))
        part = cut(frames, 0)
        start = next(i for i in range(9) if np.array_equal(frames[i : i + 16], part))
        assert np.array_equal(cut(frames.copy(), 0), part)
        starts.add(start)
    assert len(starts) > 2
    assert len(cut(frames[:12], 0)) == 12


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
