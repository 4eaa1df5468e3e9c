"""A small suite of noise, with a metric of clips and one of sets, whose generators and metrics die or hang on demand."""

import sys

import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.suite import load_suite

NOISE = """
import os
import signal
import time

import numpy as np


def once(name):
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def clip(request):
    shape = request.num_frames, request.height, request.width, 3
    return np.random.default_rng(request.seed).integers(0, 256, shape).astype(np.uint8)


def dies_once(request):
    if request.prompt == "two" and once("generator-died"):
        os.kill(os.getpid(), signal.SIGKILL)
    return clip(request)


def fails(request):
    if request.prompt == "two":
        os.kill(os.getpid(), signal.SIGKILL)
    if request.prompt == "three" and request.seed % 2:
        raise ValueError("odd")
    return clip(request)


def dies_and_hangs_once(request):
    while request.prompt == "three" and once("generator-hung"):
        time.sleep(60)
    return dies_once(request)


def slow(request):
    time.sleep(0.5)
    return clip(request)
"""
COLOURS = """
import os
import signal

import torch

from noise import once
from sora_eval.metrics.base import Output, SetMetric
from sora_eval.stats.distances import kernel_distance
from sora_eval.stats.set_statistic import SetStatistic


class Colours:
    signature = "mean-colour"

    def __call__(self, frames):
        return frames.mean((1, 2))


class ColourDistance(SetMetric):
    outputs = (Output("colour_distance", "1", False, "real"),)
    signature = "colour_distance|mmd"
    least = 2
    statistic = SetStatistic(kind="mmd-cubic")
    extractor = Colours()

    def features(self, view):
        if os.path.exists("kill-scorer") and view.case.prompt.text == "one" and once("scorer-died"):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.extractor(view.clip.frames / 255).ravel()

    def compute(self):
        return torch.tensor([kernel_distance(*self.sets())])
"""
SUITE = """
[suite]
id = "noise"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["16x16"]
frames = [5]
seeds = [0, 1]
[metrics.temporal_flickering]
[metrics."colours:ColourDistance"]
[reference]
generator = "python:noise:clip"
seed_offset = 1000
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with `noise.toml` and its modules, made the current one."""
    prompts = "".join(f'{{"id": "{text}", "text": "{text}"}}\n' for text in ("one", "two", "three"))
    files = {"prompts.jsonl": prompts, "noise.py": NOISE, "colours.py": COLOURS, "noise.toml": SUITE}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("noise", "colours"):
        sys.modules.pop(name, None)


@pytest.fixture
def whole(place):
    """The run without an engine."""
    return evaluate.run(load_suite("noise.toml"), "python:noise:clip", "runs")
