"""The scale of a suite: its marks are what runs of such clips have, measured once and kept by content."""

import json

import numpy as np
import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline import scale as scales
from sora_eval.records.scale import PERFECT, TRIVIAL_MARKS
from sora_eval.runs import scales as known
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from sora_eval.suite.loading import shipped
from sora_eval.util.errors import SuiteError
from sora_eval_reports.answer.of_runs import of_run, scale_behind
from tests.commands import sora_eval

TRIVIAL_GENERATORS = """
import numpy as np

from sora_eval.metrics.base import Output, SetMetric
from sora_eval.stats.distances import frechet_distance
from sora_eval.stats.set_statistic import SetStatistic


class Colour:
    signature, cached = "mean-rgb", False

    def __call__(self, clip):
        return clip.frames.mean((0, 1, 2))


class ColourDistance(SetMetric):
    \"\"\"Frechet distance of mean colours.\"\"\"

    outputs = (Output("colour_distance", "levels^2", False, ">= 0"),)
    signature, extractor, least = "colour", Colour(), 4
    statistic = SetStatistic(kind="frechet")

    def compute(self):
        import torch

        return torch.tensor([frechet_distance(*self.sets())], dtype=torch.float64)


def black(request):
    return np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)
"""


@pytest.fixture
def suite(workspace, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(workspace / "cache"))
    text = (workspace / "small.toml").read_text().replace("[metrics.clip_score]\n", "").split("[throughput]")[0]
    text = text.replace("[axes]", '[reference]\ngenerator = "world"\n\n[axes]') + '[metrics."scale_module:ColourDistance"]\n'
    (workspace / "scaled.toml").write_text(text)
    (workspace / "scale_module.py").write_text(TRIVIAL_GENERATORS)
    monkeypatch.delitem(__import__("sys").modules, "scale_module", raising=False)
    return load_suite("scaled.toml")


def values_of(run):
    return {r.metric: (r.value, r.n_scored) for r in run.rows(MetricRow) if r.slice == "all"}


def test_marks_are_the_values_of_runs_of_such_clips(suite, workspace):
    key, scale = scales.measured(suite)
    assert key == known.key_of(suite)
    assert scale.clips == len(suite.cases) == 16
    for mark, spec in ((PERFECT, "world"), ("black", "python:scale_module:black"), ("vae", "vae")):
        for metric, (value, n) in values_of(evaluate.run(suite, spec, "runs")).items():
            found = scale.metrics[metric].marks[mark]
            assert found.n == (0 if value is None else n)
            assert found.value == (None if value is None else pytest.approx(value, rel=1e-6))
    flicker = scale.metrics["temporal_flickering"]
    assert set(flicker.marks) == {PERFECT, "vae", *TRIVIAL_MARKS}
    assert flicker.marks["black"].value == flicker.marks["frozen"].value == 1.0  # stiller than the world
    assert flicker.zero == "noise"
    assert scale.metrics["physics_laws.permanence"].marks["black"].reason or scale.metrics["physics_laws.permanence"].zero
    assert scale.metrics["colour_distance"].of_n


def test_it_is_measured_once_and_kept_by_content(suite, workspace, monkeypatch):
    first = scales.scale_for(suite)
    monkeypatch.setattr(scales, "measured", lambda suite: pytest.fail("measured again"))
    assert scales.scale_for(load_suite("scaled.toml")) == first
    text = (workspace / "scaled.toml").read_text()
    (workspace / "gated.toml").write_text(
        text.replace("[axes]", '[oracles]\ngenerators = ["world"]\n\n[axes]')
        + "[gates.temporal_flickering]\nmax_decrease = 1\n"
    )
    assert scales.scale_for(load_suite("gated.toml")) == first  # what is asked is the same
    assert known.known_scale(known.key_of(load_suite("scaled.toml", ["axes.seeds=[1]"]))) is None
    path = next((workspace / "cache" / "scales").iterdir())
    path.write_text(path.read_text().replace("temporal", "temporary"))
    assert known.known_scale(known.key_of(suite)) is None  # damaged: as if there were none


