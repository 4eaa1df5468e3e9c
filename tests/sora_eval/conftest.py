"""A small suite and a generator of one's own, as a user would write them."""

from __future__ import annotations

import json
import textwrap

import onnx
import pytest

from reference_model.world.prompts import sample_prompts

GENERATOR = """
from sora_eval.records.capabilities import Capabilities
import time

import numpy as np

from reference_model.world import Facts, make_clip

SLOW = 0.0


def generate(request):
    time.sleep(SLOW)
    rng = np.random.default_rng(request.seed)
    clip = make_clip(Facts.from_json(request.facts), request.height, request.width, request.num_frames, rng)
    return clip.frames


def noisy(request):
    frames = generate(request).astype(int)
    return (frames + np.random.default_rng(request.seed).integers(-60, 61, frames.shape)).clip(0, 255).astype(np.uint8)


def slow(request):
    time.sleep(0.15)
    return generate(request)


def broken(request):
    if "bounces" in request.prompt:
        return None
    if "red" in request.prompt:
        raise RuntimeError("no red today")
    if "blue" in request.prompt:
        return np.full((request.num_frames, request.height, request.width, 3), np.nan)
    if "green" in request.prompt:
        return generate(request)[:-1]
    return generate(request)


broken.capabilities = Capabilities()  # stated: a clip that does not fit is a row, the first one too
"""

SUITE = """
[suite]
id = "small"

[prompts]
file = "prompts.jsonl"

[axes]
shapes = ["32x32", "40x24"]
frames = [9]

[metrics.temporal_flickering]
[metrics.clip_score]
[metrics.physics_laws]

[throughput]
prompt = "PROMPT"
shapes = ["32x32x5"]
repeats = 2
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A folder with `small.toml`, its prompts and `my_generator.py`, made the current one."""
    prompts = sample_prompts(8, 3)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    (tmp_path / "small.toml").write_text(textwrap.dedent(SUITE).replace("PROMPT", prompts[0]["text"]))
    (tmp_path / "my_generator.py").write_text(GENERATOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "my_generator", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A video network in an ONNX file: mean over time, then over a 4x4 grid; (N, 3, T, 224, 224) to (N, 48)."""
    return write_network(tmp_path_factory.mktemp("network") / "means.onnx")


def write_network(path, *, flatten=True, rank=5):
    shape = ["n", 3, "t", 224, 224] if rank == 5 else ["n", 3, 224, 224]
    nodes = [
        onnx.helper.make_node("ReduceMean", ["video", "time"], ["still"], keepdims=0),
        onnx.helper.make_node(
            "AveragePool", ["still" if rank == 5 else "video"], ["cells"], kernel_shape=[56, 56], strides=[56, 56]
        ),
        onnx.helper.make_node("Flatten" if flatten else "Identity", ["cells"], ["out"]),
    ]
    graph = onnx.helper.make_graph(
        nodes if rank == 5 else nodes[1:],
        "means",
        [onnx.helper.make_tensor_value_info("video", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)],
        [onnx.helper.make_tensor("time", onnx.TensorProto.INT64, [1], [2])],
    )
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path
