"""What a user can get wrong has one clear message."""

import json

import pytest

from reference_model.config import PRESETS, ConfigError, ModelConfig, load_config, override, parse_config
from reference_model.errors import ReferenceModelError
from reference_model.networks.text import PromptError, tokenize
from reference_model.packing.shapes import ShapeError, check_shape
from reference_model.sampling.backends import load_backend
from reference_model.sampling.checkpoint import CheckpointError, resolve
from reference_model.sampling.pipeline import Request


def test_unknown_words_are_named_with_the_nearest_known():
    with pytest.raises(PromptError, match=r"'circel'; nearest known word: 'circle'"):
        tokenize(["a red circel falls"])


def test_an_over_long_prompt_is_refused():
    with pytest.raises(PromptError, match="50 words; at most 46"):
        tokenize([" ".join(["red"] * 50)])


def test_an_empty_prompt_is_refused():
    with pytest.raises(ReferenceModelError, match="the prompt is empty"):
        Request(" ").with_defaults(ModelConfig().sampling)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((10, 32, 32), "frames = 10 is not 1 . a multiple of 4; nearest valid: 9, 13"),
        ((17, 33, 32), "height = 33 is not a multiple of 8; nearest valid: 32, 40"),
        ((17, 32, 4), "width = 4 is not a multiple of 8; nearest valid: 8, 16"),
    ],
)
def test_shapes_that_do_not_fit_name_the_nearest(shape, words):
    with pytest.raises(ShapeError, match=words):
        check_shape(*shape)


def test_config_is_strict_and_survives_its_file(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'widht'; did you mean 'width'"):
        parse_config('{"dit": {"widht": 3}}', "config")
    with pytest.raises(ConfigError, match=r"dit.depth: found '8', input should be a valid integer"):
        parse_config('{"dit": {"depth": "8"}}', "config")
    with pytest.raises(ConfigError, match=r"dit.rope_split: found 'abc', input should be a valid array"):
        override(PRESETS["tiny"], ['dit.rope_split="abc"'])
    ModelConfig().save(tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == ModelConfig()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        load_config(tmp_path / "config.json")


def test_checkpoints_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="'nothing' is neither shipped nor a folder"):
        resolve("nothing")
    folder = tmp_path / "mine"
    folder.mkdir()
    base = resolve("base")
    names = json.loads((base / "checkpoint.json").read_text())["components"]
    parts = {k: str((base / v).resolve()) for k, v in names.items()}
    (folder / "config.json").write_text((base / "config.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({"components": {**parts, "dit": "gone.onnx"}}))
    with pytest.raises(CheckpointError, match=r"dit of checkpoint 'mine' is missing: .*gone.onnx"):
        load_backend(str(folder), "onnx")
    (folder / "gone.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match="cannot be opened as ONNX"):
        load_backend(str(folder), "onnx")
    with pytest.raises(ReferenceModelError, match="device 'cuda' was asked for"):
        load_backend("base", "onnx", device="cuda")
    with pytest.raises(ReferenceModelError, match="backend 'tf' is not known"):
        load_backend("base", "tf")
