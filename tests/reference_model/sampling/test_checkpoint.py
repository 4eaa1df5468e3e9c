"""A checkpoint that is damaged, of another type, or of absurd sizes is one message that names the file."""

import json
import shutil

import pytest

from reference_model.config import ConfigError, load_config
from reference_model.sampling.backends import load_backend
from reference_model.sampling.checkpoint import CHECKPOINTS, COMPONENTS, CheckpointError, read_checkpoint, resolve, shipped
from reference_model.sampling.pipeline import Pipeline, Request


@pytest.fixture
def folder(tmp_path):
    """A copy of `base`, with the files that it shares."""
    shutil.copytree(CHECKPOINTS / "shared", tmp_path / "shared")
    return shutil.copytree(CHECKPOINTS / "base", tmp_path / "mine")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def unsealed(folder):
    """The folder without its digests, as an older export wrote it."""
    edit(folder / "checkpoint.json", sha256={})
    return folder


def test_shipped_checkpoints_are_what_their_digests_say():
    for name in shipped():
        record = read_checkpoint(resolve(name))
        assert set(record.sha256) == {*COMPONENTS, "config.json"}
        record.check("config.json", record.folder / "config.json")
        for component in COMPONENTS:
            record.checked(component)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("file", ["dit/model.onnx", "config.json"])
def test_a_flipped_bit_is_found(folder, backend, file):
    data = bytearray((folder / file).read_bytes())
    place = len(data) // 2 if file.endswith("onnx") else data.index(b"20")
    data[place] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{file} is not the file that was exported"):
        load_backend(str(folder), backend)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_cut_graph_is_one_message(folder, backend):
    path = unsealed(folder) / "dit/model.onnx"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"dit/model.onnx cannot be opened as ONNX"):
        load_backend(str(folder), backend)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "is a list; expected a table"),
        ("3", "is a int; expected a table"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
        ("{}", "should name the files"),
        ('{"components": []}', "should name the files"),
        (json.dumps({"components": dict.fromkeys(COMPONENTS, 3)}), "should name the files"),
        (json.dumps({"components": dict.fromkeys(COMPONENTS, "a\0b")}), "is missing"),
        (json.dumps({"components": dict.fromkeys(COMPONENTS, "x" * 5000)}), "is missing"),
        (json.dumps({"components": dict.fromkeys(COMPONENTS, "dit/model.onnx"), "made": 3}), "should be tables"),
        (json.dumps({"components": dict.fromkeys(COMPONENTS, "dit/model.onnx"), "extra": 3}), "unknown key 'extra'"),
    ],
)
def test_a_record_of_another_type_is_one_message(folder, text, words):
    (folder / "checkpoint.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(folder)


def test_steps_that_are_no_number_are_not_known(folder):
    edit(folder / "checkpoint.json", made={"dit_steps_done": "many"})
    assert read_checkpoint(folder).training_steps is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "the file: found"),
        ("3", "the file: found"),
        ("[" * 100_000, "is not JSON"),
        ('{"dit": 3}', "dit: found 3"),
        ('{"dit": {"width": 1000000000}}', "dit.width: found 1000000000, input should be less than"),
        ('{"dit": {"depth": 0}}', "dit.depth: found 0, input should be greater than"),
        ('{"dit": {"rope_split": [1, 2, 99999]}}', "rope_split"),
        ('{"sampling": {"guidance_scale": NaN}}', "guidance_scale: found nan"),
        ('{"dit": {"wide": "' + "x" * 500 + '"}}', "unknown key 'wide'"),
    ],
)
def test_a_config_of_another_type_or_of_absurd_sizes_is_one_message(folder, text, words):
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(folder / "config.json")
    assert len(str(caught.value)) < 500


def test_a_config_that_is_no_text_is_one_message(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config.json cannot be read"):
        load_config(folder / "config.json")


@pytest.mark.parametrize(("table", "sizes"), [("dit", {"width": 8192, "depth": 256}), ("vae", {"latent_channels": 5})])
def test_a_config_of_another_network_is_found_before_memory_is_asked_for(folder, table, sizes):
    config_of(folder, table, sizes)
    with pytest.raises(CheckpointError, match=r"its config.json expects|does not hold the weights|makes no network"):
        load_backend(str(folder), "torch")


def test_a_graph_that_does_not_take_what_its_config_says_is_one_message(folder):
    config_of(folder, "dit", {"channels": 5})
    with pytest.raises(CheckpointError, match=r"dit/model.onnx fails: .*; is it of the config.json"):
        Pipeline.load(str(folder)).generate([Request("a red circle falls", num_frames=5, num_inference_steps=1)])


def config_of(folder, table, sizes):
    config = json.loads((unsealed(folder) / "config.json").read_text())
    config[table] |= sizes
    (folder / "config.json").write_text(json.dumps(config))
