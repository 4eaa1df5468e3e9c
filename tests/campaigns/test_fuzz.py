"""Files with an accident each, read by every verb that reads them."""

import json
import shutil
from pathlib import Path

import pytest

from reference_model.world.prompts import sample_prompts
from tests.campaigns.fuzz import KINDS, Fuzz
from tests.campaigns.kills import SUITE, Zygote
from tests.campaigns.table import print_table
from tests.commands import sora_eval
from tests.sora_eval.conftest import write_network

SHORT, LONG = 8, 450  # inputs of every kind
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
    return root


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
def test_many_accidents(zygote, template, tmp_path, capsys):
    tallies = [Fuzz(zygote, template, tmp_path / name.replace(" ", "_"), seed=2).inputs(name, LONG) for name in KINDS]
    ends = ("refused", "said", "same", "another input", "traceback", "accepted", "hang")
    with capsys.disabled():
        print_table(["file", "inputs", *ends], [(t.kind, t.inputs, *(t.ends[e] for e in ends)) for t in tallies])
    assert [f"{t.kind}: {f}" for t in tallies for f in t.failures] == []
