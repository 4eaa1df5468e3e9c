"""Where networks run: one device, chosen and checked before anything is opened, on which frames and weights both are.

No GPU is needed: torch's meta device stands in for one. It has no values, and it refuses to compute with tensors elsewhere.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
import torch

from sora_eval.features import device as devices
from sora_eval.features import raft
from sora_eval.features.device import in_batches, networks_on, open_session, present, run_session, where
from sora_eval.features.flow import Flow
from sora_eval.features.image_text import load
from sora_eval.features.view import ClipView, FeatureCache
from sora_eval.records.clip import Clip
from sora_eval.util.errors import DeviceError
from tests.conftest import view_of


@pytest.fixture
def on_meta(monkeypatch):
    """Networks on the meta device; what comes back from there is zeros."""
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(devices, "_device", "meta")
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda t: torch.zeros(t.shape, dtype=t.dtype) if t.device.type == "meta" else cpu(t)
    )


@pytest.fixture
def three_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: f"GPU {name}")


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "CUDA", ""])
def test_an_unknown_device_is_an_error_that_names_the_known(name):
    with pytest.raises(DeviceError, match="is not known; expected cpu, cuda or cuda:N"):
        present(name)


def test_an_absent_gpu_is_an_error_that_counts_those_that_are_there(three_gpus, monkeypatch):
    with pytest.raises(DeviceError, match="'cuda:3' was asked for; GPUs that torch finds: 3, cuda:0 to cuda:2"):
        present("cuda:3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"'cuda' was asked for; GPUs that torch finds: none\. On this machine take --dev"):
        present("cuda")


def test_an_onnx_runtime_without_cuda_is_an_error(three_gpus, monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="offers only CPUExecutionProvider; install onnxruntime-gpu"):
        present("cuda")


def test_the_device_holds_inside_and_is_named_with_what_computes(three_gpus, monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with networks_on("cuda"):
        assert where() == {"device": "cuda:0", "provider": "CUDAExecutionProvider", "gpu": "GPU cuda:0"}
        with networks_on("cuda:2"), networks_on(None):
            assert devices.device() == "cuda:2"
        with pytest.raises(DeviceError), networks_on("cuda:9"):
            raise AssertionError("not reached")
        assert devices.device() == "cuda:0"
    assert where() == {"device": "cpu", "provider": "CPUExecutionProvider"}


def test_a_session_asks_for_its_gpu_in_float32_and_refuses_another_place(monkeypatch, network):
    asked = []

    def opens(path, options, providers):
        asked.extend(providers)
        return SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", opens)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(devices, "_device", "cuda:1")
    with pytest.raises(DeviceError, match=r"'cuda:1' was asked for, but ONNX Runtime opens means.onnx on .'CPUEx"):
        open_session(network)
    assert asked == [("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"})]


def test_a_bound_session_gives_what_a_call_gives(network, rng):
    video = rng.uniform(-1, 1, (2, 3, 5, 224, 224)).astype(np.float32)
    session = open_session(network)
    tensor = torch.from_numpy(video.transpose(0, 2, 1, 3, 4).copy()).transpose(1, 2)  # of another order in memory
    assert np.array_equal(run_session(session, tensor), session.run(None, {"video": video})[0])


def test_frames_texts_and_weights_are_all_on_the_device(on_meta, rng):
    model = load("world")
    assert {p.device.type for p in model.model.parameters()} == {"meta"}
    assert model.embed_images(rng.integers(0, 256, (3, 24, 40, 3), dtype=np.uint8)).shape == (
        3,
        model.embed_text("red").shape[0],
    )


def test_flow_of_a_network_is_on_the_device(on_meta, tmp_path, rng):
    from torchvision.models.optical_flow import raft_small

    torch.save(raft_small(weights=None).state_dict(), tmp_path / "w.pt")
    a, b = rng.integers(0, 256, (2, 130, 140, 3), dtype=np.uint8)
    assert raft.flows("raft_small", str(tmp_path / "w.pt"), [(a, b), (b, a)]).shape == (2, 130, 140, 2)
    assert {p.device.type for p in raft._network("raft_small", str(tmp_path / "w.pt"), "meta").parameters()} == {"meta"}


def test_features_of_another_kind_of_device_are_kept_apart(tmp_path, monkeypatch):
    calls = []
    clip, cache = Clip(np.zeros((2, 8, 8, 3), np.uint8), 8.0), FeatureCache(tmp_path)

    class Counting:
        signature, cached = "s", True

        def __call__(self, clip):
            calls.append(devices.device())
            return np.zeros(1)

    for name in ("cpu", "cuda:0", "cuda:1", "cpu"):
        monkeypatch.setattr(devices, "_device", name)
        ClipView(clip, view_of(clip.frames).case, cache).features(Counting())
    assert calls == ["cpu", "cuda:0"]


@pytest.mark.parametrize("room", [1, 2, 3, 7, 20])
def test_batches_shrink_until_they_fit_and_keep_their_order(room):
    seen = []

    def run(items):
        seen.append(len(items))
        if len(items) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.array(items)[:, None] * 2

    assert in_batches(run, range(19), 8)[:, 0].tolist() == [2 * i for i in range(19)]
    assert sum(n > room for n in seen) <= 3  # halvings of 8


def test_what_fits_in_no_batch_and_other_errors_are_raised():
    def fails(error):
        def run(items):
            raise error

        return run

    for error in (MemoryError(), ValueError("no")):
        with pytest.raises(type(error)):
            in_batches(fails(error), range(5), 4)


def test_the_number_of_frames_at_a_time_changes_nothing(rng, monkeypatch):
    frames = rng.integers(0, 256, (7, 24, 40, 3), dtype=np.uint8)
    together = load("world").embed_images(frames)
    monkeypatch.setattr("sora_eval.features.image_batches.PICTURES", 1)
    assert np.abs(load("world").embed_images(frames) - together).max() <= 1e-6


def test_the_number_of_pairs_at_a_time_changes_no_flow(rng, monkeypatch, tmp_path):
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "w.pt")
    flow = Flow("raft_small", str(tmp_path / "w.pt"))
    frames = [flow.canvas(f) for f in rng.integers(0, 256, (4, 24, 40, 3), dtype=np.uint8)]
    alone = np.stack(list(flow.of_pairs(list(pairwise(frames)))))
    monkeypatch.setitem(raft.PAIRS, "cpu", 2)
    together = np.stack(list(flow.of_pairs(list(pairwise(frames)))))
    assert np.abs(together - alone).max() <= 1e-4  # px, of a random network whose flow is 20 px
