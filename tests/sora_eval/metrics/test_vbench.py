"""VBench's protocol on networks from files: small ones with random weights, and the published formulas written anew."""

import json
import pickle

import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from torchvision.models.optical_flow import raft_large
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize

from sora_eval.features import raft, vbench
from sora_eval.metrics.create import create
from sora_eval.registry.metrics import METRICS, metric_info
from sora_eval.util.errors import Undefined, WeightsError
from tests.conftest import view_of

NAMES = [name for name in METRICS.built_in if name.startswith("vbench_")]


def value(metric, frames, fps=8.0):
    (score,) = metric.score(view_of(frames, fps=fps)).values()
    return score.value


def noise(frames, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def cosines(features):
    """VBench's loop."""
    total = 0.0
    for before, now in zip(features[:-1], features[1:], strict=True):
        to_last, to_first = (float(F.cosine_similarity(f[None], now[None])) for f in (before, features[0]))
        total += (max(0.0, to_last) + max(0.0, to_first)) / 2
    return total / (len(features) - 1)


@pytest.mark.parametrize("name", NAMES)
def test_without_files_a_clip_has_no_score_and_the_row_says_what_to_set(name):
    option = next(iter(metric_info(name).options))
    metric = create(name)
    assert metric.signature == f"{name}|vbench|no-network"
    with pytest.raises(Undefined, match=rf'set {option} = "FILE".* in \[metrics.{name}\]'):
        metric.score(view_of(noise(3, 32, 32)))
    with pytest.raises(WeightsError, match=r"'nowhere\.onnx' does not exist"):
        create(name, dict.fromkeys(metric_info(name).options, "nowhere.onnx"))


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """A ViT-Tiny in the place of the ViT-B, with DINO's names."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
    path = tmp_path_factory.mktemp("dino") / "dino.pth"
    torch.save(model.state_dict(), path)
    return model, str(path)


@pytest.mark.parametrize(("height", "width"), [(60, 60), (64, 100), (300, 260)])
def test_subject_consistency_is_dinos(dino, monkeypatch, height, width):
    model, path = dino
    monkeypatch.setattr(vbench, "DINO", "vit_tiny_patch16_224")
    vbench._dino.cache_clear()
    frames = noise(4, height, width)
    transform = Compose([Resize(224, antialias=False), lambda x: x.float().div(255.0), Normalize(*vbench.IMAGENET)])
    pixels = transform(torch.Tensor(frames).permute(0, 3, 1, 2))
    with torch.no_grad():
        if height == width:  # a square needs no resampling of positions, and timm's own forward is DINO's
            features = model(pixels)
        else:
            # DINO's interpolate_pos_encoding, for patches of 16 px
            rows, columns = pixels.shape[-2] // 16 + 0.1, pixels.shape[-1] // 16 + 0.1
            table = model.pos_embed[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
            table = F.interpolate(table, scale_factor=(rows / 14, columns / 14), mode="bicubic")
            assert table.shape[-2:] == (int(rows), int(columns))
            x = model.patch_embed.proj(pixels).flatten(2).transpose(1, 2) + table.permute(0, 2, 3, 1).reshape(1, -1, 192)
            x = torch.cat([(model.cls_token + model.pos_embed[:, :1]).expand(4, -1, -1), x], 1)
            features = model.norm(model.blocks(x))[:, 0]
    metric = create("vbench_subject_consistency", {"dino": path})
    assert value(metric, frames) == pytest.approx(cosines(features), abs=2e-6)
    assert "|dino-vitb16|weights:" in metric.signature
    assert value(pickle.loads(pickle.dumps(metric)), frames) == value(metric, frames)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small CLIP under a name of its own, saved as OpenAI saves theirs: with its code and its sizes."""
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    }
    (folder / "tiny-quickgelu.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-quickgelu.json")
    torch.manual_seed(1)
    model = open_clip.create_model("tiny-quickgelu", load_weights=False).eval()

    class Saved(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, part in model.named_children():
                self.add_module(name, part)
            for name, tensor in [*model.named_parameters(recurse=False)]:
                self.register_parameter(name, tensor)
            for name, size in (("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)):
                self.register_buffer(name, torch.tensor(size))

        def forward(self, x):
            return x

    torch.jit.trace(Saved(), torch.zeros(1)).save(str(folder / "tiny.pt"))
    torch.save(torch.nn.Linear(32, 1).state_dict(), folder / "head.pth")
    return model, str(folder / "tiny.pt"), str(folder / "head.pth")


def clip_features(model, frames):
    transform = Compose(
        [
            Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=False),
            CenterCrop(224),
            lambda x: x.float().div(255.0),
            Normalize(*vbench.OPENAI),
        ]
    )
    with torch.no_grad():
        return F.normalize(model.encode_image(transform(torch.Tensor(frames).permute(0, 3, 1, 2))), dim=-1)


@pytest.mark.parametrize(("height", "width"), [(64, 100), (301, 260)])
def test_background_consistency_and_aesthetic_quality_are_clips_from_openais_own_files(clip, monkeypatch, height, width):
    model, path, head = clip
    monkeypatch.setattr("sora_eval.metrics.vbench.CLIP_B", "tiny-quickgelu")
    monkeypatch.setattr("sora_eval.metrics.vbench.CLIP_L", "tiny-quickgelu")
    frames = noise(4, height, width)
    features = clip_features(model, frames)
    background = create("vbench_background_consistency", {"clip": path})
    assert value(background, frames) == pytest.approx(cosines(features), abs=2e-6)
    layer = torch.nn.Linear(32, 1)
    layer.load_state_dict(torch.load(head))
    aesthetic = create("vbench_aesthetic_quality", {"clip": path, "head": head})
    assert value(aesthetic, frames) == pytest.approx(float((layer(features) / 10).mean()), abs=2e-6)
    assert "|head:" in aesthetic.signature
    with pytest.raises(WeightsError, match=r"expected weight \(1, 768\) and bias \(1,\) of a linear layer"):
        create("vbench_aesthetic_quality", {"clip": path, "head": path})


def authors(state):
    """torchvision's RAFT under the names of its authors, written down from their modules: extractor, update, corr."""
    named = {}
    for encoder, theirs in (("feature_encoder", "fnet"), ("context_encoder", "cnet")):
        norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked") if theirs == "cnet" else ()

        def take(ours, name, norms=norms, encoder=encoder, theirs=theirs):
            for value in ("weight", "bias"):
                named[f"module.{theirs}.{name[0]}.{value}"] = state[f"{encoder}.{ours}.0.{value}"]
            for value in norms:
                for double in name[1:]:
                    named[f"module.{theirs}.{double}.{value}"] = state[f"{encoder}.{ours}.1.{value}"]

        take("convnormrelu", ("conv1", "norm1"))
        for layer, block in [(layer, block) for layer in (1, 2, 3) for block in (0, 1)]:
            for i in (1, 2):
                place = f"layer{layer}.{block}"
                take(f"{place}.convnormrelu{i}", (f"{place}.conv{i}", f"{place}.norm{i}"))
            if layer > 1 and block == 0:
                take(f"{place}.downsample", (f"{place}.downsample.0", f"{place}.norm3", f"{place}.downsample.1"))
        for value in ("weight", "bias"):
            named[f"module.{theirs}.conv2.{value}"] = state[f"{encoder}.conv.{value}"]
    block = "update_block"
    pairs = {
        "convc1": "convcorr1.0",
        "convc2": "convcorr2.0",
        "convf1": "convflow1.0",
        "convf2": "convflow2.0",
        "conv": "conv.0",
    }
    pairs = {f"{block}.encoder.{a}": f"{block}.motion_encoder.{b}" for a, b in pairs.items()}
    for i in (1, 2):
        pairs |= {f"{block}.gru.conv{g}{i}": f"{block}.recurrent_block.convgru{i}.conv{g}" for g in "zrq"}
        pairs[f"{block}.flow_head.conv{i}"] = f"{block}.flow_head.conv{i}"
    pairs |= {f"{block}.mask.0": "mask_predictor.convrelu.0", f"{block}.mask.2": "mask_predictor.conv"}
    for theirs, ours in pairs.items():
        for value in ("weight", "bias"):
            named[f"module.{theirs}.{value}"] = state[f"{ours}.{value}"]
    return named


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    torch.manual_seed(0)
    model = raft_large(weights=None).eval()
    folder = tmp_path_factory.mktemp("raft")
    torch.save(model.state_dict(), folder / "torchvision.pth")
    torch.save(authors(model.state_dict()), folder / "raft-things.pth")
    return model, folder


def test_rafts_authors_own_file_is_torchvisions_network(things):
    model, folder = things
    loaded = raft._network("raft", str(folder / "raft-things.pth"), "cpu").state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[k], v) for k, v in model.state_dict().items())
    torch.save({"module.fnet.conv1.weight": torch.zeros(2)}, folder / "part.pth")
    with pytest.raises(WeightsError, match="does not hold the weights of raft_large: found 1 tensors"):
        create("vbench_dynamic_degree", {"raft": str(folder / "part.pth")})


