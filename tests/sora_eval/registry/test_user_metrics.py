"""Metrics of a user's own, `[metrics."module:Class"]`, in every verb, and in reports without their code."""

import json
import shutil
import sys

import numpy as np
import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import MetricRow, ScoreRow
from sora_eval_reports import frames
from tests.commands import sora_eval

MODULE = """
import numpy as np
import torch

from sora_eval.metrics.base import ClipMetric, Output, Score, SetMetric
from sora_eval.stats.distances import kernel_distance
from sora_eval.stats.set_statistic import SetStatistic


class Brightness(ClipMetric):
    family = "picture"
    outputs = (Output("brightness", "grey levels", True, "0 to 255"),)
    signature = "brightness"

    def __init__(self, gain: float = 1.0):
        super().__init__()
        self.gain = gain

    def score(self, view):
        return {"brightness": Score(np.float32(self.gain * view.clip.frames.mean()))}


class Colours:
    signature = "mean-colour"

    def __call__(self, frames):
        return frames.mean((0, 1, 2))


class ColourDistance(SetMetric):
    outputs = (Output("colour_distance", "1", False, "real"),)
    signature = "colour_distance|mmd"
    least = 2
    statistic = SetStatistic(kind="mmd-cubic")
    extractor = Colours()

    def features(self, view):
        return self.extractor(view.clip.frames / 255)

    def compute(self):
        return torch.tensor([kernel_distance(*self.sets())])


class Broken(ClipMetric):
    outputs = (Output("broken", "1", True, "real"),)
    signature = "broken"

    def score(self, view):
        return {"broken": 1 / 0 if view.case.prompt.id == "p0" else 2.0 if view.case.prompt.id == "p1" else Score(1.0)}


class BrokenSet(ColourDistance):
    outputs = (Output("broken_set", "1", False, "real"),)

    def features(self, view):
        raise KeyError(view.case.prompt.id)


class Unmade(ClipMetric):
    outputs = (Output("unmade.a", "1", True, "real"), Output("unmade.b", "1", True, "real"))
    signature = "unmade"

    def __init__(self):
        raise RuntimeError("no licence today")

    def score(self, view):
        return {}


class Unsigned(ClipMetric):
    outputs = (Output("unsigned", "1", True, "real"),)

    def score(self, view):
        return {"unsigned": Score(1.0)}


def draw(request):
    grey = np.random.default_rng(request.seed).integers(90, 110)
    return np.full((request.num_frames, request.height, request.width, 3), grey, np.uint8)


draw.fingerprint = "grey"


def dark(request):
    return draw(request) // 3
"""
HEAD = """
[suite]
id = "mine"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["16x16"]
frames = [3]
[reference]
generator = "python:verbs_metrics:draw"
"""
GOOD = """
[metrics."verbs_metrics:Brightness"]
gain = 2.0
[metrics."verbs_metrics:ColourDistance"]
[gates.brightness]
max_decrease = 20.0
[gates.colour_distance]
max_increase = 50.0
min_change = 1.0
"""
BAD = "".join(f'[metrics."verbs_metrics:{name}"]\n' for name in ("Broken", "BrokenSet", "Unmade", "Unsigned"))
FEW = (
    "--pool",
    "pool",
    "--repeats",
    "2",
    "--others",
    "1",
    "--draws",
    "10",
    "--power",
    "10",
    "--workers",
    "1",
    "--seeds",
    "1",
    "1",
)
RUN = ("-g", "python:verbs_metrics:draw")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the user's module, a suite of good metrics with its run, and one of bad ones."""
    root = tmp_path_factory.mktemp("user")
    prompts = [json.dumps({"id": f"p{i}", "text": f"prompt {i}"}) for i in range(6)]
    (root / "prompts.jsonl").write_text("\n".join(prompts))
    (root / "good.toml").write_text(HEAD + GOOD)
    (root / "bad.toml").write_text(HEAD + BAD)
    (root / "verbs_metrics.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(str(root))
        done = sora_eval("run", "good.toml", *RUN)
        assert done.returncode == 0, done.stderr
        assert sora_eval("baseline", "promote", "latest").returncode == 0
        yield root


@pytest.fixture
def run(made):
    return find_runs(made / "runs")[0]


def test_rows_carry_what_reports_need(run):
    rows = {r.metric: r for r in run.rows(MetricRow)}
    assert {m: (r.family, r.declared, r.status) for m, r in rows.items()} == {
        "brightness": ("picture", "verbs_metrics:Brightness", "ok"),
        "colour_distance": ("custom", "verbs_metrics:ColourDistance", "ok"),
    }
    assert 180 < rows["brightness"].value < 220
    assert sorted(p.name for p in (run.path / "features").iterdir()) == [
        "colour_distance.npz",
        "reference-colour_distance.npz",
    ]
    assert list(data_of(run).features) == ["colour_distance"]
    assert "verbs_metrics" not in frames.load([run]).scores["family"].tolist()


VERBS = [
    ("validate", "good.toml", *RUN),
    ("score", "latest"),
    ("list", "runs"),
    ("gate", "latest"),
    ("gate", "latest", "--suite", "good.toml"),
    ("baseline", "show", "baselines/mine.json"),
    ("compare", "baselines/mine.json", "latest", "--slices"),
    ("calibrate", "good.toml", *RUN, "--baseline-seeds", "1", "--seeds", "1", "--draws", "20", "--out", "repeats"),
    ("run", "good.toml", *RUN, "--until-decided", "--batch", "3", "--out", "decided"),
    ("error-rates", "good.toml", *RUN, "--against", "python:verbs_metrics:dark", *FEW),
    ("plan", "good.toml", *RUN, "--pool", "repeats", "--baseline-seeds", "1"),
    ("history", "runs"),
]


@pytest.mark.parametrize("arguments", VERBS, ids=lambda a: f"{a[0]}-{a[-1]}")
def test_every_verb_takes_a_users_metric(made, arguments):
    done = sora_eval(*arguments)
    assert done.returncode == 0, done.stderr
    if arguments[0] not in ("validate", "list"):
        assert "brightness" in done.stdout
        assert "colour_distance" in done.stdout


def test_a_selfcheck_shows_damage_to_a_users_metric(made):
    metrics = "verbs_metrics:Brightness?gain=2,verbs_metrics:ColourDistance"
    sora_eval("selfcheck", "--n", "3", "--metrics", metrics, "--corruptions", "blur,noise")
    rows = json.loads((made / "selfcheck/selfcheck.json").read_text())["rows"]
    assert {(r["metric"], r["family"], r["kind"]) for r in rows} == {
        ("brightness", "picture", "per-clip"),
        ("colour_distance", "custom", "set"),
    }
    assert all(r["status"] == "ok" for r in rows)
    twice = sora_eval("selfcheck", "--metrics", "verbs_metrics:Brightness,verbs_metrics:Brightnes")
    assert twice.returncode == 2
    assert "verbs_metrics has no 'Brightnes'; did you mean 'Brightness'" in twice.stderr


def test_the_pytest_plugin_has_an_item_for_it(made, pytester, monkeypatch):
    monkeypatch.chdir(pytester.path)
    for name in ("good.toml", "bad.toml", "prompts.jsonl", "verbs_metrics.py"):
        shutil.copy(made / name, pytester.path / name)
    pytester.makeini("[pytest]\n")
    flags = ("-p", "no:cacheprovider", "--sora-eval", "--sora-generator", "python:verbs_metrics:draw", "-v")
    result = pytester.runpytest_inprocess("good.toml", *flags, "--sora-baseline", str(made / "baselines"))
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*good.toml::verbs_metrics:Brightness PASSED*", "*good.toml::gate:brightness PASSED*"])
    result = pytester.runpytest_inprocess("bad.toml", *flags)
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(["verbs_metrics:Broken: 2 scores failed; p0/16x16x3/0: *ZeroDivisionError*"])
    result.stdout.fnmatch_lines(["unmade.a: error: verbs_metrics:Unmade cannot be made: RuntimeError: no licence today"])


def test_what_a_users_class_raises_is_the_reason_of_a_row(made):
    done = sora_eval("run", "bad.toml", *RUN, "--out", "bad")
    assert done.returncode == 12
    (run,) = find_runs(made / "bad")
    rows = {r.metric: r for r in run.rows(MetricRow)}
    assert {(r.status, r.declared) for m, r in rows.items() if m.startswith("unmade")} == {("error", "verbs_metrics:Unmade")}
    assert "verbs_metrics:Unsigned has no signature; a per-clip metric sets signature" in rows["unsigned"].reason
    scores = {(r.metric, r.id[:2]): (r.status, r.value, r.reason) for r in run.rows(ScoreRow)}
    assert scores["broken", "p0"] == ("error", None, "verbs_metrics:Broken broke: ZeroDivisionError: division by zero")
    assert scores["broken", "p1"] == ("error", None, "verbs_metrics:Broken gave a float for 'broken', expected a Score")
    assert scores["broken", "p2"] == ("ok", 1.0, "")
    assert scores["broken_set", "p3"] == ("error", None, "verbs_metrics:BrokenSet broke: KeyError: 'p3'")
    assert (rows["broken"].n_scored, rows["broken"].value) == (4, 1.0)
    assert "1 x verbs_metrics:Broken broke" in rows["broken"].reason
    assert "verbs_metrics:BrokenSet broke" in rows["broken_set"].reason


READS = [
    ("report", "latest"),
    ("report", "latest", "--html"),
    ("compare", "latest", "latest"),
    ("gate", "latest"),
    ("baseline", "promote", "latest", "--to", "again.json"),
    ("list", "runs"),
]


def test_a_run_is_read_without_the_users_code(made, run, tmp_path, monkeypatch):
    for name in ("runs", "baselines"):
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(made)])
    monkeypatch.delitem(sys.modules, "verbs_metrics")
    for arguments in READS:
        done = sora_eval(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    assert "verbs_metrics" not in sys.modules
    before = (tmp_path / "runs" / run.path.name / "scores.jsonl").read_bytes()
    done = sora_eval("score", "latest")
    assert done.returncode == 2
    assert "module 'verbs_metrics' cannot be imported" in done.stderr
    assert (tmp_path / "runs" / run.path.name / "scores.jsonl").read_bytes() == before  # nothing is lost for it


def test_means_are_of_the_frames(run):
    scores = [r.value for r in run.rows(ScoreRow) if r.metric == "brightness"]
    assert len(scores) == 6
    assert np.mean(scores) == pytest.approx({r.metric: r.value for r in run.rows(MetricRow)}["brightness"])
