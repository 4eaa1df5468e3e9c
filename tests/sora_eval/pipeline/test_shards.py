"""Shards of a run, merged: the rows of a run without shards, or one message that names what does not fit."""

import json
import shutil
import sys

import numpy as np
import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.shards import merge
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.head import Shard
from sora_eval.runs.rows import SampleRow, ScoreRow, TimingRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import RunError, SuiteError
from tests.commands import sora_eval
from tests.equal_rows import assert_equal, rows_of

COLOURS = """
import torch

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
        return self.extractor(view.clip.frames / 255).ravel()

    def compute(self):
        return torch.tensor([kernel_distance(*self.sets())])
"""
MORE = """
[metrics."colours:ColourDistance"]
[reference]
generator = "world"
seed_offset = 1000
[oracles]
generators = ["world"]
"""


@pytest.fixture
def place(workspace, monkeypatch):
    (workspace / "colours.py").write_text(COLOURS)
    text = (workspace / "small.toml").read_text()
    (workspace / "small.toml").write_text(text.replace("[throughput]", f"{MORE}[throughput]"))
    monkeypatch.setattr(sys, "path", [str(workspace), *sys.path])
    yield workspace
    sys.modules.pop("colours", None)


def shards_of(count, generator="python:my_generator:broken", out="shards", **options):
    suite = load_suite("small.toml")
    return [evaluate.run(suite, generator, out, shard=Shard(index=i, count=count), **options) for i in range(1, count + 1)]


def test_merged_shards_are_the_run_without_shards(place):
    whole = evaluate.run(load_suite("small.toml"), "python:my_generator:broken", "runs")
    for count in (1, 2, 5):
        parts = shards_of(count, out=f"shards{count}")
        assert {row.id for part in parts for row in part.rows(SampleRow)} == {row.id for row in whole.rows(SampleRow)}
        merged = merge(parts[::-1], "merged")
        assert_equal(rows_of(merged), rows_of(whole))
        for name in ("colour_distance", "reference-colour_distance"):
            a, b = merged.load_features(name), whole.load_features(name)
            assert all((a[key] == b[key]).all() for key in b)
        assert [row.id for row in merged.rows(TimingRow)] == [row.id for row in whole.rows(TimingRow)]
        head = merged.head
        assert (head.status, head.partial, head.shard) == ("success", False, None)
        assert (head.cases, head.failed_cases) == (whole.head.cases, whole.head.failed_cases)
        assert head.merged == tuple(part.name for part in parts)
    assert not data_of(merged).incomplete()
    assert {p.name for p in (merged.path / "clips").iterdir()} == {p.name for p in (whole.path / "clips").iterdir()}
    assert_equal(rows_of(evaluate.rescore(RunFolder.open(merged.path))), rows_of(whole))


def test_a_shard_alone_is_partial(place):
    part = shards_of(2, "python:my_generator:generate")[1]
    assert data_of(part).incomplete() == "the run is partial: --shard 2/2"
    assert part.rows(TimingRow) == []
    assert [r.id for r in part.rows(SampleRow)] == [c.id for c in load_suite("small.toml").cases][len(part.rows(SampleRow)) :]


def test_clips_of_a_folder_are_merged_with_their_prompts_ranked_among_all(tmp_path, monkeypatch, rng):
    from sora_eval.records.clip import Clip
    from sora_eval.video.codec import write_clip

    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for i in range(7):
        write_clip(Clip(rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8), 8.0), tmp_path / f"clips/000{i}.mkv")
    (tmp_path / "clips/prompts.txt").write_text(
        "".join(f"a {c} ball\n" for c in ("red", "blue", "green", "big", "small", "red", "old"))
    )
    (tmp_path / "f.toml").write_text('[suite]\nid = "f"\n[metrics.temporal_flickering]\n[metrics.clip_retrieval]\n')
    suite = load_suite("f.toml")
    spec = "folder:clips?layout=prompts"
    whole = evaluate.run(suite, spec, "runs")
    parts = [evaluate.run(suite, spec, "shards", shard=Shard(index=i, count=3)) for i in (1, 2, 3)]
    assert_equal(rows_of(merge(parts, "merged")), rows_of(whole))


def test_overlap_gaps_and_what_is_no_shard_are_named(place):
    one, two, three = shards_of(3, "python:my_generator:generate")
    first, second = (part.rows(SampleRow)[0].id for part in (one, two))
    with pytest.raises(RunError, match=f"{first}.* in more than one of these runs; give every shard of 3 once"):
        merge([one, two, three, one], "merged")
    with pytest.raises(RunError, match=f"{second}.* in none of these runs; give all 3 shards"):
        merge([one, three], "merged")
    whole = evaluate.run(load_suite("small.toml"), "python:my_generator:generate", "runs", limit=2)
    with pytest.raises(RunError, match="is no shard"):
        merge([one, whole], "merged")
    two.update_head(status="cancelled", files={})
    with pytest.raises(RunError, match="cannot be merged: the run has status 'cancelled'; sora-eval run --resume"):
        merge([one, two, three], "merged")
    assert not (place / "merged").exists()


