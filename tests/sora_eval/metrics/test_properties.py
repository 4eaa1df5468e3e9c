"""Properties of every metric of the registry: batches, order, merging, pickling and workers change no number."""

import json
import pickle
import shutil
import textwrap

import numpy as np
import pytest
import torch

from reference_model.world import ObjectFacts
from reference_model.world.prompts import sample_prompts
from sora_eval.metrics.base import ClipMetric
from sora_eval.metrics.create import create
from sora_eval.pipeline import run as evaluate
from sora_eval.registry.metrics import METRICS
from sora_eval.runs.rows import AttributionRow, MetricRow, ScoreRow
from sora_eval.suite import load_suite
from sora_eval.util.ownership import key_file
from tests.conftest import view_of, world_clip

SETS = [n for n, i in METRICS.built_in.items() if "network" in i.options and i.kind == "set"]
COLOURS = ("red", "blue", "green", "yellow", "magenta", "cyan")


@pytest.fixture(scope="module")
def views():
    """17 small clips; the last ones are still, so that no two halves are alike."""
    out = []
    for i in range(17):
        motion = ("falls", "bounces", "rests")[i % 3]
        clip = world_clip(ObjectFacts(COLOURS[i % 6], ("circle", "square", "triangle")[i % 3], motion), seed=i, frames=9)
        given = (clip.frames[:1] * (0.9 + 0.01 * i)).astype(np.uint8)  # nearly the first frame
        out.append(view_of(clip.frames, clip.scene.facts, f"a {COLOURS[i % 6]} circle {motion}", given=given))
    return out


def options(name, network):
    # The small network stands in for I3D, whose own values test_i3d.py holds.
    return {"network": str(network)} if name in SETS else {}


def fresh(name, views, network):
    metric = create(name, options(name, network))
    if isinstance(metric, ClipMetric):
        metric.prepare([v.case.prompt for v in views])
    return metric


def fill(metric, views, batch):
    for i in range(0, len(views), batch):
        part = views[i : i + batch]
        metric.update(part if batch > 1 else part[0])
        if not isinstance(metric, ClipMetric):
            metric.update([_mirrored(v) for v in part], real=True)
    return metric


def _mirrored(view):
    return view_of(view.clip.frames[::-1, ::-1], None, view.case.prompt.text)


def same(metric, other):
    a, b = metric.compute().reshape(-1), other.compute().reshape(-1)
    assert torch.allclose(a, b, rtol=1e-6, atol=1e-6, equal_nan=True), (a, b)


# What needs files has its own test of this: physics_iq of real takes, VBench's and two of pictures of networks. So has
# continuation, which needs the world's clip of a request's own seed.
ALONE = ("physics_iq", "continuation", "aesthetic", "imaging_quality")
WITHOUT_FILES = [n for n, i in METRICS.built_in.items() if n not in ALONE and i.family != "vbench"]


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_batches_order_merging_and_pickling_change_nothing(name, views, network):
    whole = fill(fresh(name, views, network), views, 1)
    assert torch.isfinite(whole.compute()).any()
    for batch in (3, 16):
        same(whole, fill(fresh(name, views, network), views, batch))
    shuffled = [views[i] for i in np.random.default_rng(0).permutation(len(views))]
    same(whole, fill(fresh(name, views, network), shuffled, 1))
    parts = [fill(fresh(name, views, network), p, 3) for p in (views[:5], views[5:6], views[6:])]
    for other in parts[1:]:
        parts[0].merge_state(other)
    same(whole, parts[0])
    again = pickle.loads(pickle.dumps(whole))
    same(whole, again)
    again.reset()
    if isinstance(again, ClipMetric):
        assert again.count.sum() == 0
    same(whole, fill(again, views, 3))


@pytest.mark.parametrize("name", [n for n in WITHOUT_FILES if METRICS.built_in[n].kind == "per-clip"])
def test_a_per_clip_metric_is_the_mean_of_its_scores(name, views, network):
    metric = fill(fresh(name, views, network), views, 1)
    scores = [metric.score(v) for v in views]
    for value, output in zip(metric.compute().reshape(-1).tolist(), metric.outputs, strict=True):
        known = [s[output.name].value for s in scores if s[output.name].value is not None]
        assert np.isnan(value) if not known else value == pytest.approx(np.mean(known))


SUITE = """
[suite]
id = "all"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["32x32"]
frames = [9]
[reference]
generator = "world"
copies = 2
"""


def test_workers_change_nothing_and_rows_keep_the_order_of_the_plan(tmp_path, monkeypatch, network):
    prompts = sample_prompts(5, 3)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    tables = "".join(
        f"[metrics.{n}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in options(n, network).items())
        for n in METRICS.built_in
    )
    (tmp_path / "all.toml").write_text(textwrap.dedent(SUITE) + tables)
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "cache-1"))
    one = evaluate.run(load_suite(tmp_path / "all.toml"), "world", tmp_path / "runs")
    before = {t: one.rows(t) for t in (ScoreRow, MetricRow, AttributionRow)}
    assert not [r.reason for r in before[MetricRow] if r.status == "error"]
    # Another cache (of the same user), and no reference features: the workers must do the work themselves.
    (tmp_path / "cache-2").mkdir()
    shutil.copy2(tmp_path / "cache-1" / key_file().name, tmp_path / "cache-2")
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "cache-2"))
    for file in (one.path / "features").iterdir():
        file.unlink()
    two = evaluate.rescore(one, workers=2)
    assert [r.id for r in two.rows(ScoreRow)] == [r.id for r in before[ScoreRow]]
    for table, old in before.items():
        for a, b in zip(old, two.rows(table), strict=True):
            for key, value in a:
                if isinstance(value, float):
                    assert getattr(b, key) == pytest.approx(value, rel=1e-6, abs=1e-6), (table, key, a, b)
                elif key not in ("detail", "reason"):
                    assert getattr(b, key) == value