def test_dynamic_degree_is_vbenchs_rule(things):
    model, folder = things
    frames = noise(5, 130, 140)
    metric = create("vbench_dynamic_degree", {"raft": str(folder / "raft-things.pth")})
    pairs = metric.extractor(view_of(frames, fps=16.0).clip)
    taken = torch.from_numpy(frames[::2]).permute(0, 3, 1, 2).float()
    expected = []
    for pair in zip(taken[:-1], taken[1:], strict=True):
        padded = [F.pad(f[None] / 127.5 - 1, [2, 2, 3, 3], mode="replicate") for f in pair]
        with torch.no_grad():
            flow = model(*padded, num_flow_updates=20)[-1][0].numpy()
        lengths = np.sqrt(np.square(flow[0]) + np.square(flow[1])).flatten()
        expected.append(np.mean(abs(np.sort(-lengths))[: int(lengths.size * 0.05)]))
    assert pairs == pytest.approx(expected, rel=1e-4)
    with pytest.raises(Undefined, match="100x130 px; RAFT has no value for sides below 128 px"):
        value(metric, noise(2, 130, 100))


@pytest.mark.parametrize(
    ("pairs", "moves"),
    [([7.0, 0, 0, 0, 0, 0, 0], 0), ([7.0, 7.0, 0, 0, 0, 0, 0], 1), ([6.0] * 7, 0), ([0.0], 1), ([], 0)],
)
def test_how_many_pairs_have_to_move(things, monkeypatch, pairs, moves):
    metric = create("vbench_dynamic_degree", {"raft": str(things[1] / "torchvision.pth")})
    monkeypatch.setattr(metric, "features", lambda view: np.array(pairs))
    assert value(metric, noise(2, 256, 300)) == moves