def test_unlike_shards_are_one_message(place):
    one, _ = shards_of(2, "python:my_generator:generate")
    others = {
        "generator": {"generator": "python:my_generator:noisy"},
        "seed offset": {"seed_offset": 7},
        "--limit": {"limit": 6},
    }
    for what, change in others.items():
        options = {"generator": "python:my_generator:generate", **change}
        other = shards_of(2, out=what, **options)[1]
        with pytest.raises(RunError, match=f"are no shards of one run: {what} "):
            merge([one, other], "merged")
    (three,) = shards_of(1, "python:my_generator:generate", out="three")
    with pytest.raises(RunError, match=r"number of shards 2 against 1|number of shards 1 against 2"):
        merge([one, three], "merged")
    text = (place / "small.toml").read_text()
    (place / "small.toml").write_text(text.replace("frames = [9]", "frames = [5]"))
    other = shards_of(2, "python:my_generator:generate", out="suite")[1]
    with pytest.raises(RunError, match="are no shards of one run: suite small version 1"):
        merge([one, other], "merged")


def test_scores_of_other_weights_and_missing_ones_are_refused(place):
    parts = shards_of(2, "python:my_generator:generate")
    kept = [r for r in parts[1].rows(ScoreRow) if r.metric != "temporal_flickering"]
    parts[1].repair("started")
    parts[1].replace(ScoreRow, kept)
    parts[1].finish()
    with pytest.raises(RunError, match=r"has no temporal_flickering of .*: sora-eval score"):
        merge(parts, "merged")
    evaluate.rescore(RunFolder.open(parts[1].path))
    parts[1].repair("started")
    parts[1].replace(ScoreRow, [r.model_copy(update={"signature": "other"}) for r in parts[1].rows(ScoreRow)])
    parts[1].finish()
    with pytest.raises(RunError, match=r"have unlike scores of .* against other"):
        merge(parts, "merged")


def test_a_limit_holds_for_all_shards_together(place):
    whole = evaluate.run(load_suite("small.toml"), "python:my_generator:generate", "runs", limit=5)
    merged = merge(shards_of(2, "python:my_generator:generate", limit=5), "merged")
    assert_equal(rows_of(merged)["samples"], rows_of(whole)["samples"])
    assert data_of(merged).incomplete() == "the run is partial: --limit 5"
    with pytest.raises(SuiteError, match="has 5 cases, too few for 6 shards"):
        evaluate.run(load_suite("small.toml"), "python:my_generator:generate", "x", limit=5, shard=Shard(index=1, count=6))


def test_shards_from_elsewhere_are_merged_only_if_nothing_of_theirs_is_run(place):
    parts = shards_of(2, "python:my_generator:generate")
    for part in parts:
        data = json.loads((part.path / "run.json").read_text())
        shutil.copytree(part.path, place / "copies" / part.name)
        assert data["shard"]["count"] == 2
    (place / "cache").mkdir()
    copies = sorted((place / "copies").iterdir())
    done = sora_eval("merge", *copies, "-o", "merged", SORA_EVAL_CACHE=str(place / "cache"))
    assert done.returncode == 2
    assert "was not made here by you" in done.stderr
    done = sora_eval("merge", *copies, "-o", "merged", "--trust", SORA_EVAL_CACHE=str(place / "cache"))
    assert done.returncode == 0, done.stderr


def test_shards_from_elsewhere_that_open_nothing_of_theirs_need_no_trust(workspace):
    parts = shards_of(2, "world")
    for part in parts:
        shutil.copytree(part.path, workspace / "copies" / part.name)
    (workspace / "cache").mkdir()
    done = sora_eval("merge", *(workspace / "copies").iterdir(), "-o", "merged", SORA_EVAL_CACHE=str(workspace / "cache"))
    assert done.returncode == 0, done.stderr


def test_from_the_command_line(place):
    for i in (1, 2):
        assert (
            sora_eval("run", "small.toml", "-g", "python:my_generator:generate", "-o", "shards", "--shard", f"{i}/2").returncode
            == 0
        )
    done = sora_eval("merge", *(place / "shards").iterdir())
    assert done.returncode == 0, done.stderr
    assert "temporal_flickering" in done.stdout
    for bad in ("0/2", "3/2", "a", "1/0", "1"):
        done = sora_eval("run", "small.toml", "--shard", bad)
        assert (done.returncode, "expected I/N" in done.stderr) == (2, True)
    assert sora_eval("run", "small.toml", "--shard", "1/2", "--until-decided").returncode == 2
