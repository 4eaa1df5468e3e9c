"""A CLIP in a folder of transformers has the vectors of transformers, and a folder of something else is one message."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from open_clip.tokenizer import bytes_to_unicode
from PIL import Image
from safetensors.torch import load_file, save_file

from sora_eval.features.image_text import load
from sora_eval.features.transformers_clip import TransformersClip
from sora_eval.metrics.create import create
from sora_eval.util.errors import WeightsError
from tests.conftest import view_of

LETTERS = list(bytes_to_unicode().values())
WORDS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny CLIP as `save_pretrained` leaves it, with its preprocessor and its tokenizer."""
    folder = tmp_path_factory.mktemp("transformers") / "clip"
    end = {"bos_token_id": len(WORDS) - 2, "eos_token_id": len(WORDS) - 1, "pad_token_id": len(WORDS) - 1}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={**TOWER, **end, "vocab_size": len(WORDS), "max_position_embeddings": 12},
        vision_config={**TOWER, "image_size": 24, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    sizes = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**sizes, "image_processor_type": "CLIPImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    )
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "clip")


def unit(vectors):
    return torch.nn.functional.normalize(vectors, dim=-1).detach().numpy()


def test_vectors_are_those_of_transformers(whole, rng):
    frames = rng.integers(0, 256, (3, 37, 50, 3), dtype=np.uint8)
    model = transformers.CLIPModel.from_pretrained(whole).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(whole)
    tokens = transformers.AutoTokenizer.from_pretrained(whole)("a red ball", return_tensors="pt")
    outputs = model(**tokens, **processor([Image.fromarray(f) for f in frames], return_tensors="pt"))
    ours = load(str(whole))
    assert np.allclose(ours.embed_images(frames), unit(outputs.image_embeds), atol=1e-6)
    assert np.allclose(ours.embed_text("a red ball"), unit(outputs.text_embeds)[0], atol=1e-6)


def test_a_prompt_beyond_the_context_is_cut_and_keeps_its_end(whole):
    model = TransformersClip(whole)
    assert (model.is_cut("ten letter"), model.is_cut("twelve letters")) == (False, True)
    assert np.array_equal(model.embed_text("abcdefghijklmnop"), model.embed_text("abcdefghijxxxxx"))


def test_metrics_take_it_and_name_it_by_its_weights(whole, folder, rng):
    frames = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    metric = create("clip_score", {"model": str(whole)})
    assert -100 <= metric.score(view_of(frames))["clip_score"].value <= 100
    assert metric.signature == create("clip_score", {"model": str(folder)}).signature
    assert "transformers:clip|weights:" in metric.signature
    assert create("subject_consistency", {"model": str(whole)}).score(view_of(frames))["subject_consistency"].value <= 1


def edit(name, **values):
    def change(folder):
        data = json.loads((folder / name).read_text())
        for place, value in values.items():
            *towers, key = place.split("__")
            (data[towers[0]] if towers else data)[key] = value
        (folder / name).write_text(json.dumps(data))

    return change


def drop(word):
    def change(folder):
        state = {k: v for k, v in load_file(folder / "model.safetensors").items() if word not in k}
        save_file(state, folder / "model.safetensors", {"format": "pt"})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("config.json", model_type="siglip"), "of the type 'siglip'; expected 'clip'"),
        (edit("config.json", text_config__hidden_size=10**9), "text_config.hidden_size = 1000000000; expected at most"),
        (edit("config.json", vision_config__hidden_size=32), "could not be loaded|does not hold the weights"),
        (edit("config.json", text_config__vocab_size=100), "could not be loaded|does not hold the weights"),
        (drop("visual_projection"), r"1 missing \(visual_projection.weight\)"),
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 100), "could not be loaded"),
        (lambda f: (f / "config.json").write_text("["), "is no config of a CLIP"),
        (lambda f: (f / "preprocessor_config.json").write_text("["), "is no preprocessor"),
        (lambda f: (f / "vocab.json").unlink(), "has no tokenizer; copy tokenizer.json or vocab.json"),
        (lambda f: (f / "vocab.json").write_text("["), "the tokenizer in .* could not be loaded"),
    ],
)
def test_what_is_no_clip_is_one_message(folder, change, message):
    change(folder)
    with pytest.raises(WeightsError, match=message) as caught:
        create("clip_score", {"model": str(folder)})
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_preprocessor_that_is_missing_is_assumed_and_said(folder):
    named = TransformersClip(folder).signature
    (folder / "preprocessor_config.json").unlink()
    assumed = TransformersClip(folder).signature
    assert assumed.endswith("|preprocessing:assumed")
    assert assumed != f"{named}|preprocessing:assumed"  # CLIP's mean and deviation are others


def test_pictures_need_no_tokenizer(folder):
    (folder / "vocab.json").unlink()
    create("subject_consistency", {"model": str(folder)})
