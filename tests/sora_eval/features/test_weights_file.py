"""A file of weights is the network's, whatever its trainer wrapped around them, or one message; never a random network."""

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import optical_flow

from sora_eval.features import raft
from sora_eval.features.image_text import ClipModel
from sora_eval.features.timm_network import TimmModel
from sora_eval.features.weights_file import best_part, state_hash
from sora_eval.util.errors import WeightsError

NAME = "test_vit"  # timm's smallest
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def built(seed, classes=0, name=NAME):
    torch.manual_seed(seed)
    return timm.create_model(name, num_classes=classes)


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


TEACHER, STUDENT = built(1).state_dict(), built(2).state_dict()
WRAPPED = {
    "plain": TEACHER,
    "state_dict": {"state_dict": TEACHER, "epoch": 3},
    "model": {"model": TEACHER, "optimizer": {"lr": 0.1}},
    "dino": {
        "teacher": {**prefixed(TEACHER, "backbone."), "head.mlp.0.weight": torch.ones(3, 3)},
        "student": prefixed(STUDENT, "module.backbone."),
        "epoch": 99,
    },
    "ema": {"state_dict": prefixed(STUDENT, "module."), "state_dict_ema": prefixed(TEACHER, "module.")},
    "deep": {"checkpoint": {"model": prefixed(TEACHER, "encoder.")}},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_is_wrapped_around_the_weights_is_taken_off(kind, tmp_path):
    torch.save(WRAPPED[kind], tmp_path / "weights.pth")
    model = TimmModel(f"timm:{NAME}:{tmp_path / 'weights.pth'}")
    assert all(torch.equal(value, TEACHER[key]) for key, value in model.model.state_dict().items())
    assert model.signature == f"timm:{NAME}|weights:{state_hash(built(1))}"


def test_a_signature_is_the_weights_whatever_their_file_is_called(tmp_path):
    save_file(TEACHER, tmp_path / "a.safetensors")
    torch.save({"teacher": prefixed(TEACHER, "backbone.")}, tmp_path / "b.pth")
    signatures = {TimmModel(f"timm:{NAME}:{tmp_path / name}").signature for name in ("a.safetensors", "b.pth")}
    assert len(signatures) == 1
    assert str(tmp_path) not in signatures.pop()


@pytest.mark.parametrize("classes", [7, 1000])
def test_a_classifier_is_taken_off(classes, tmp_path):
    whole = built(3, classes)
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    model = TimmModel(f"timm:{NAME}:{tmp_path / 'whole.pth'}").model
    frame = torch.randn(1, 3, 160, 160)
    whole.reset_classifier(0)
    assert torch.equal(model(frame), whole.eval()(frame))


def without(state, word):
    return {key: value for key, value in state.items() if word not in key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"teacher": {"nothing": torch.ones(2)}}, r"found 1 tensors at teacher, expected \d+; \d+ missing \(cls_token 1x1x64"),
        (
            without(TEACHER, "blocks.0.attn.qkv"),
            r"2 missing \(blocks\.0\.attn\.qkv\.weight \d+x\d+, blocks\.0\.attn\.qkv\.bias",
        ),
        ({**TEACHER, "extra": torch.ones(2)}, r"1 not of it \(extra 2\)"),
        ({**TEACHER, "pos_embed": torch.ones(1, 17, 64)}, r"1 of another shape \(pos_embed 1x17x64, expected 1x101x64\)"),
        (built(1, name="test_resnet").state_dict(), r"does not hold the weights of test_vit"),
        ({"a": TEACHER, "b": STUDENT}, r"more than once, at a and b; save those to use alone"),
        ({"epoch": 3}, r"holds no tensors"),
        (torch.ones(3), r"holds Tensor; expected a table of tensors"),
    ],
)
def test_other_weights_are_one_message(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=message) as caught:
        TimmModel(f"timm:{NAME}:{tmp_path / 'weights.pth'}")
    assert "\n" not in str(caught.value)
    assert "weights.pth" in str(caught.value)


def test_a_folder_and_a_missing_file_are_one_message(tmp_path):
    for path in (tmp_path, tmp_path / "gone.pth"):
        with pytest.raises(WeightsError, match="cannot be read"):
            TimmModel(f"timm:{NAME}:{path}")


@pytest.fixture
def architecture(tmp_path, monkeypatch):
    """A CLIP as small as one can be, as an architecture of open_clip, with weights drawn by seed 1."""
    monkeypatch.setattr("open_clip.factory._MODEL_CONFIGS", {**open_clip.factory._MODEL_CONFIGS, "tiny": CLIP})
    torch.manual_seed(1)
    return "tiny", open_clip.create_model("tiny").state_dict()


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": prefixed(s, "module.")}, lambda s: {"ema": {"model": s}}]
)
def test_a_clip_from_a_file_is_named_by_its_weights_alone(architecture, wrap, tmp_path):
    name, state = architecture
    torch.save(wrap(state), tmp_path / "clip.pt")
    model = ClipModel(f"{name}:{tmp_path / 'clip.pt'}")
    assert all(torch.equal(value, state[key]) for key, value in model.model.state_dict().items())
    assert model.signature == f"open_clip:tiny|weights:{state_hash(model.model)}"


def test_a_clip_of_another_architecture_is_one_message(architecture, tmp_path):
    name, state = architecture
    longer = {**state, "positional_embedding": torch.ones(16, 32)}
    for content, message in ((longer, "positional_embedding 16x32, expected 8x32"), (TEACHER, "missing"), ({}, "no tensors")):
        torch.save(content, tmp_path / "clip.pt")
        with pytest.raises(WeightsError, match=message) as caught:
            ClipModel(f"{name}:{tmp_path / 'clip.pt'}")
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="neither a file nor a tag of open_clip"):
        ClipModel(f"ViT-B-32:{tmp_path / 'gone.pt'}")


def test_flow_weights_are_taken_out_of_a_trainers_file_and_refused_with_what_was_found(tmp_path):
    state = optical_flow.raft_small(weights=None).state_dict()
    torch.save({"model": prefixed(state, "module.")}, tmp_path / "wrapped.pth")
    torch.save(without(state, "flow_head"), tmp_path / "part.pth")
    network = raft._network("raft_small", str(tmp_path / "wrapped.pth"), "cpu")
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    with pytest.raises(WeightsError, match=r"part\.pth.*missing \(update_block\.flow_head"):
        raft._network("raft_small", str(tmp_path / "part.pth"), "cpu")


def test_the_part_is_found_by_most_tensors_in_common(tmp_path):
    torch.save({"a": {"x": torch.ones(2)}, "b": {"deep": {"p.x": torch.ones(3), "p.y": torch.ones(4)}}}, tmp_path / "w.pth")
    part = best_part(tmp_path / "w.pth", {"x": torch.ones(3), "y": torch.ones(4)})
    assert (part.place, sorted(part.state)) == ("b.deep.p", ["x", "y"])
