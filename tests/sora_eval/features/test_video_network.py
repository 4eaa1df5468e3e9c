"""Any video network in a file can stand in for I3D, and a file that is none says so."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from sora_eval.features.fvd_protocols import FVD_PROTOCOLS
from sora_eval.features.i3d import VideoFeatures
from sora_eval.features.video_network import NetworkFile
from sora_eval.metrics.create import create
from sora_eval.registry.metrics import METRICS
from sora_eval.util.errors import RefusedError, Undefined, WeightsError
from sora_eval.util.weights import sha256_file
from tests.conftest import view_of
from tests.sora_eval.conftest import write_network

SETS = [n for n, i in METRICS.built_in.items() if i.family == "distribution"]


def means(frames, protocol="original"):
    """What the network of the fixture computes, in numpy."""
    video = FVD_PROTOCOLS[protocol].video(frames, torch.device("cpu"))[0].numpy()  # (3, T, 224, 224)
    return video.mean(1).reshape(3, 4, 56, 4, 56).mean((2, 4)).ravel()


@pytest.fixture
def frames(rng):
    return rng.integers(0, 256, (16, 24, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", SETS)
def test_a_file_takes_the_place_of_i3d_with_its_hash_in_the_signature(name, network, frames):
    metric = create(name, {"network": str(network)})
    assert metric.features(view_of(frames)) == pytest.approx(means(frames), abs=1e-4)
    assert f"network:file|weights:{sha256_file(network)[:12]}|fp32|protocol:original|" in metric.signature
    assert "i3d" not in metric.signature
    again = pickle.loads(pickle.dumps(metric))
    assert np.array_equal(again.features(view_of(frames)), metric.features(view_of(frames)))


def test_the_protocol_prepares_clips_for_it_too(network, frames):
    squashed, cropped = (VideoFeatures(p, network=str(network))(view_of(frames).clip) for p in ("fastvideo", "common_metrics"))
    assert cropped == pytest.approx(means(frames, "common_metrics"), abs=1e-4)
    assert not np.allclose(squashed, cropped, atol=1e-3)


def scripted(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return str(path)


class Means(torch.nn.Module):
    def forward(self, video):
        return torch.nn.functional.avg_pool2d(video.mean(2), 56).flatten(1)


class Short(torch.nn.Module):
    def forward(self, video):
        return video[:, :, 15].mean((2, 3))


def test_torchscript_is_read_too(tmp_path, network, frames):
    path = scripted(Means(), tmp_path / "means.pt")
    values = VideoFeatures(network=path)(view_of(frames).clip)
    assert values == pytest.approx(VideoFeatures(network=str(network))(view_of(frames).clip), abs=1e-5)


def test_a_length_that_the_network_does_not_take_is_undefined(tmp_path, frames):
    features = VideoFeatures(network=scripted(Short(), tmp_path / "short.pt"))
    assert features(view_of(frames).clip).shape == (3,)
    with pytest.raises(Undefined, match=r"network short.pt takes no clip of 12 frames"):
        features(view_of(frames[:12]).clip)


def test_files_that_are_no_network_say_found_and_expected(tmp_path):
    (tmp_path / "text.onnx").write_text("not a graph")
    (tmp_path / "text.pt").write_text("not a script")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "state.pt")
    for path, words in (
        (tmp_path / "absent.onnx", "does not exist"),
        (tmp_path / "text.onnx", "cannot be read as ONNX"),
        (tmp_path / "text.pt", "cannot be read as TorchScript"),
        (tmp_path / "state.pt", "cannot be read as TorchScript"),
        (write_network(tmp_path / "grid.onnx", flatten=False), r"gives float32 \(2, 3, 4, 4\) for two clips"),
        (write_network(tmp_path / "image.onnx", rank=4), r"takes video: tensor\(float\)"),
    ):
        with pytest.raises(WeightsError, match=words) as caught:
            NetworkFile(str(path))
        assert "expected a network from (N, 3, T, 224, 224) float32 to (N, D)" in str(caught.value)


def test_bf16_is_i3ds_only(network):
    with pytest.raises(RefusedError, match="precision = 'bf16' is I3D's"):
        create("fvd", {"network": str(network), "precision": "bf16"})


@pytest.mark.i3d
def test_bf16_is_near_fp32_under_another_signature(frames):
    full, half = (VideoFeatures(precision=p) for p in ("fp32", "bf16"))
    a, b = full(view_of(frames[:10]).clip), half(view_of(frames[:10]).clip)
    assert 1e-3 < np.abs(a - b).max() < 0.05 * np.abs(a).max()
    assert full.signature != half.signature
    assert "|bf16|" in half.signature
