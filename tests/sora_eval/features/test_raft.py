"""RAFT in place of DIS, with weights from a file: the same code as for torchvision's own."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_small

from sora_eval.features import raft
from sora_eval.features.flow import Flow
from sora_eval.metrics.create import create
from sora_eval.util.errors import SuiteError, WeightsError
from tests.conftest import view_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "small.safetensors"
    save_file(raft_small(weights=None).state_dict(), path)
    return str(path)


def test_a_metric_takes_its_flow_from_raft(weights, rng):
    frames = rng.integers(0, 256, (3, 36, 50, 3), dtype=np.uint8)
    metric = create("warping_error", {"flow": "raft_small", "flow_weights": weights})
    value = metric.score(view_of(frames))["warping_error"].value
    assert value >= 0
    assert "|flow:raft_small|weights:" in metric.signature
    assert metric.signature != create("warping_error").signature
    assert pickle.loads(pickle.dumps(metric)).score(view_of(frames))["warping_error"].value == value


def test_flow_is_torchvisions_own_on_frames_it_takes_and_padding_is_cut_off(weights, rng):
    a, b = rng.integers(0, 256, (2, 130, 140, 3), dtype=np.uint8)
    out = raft.flows("raft_small", weights, [(a, b)])[0]
    assert out.shape == (130, 140, 2)
    # 136 x 144 with repeated edges, in torchvision's own words.
    model = raft_small(weights=None)
    model.load_state_dict(raft._network("raft_small", weights, "cpu").state_dict())
    video = [torch.from_numpy(f).permute(2, 0, 1)[None].float() / 127.5 - 1 for f in (a, b)]
    padded = [torch.nn.functional.pad(v, (0, 4, 0, 6), mode="replicate") for v in video]
    with torch.inference_mode():
        expected = model.eval()(*padded)[-1][0, :, :130, :140].permute(1, 2, 0).numpy()
    assert np.abs(out - expected).max() < 1e-3
    assert Flow("raft_small", weights).canvas(a[:20, :30]).shape[:2] == (128, 192)


def test_weights_that_are_none_say_so(tmp_path, weights):
    (tmp_path / "x.pt").write_text("no weights")
    for options, error, words in (
        ({"flow": "raft_small", "flow_weights": str(tmp_path / "absent.pt")}, WeightsError, "does not exist; expected a state"),
        (
            {"flow": "raft_small", "flow_weights": str(tmp_path / "x.pt")},
            WeightsError,
            "is no state dict of torchvision's raft_sm",
        ),
        ({"flow": "raft", "flow_weights": weights}, WeightsError, "is no state dict of torchvision's raft_large"),
        ({"flow_weights": weights}, WeightsError, "DIS flow has none"),
        ({"flow": "farneback"}, SuiteError, "flow = 'farneback' is not known; expected one of: dis, raft, raft_small"),
    ):
        with pytest.raises(error, match=words):
            create("warping_error", options)