def test_the_answer_and_the_table_of_a_run_have_it(suite):
    run = evaluate.run(suite, "python:my_generator:noisy", "runs")
    assert scale_behind(run) is None
    assert "no scale of this suite is known" in of_run(run).text
    before = sora_eval("show", run.path).stdout
    assert "no scale is known behind these values; it is measured by: sora-eval scale small" in before
    assert "0 trivial" not in before
    done = sora_eval("scale", "scaled.toml")
    assert done.returncode == 0, done.stderr
    assert "16 cases x 6 kinds of clips (perfect, vae, black, noise, frozen, shuffled)" in " ".join(done.stderr.split())
    answer, out = of_run(run), sora_eval("show", run.path).stdout
    assert answer.text.startswith("from trivial clips (0) to perfect ones (1), python:my_generator:noisy on small stands at ")
    assert answer.line.split(":")[0] in out
    assert "#" in out
    perfect = evaluate.run(suite, "world", "runs")
    text = of_run(perfect).text
    assert "1 in temporal" in text
    assert "1 in custom" in text


def test_other_protocols_and_other_n_are_not_placed(suite):
    scales.scale_for(suite)
    run = evaluate.run(suite, "world", "runs", limit=8)
    scale = scale_behind(run)
    rows = {r.metric: r for r in run.rows(MetricRow) if r.slice == "all"}
    place = {m: scale.of(m, r.signature).place(r.value, r.n_scored) for m, r in rows.items() if scale.of(m, r.signature)}
    assert place["temporal_flickering"] is not None
    assert place["colour_distance"] is None  # of 8 clips, the scale is of 16
    assert scale.of("temporal_flickering", "another|protocol") is None


def test_a_folder_of_real_clips_is_its_own_scale(suite, workspace):
    made = evaluate.run(suite, "world", "runs")
    text = (workspace / "scaled.toml").read_text()
    head, metrics = text[: text.index("[prompts]")], text[text.index("[metrics.") :]
    metrics = metrics.replace("[metrics.physics_laws]\n", "")
    folder = f"folder:{made.path / 'clips'}"
    (workspace / "real.toml").write_text(f'{head}[reference]\ngenerator = "{folder}"\n\n{metrics}')
    scale = scales.scale_for(load_suite("real.toml"))
    assert scale.metrics["temporal_flickering"].marks[PERFECT].value == pytest.approx(values_of(made)["temporal_flickering"][0])
    assert "kvd and mmd do not depend on n" in scale.metrics["colour_distance"].why_none
    run = evaluate.run(load_suite("real.toml"), folder, "runs")
    found = scale_behind(run)
    assert found is not None
    assert found.metrics.keys() == scale.metrics.keys()
    assert "its clips are the reference set itself" in of_run(run).text


def test_without_perfect_clips_there_is_one_message(workspace):
    (workspace / "prompts.jsonl").write_text(json.dumps({"id": "a", "text": "a fox"}) + "\n")
    (workspace / "real.toml").write_text(
        '[suite]\nid = "x"\n[prompts]\nfile = "prompts.jsonl"\n[axes]\nshapes = ["32x32"]\nframes = [9]\n[metrics.point_laws]\n'
    )
    with pytest.raises(SuiteError, match="no perfect clips are known"):
        scales.scale_for(load_suite("real.toml"))
    done = sora_eval("scale", "real.toml")
    assert done.returncode == 2
    assert "[reference] with generator" in done.stderr


def test_shipped_scales_are_of_the_shipped_suites():
    stored = known.from_json(json.loads(known.SHIPPED.read_text()))
    suites = {known.key_of(s): s for s in map(load_suite, shipped()) if s.metrics and scales.of_world(s)}
    assert stored.keys() <= suites.keys()
    for key, scale in stored.items():
        assert not scales._missing(suites[key], scale)
        for metric, own in scale.metrics.items():
            if own.zero:
                assert own.place(own.marks[PERFECT].value) == 1.0, metric
                assert np.isfinite([m.value for m in own.marks.values() if m.value is not None]).all()