class Blend(torch.nn.Module):
    """An interpolation that depends on place, order and time."""

    def forward(self, a, b, time):
        ramp = torch.arange(a.shape[-1], dtype=a.dtype) / a.shape[-1]
        return a * (1 - time) * ramp + b * time + 0.1


class Brightness(torch.nn.Module):
    def forward(self, frame):
        return 100 * frame.mean(dim=(1, 2, 3))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    frame, half = torch.zeros(1, 3, 32, 32), torch.full((1, 1, 1, 1), 0.5)
    names = {"input_names": ["a", "b", "t"], "dynamic_axes": {"a": {2: "h", 3: "w"}, "b": {2: "h", 3: "w"}}}
    torch.onnx.export(Blend(), (frame, frame, half), folder / "amt.onnx", dynamo=False, **names)
    torch.jit.script(Blend()).save(str(folder / "amt.pt"))
    axes = {"input_names": ["frame"], "dynamic_axes": {"frame": {2: "h", 3: "w"}}}
    torch.onnx.export(Brightness(), (frame,), folder / "musiq.onnx", dynamo=False, **axes)
    return folder


@pytest.mark.parametrize("kind", ["onnx", "pt"])
@pytest.mark.parametrize("length", [3, 6])
def test_motion_smoothness_is_vbenchs_on_any_interpolator(graphs, kind, length):
    frames = noise(length, 40, 50)
    metric = create("vbench_motion_smoothness", {"amt": str(graphs / f"amt.{kind}")})
    differences = []
    for i in range(1, length - 1, 2):
        a, b = (torch.tensor(frames[j] / 255.0).permute(2, 0, 1).float()[None] for j in (i - 1, i + 1))
        a, b = (F.pad(f, [7, 7, 4, 4], mode="replicate") for f in (a, b))
        out = Blend()(a, b, torch.tensor(0.5))[0, :, 4:-4, 7:-7]
        pixels = (out * 255.0).permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
        differences.append(np.abs(pixels.astype(int) - frames[i]).mean())
    assert value(metric, frames) == pytest.approx((255 - np.mean(differences)) / 255, abs=1e-5)
    with pytest.raises(Undefined, match="2 frames; interpolation needs at least 3"):
        value(metric, frames[:2])


@pytest.mark.parametrize(("height", "width"), [(48, 64), (520, 600)])
def test_imaging_quality_is_the_mean_rating_of_frames_of_at_most_512_px(graphs, height, width):
    frames = noise(2, height, width)
    metric = create("vbench_imaging_quality", {"musiq": str(graphs / "musiq.onnx")})
    pixels = torch.Tensor(frames).permute(0, 3, 1, 2)
    if width > 512:
        pixels = Resize((int(512.0 / width * height), int(512.0 / width * width)), antialias=False)(pixels)
    assert value(metric, frames) == pytest.approx(float((pixels / 255).mean()), abs=1e-6)


def test_files_that_are_another_network_say_what_is_expected(graphs, tmp_path):
    with pytest.raises(WeightsError, match=r"takes 3 inputs; expected MUSIQ \(SPAQ\) in an ONNX or TorchScript file"):
        create("vbench_imaging_quality", {"musiq": str(graphs / "amt.onnx")})
    (tmp_path / "no.onnx").write_text("none")
    with pytest.raises(WeightsError, match=r"cannot be read as ONNX: .*; expected AMT-S"):
        create("vbench_motion_smoothness", {"amt": str(tmp_path / "no.onnx")})
