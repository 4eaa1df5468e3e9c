"""Files with an accident each, read by every verb that reads them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from reference_model.world.prompts import sample_prompts
from sora_eval.runs.folder import RunFolder
from tests.campaigns.fuzz import ENDS, KINDS, SELFCHECK, Fuzz
from tests.campaigns.kills import PLAIN, SUITE, TIMED, Zygote
from tests.commands import sora_eval
from tests.conftest import ROOT
from tests.sora_eval.conftest import GENERATOR, write_network

SHORT, LONG = 6, 300  # inputs of every kind
SAMPLED = """
[suite]
id = "sampled"
[prompts]
file = "prompts.jsonl"
limit = 1
[axes]
shapes = ["24x24"]
frames = [5]
[generate]
num_inference_steps = 2
[metrics.temporal_flickering]
"""
CLIP = """
[suite]
id = "clip"
[metrics.clip_score]
model = "models/clip"
"""
NATIVE = """
[suite]
id = "native"
[reference]
generator = "folder:reals"
[metrics.temporal_flickering]
[metrics.fvd]
network = "network.onnx"
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two runs with features, verdicts and a baseline, a suite with prompts, and a folder of videos with a manifest."""
    root = tmp_path_factory.mktemp("fuzzed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        prompts = sample_prompts(8, 3)
        Path("prompts.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
        write_network(root / "network.onnx")
        Path("kills.toml").write_text(SUITE.replace("NETWORK", "network.onnx"))
        Path("native.toml").write_text(NATIVE)
        for name in ("a", "b"):
            assert sora_eval("run", "kills.toml", "-g", "world", "--out", f"made/{name}").returncode == 0
            Path("runs").mkdir(exist_ok=True)
            next(Path(f"made/{name}").iterdir()).rename(f"runs/{name}")
        assert sora_eval("baseline", "promote", "runs/b", "--to", "base.json").returncode == 0
        assert sora_eval("gate", "runs/a", "--baseline", "base.json").returncode == 0
        Path("videos").mkdir()
        shutil.copytree("runs/b/clips", "reals")
        clips = sorted(Path("runs/a/clips").iterdir())[:3]
        rows = []
        for i, clip in enumerate(clips):
            shutil.copy(clip, f"videos/clip_{i}.mkv")
            rows.append({"path": f"clip_{i}.mkv", "prompt": f"a red circle, {i}", "seed": i})
        Path("videos/manifest.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        shutil.rmtree("made")
        _manifests(rows)
        _run_under_way()
        Path("my_generator.py").write_text(GENERATOR + PLAIN)
        Path("timed.toml").write_text(TIMED.replace("PROMPT", prompts[0]["text"]))
        assert sora_eval("run", "timed.toml", "-g", "python:my_generator:plain", "--out", "made").returncode == 0
        next(Path("made").iterdir()).rename("runs/timed")
        assert sora_eval(*SELFCHECK[0]).returncode == 0
        for name in ("early", "shared", "clip"):
            shutil.copytree(ROOT / "reference_model/checkpoints" / name, f"models/{name}")
        Path("model.toml").write_text(SAMPLED)
        Path("clip.toml").write_text(CLIP)
    return root


def _manifests(rows):
    """The folder of videos twice more, with its manifest in other formats."""
    for name in ("csv", "parquet"):
        shutil.copytree("videos", name)
        Path(name, "manifest.jsonl").unlink()
    pd.DataFrame(rows).to_csv("csv/manifest.csv", index=False)
    pd.DataFrame(rows).to_parquet("parquet/manifest.parquet")


def _run_under_way():
    """The run a as a kill in the middle of scoring would have left it."""
    shutil.copytree("runs/a", "runs/half")
    run = RunFolder(Path("runs/half"))
    run.repair()
    run.update_head(status="started", finished=None)
    scores = run.path / "scores.jsonl"
    scores.write_text("".join(scores.read_text().splitlines(keepends=True)[:-5]))
    for name in ("metrics.jsonl", "attribution.jsonl", "verdicts.json"):
        (run.path / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def zygote():
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.mark.parametrize("name", KINDS)
def test_an_accident_is_never_a_traceback_nor_another_result(zygote, template, tmp_path, name):
    tally = Fuzz(zygote, template, tmp_path / "work", seed=1).inputs(name, SHORT)
    assert not tally.failures, "\n".join(tally.failures)


@pytest.mark.campaign
@pytest.mark.parametrize("name", KINDS)
def test_many_accidents(zygote, template, tmp_path, name, record_property):
    tally = Fuzz(zygote, template, tmp_path / "work", seed=2).inputs(name, LONG)
    record_property("campaign", [["file", "inputs", *ENDS], tally.row()])
    assert not tally.failures, "\n".join(tally.failures)
