"""Seconds by stage: each second is in one stage of one metric, and what is not counted costs nothing."""

import time
from pathlib import Path
from types import SimpleNamespace

from typer.testing import CliRunner

import sora_eval.util.stages as stages_module
from sora_eval.cli import app
from sora_eval.util.stages import ALL, OTHER, asked_by, counting, covering, is_counting, is_measured, stage
from sora_eval_reports.text.stages import stage_table, stage_words
from tests.commands import sora_eval


def spend(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_an_inner_stage_is_not_the_outer_ones_and_all_sum_to_the_whole():
    started = time.perf_counter()
    with counting() as stages:
        assert is_counting()
        spend(0.01)
        with asked_by("fvd"), stage("network"):
            spend(0.03)
            with stage("resize"):
                spend(0.02)
        with asked_by(ALL), stage("decode"):
            spend(0.01)
    whole = time.perf_counter() - started
    assert not is_counting()
    assert set(stages.seconds) >= {("", OTHER), ("fvd", "network"), ("fvd", "resize"), (ALL, "decode")}
    least = {("fvd", "network"): 0.03, ("fvd", "resize"): 0.02, (ALL, "decode"): 0.01, ("", OTHER): 0.01}
    assert all(stages.of(*key) >= seconds for key, seconds in least.items())
    assert sum(own.wall for own in stages.seconds.values()) <= whole
    table = stage_table(stages)
    assert list(table["metric"]) == [ALL, "fvd", "sum"]
    assert table["decode"].iloc[-1] == f"{stages.of(ALL, 'decode'):.2f}"
    assert "neither network, flow nor tracks" in stage_words(stages)[0]


def test_stages_after_an_error_are_those_before_it():
    with counting() as stages:
        try:
            with asked_by("fvd"), stage("network"):
                raise MemoryError
        except MemoryError:
            pass
        spend(0.001)
    assert stages.of("", OTHER) >= 0.001


def test_score_prints_stages_of_every_metric_with_values_that_stay(tmp_path):
    (tmp_path / "s.toml").write_text(
        '[suite]\nid = "s"\n[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["32x32"]\nframes = [9]\n'
        "[metrics.clip_score]\n[metrics.warping_error]\n[metrics.motion_smoothness]\n[metrics.point_laws]\n"
    )
    (tmp_path / "p.jsonl").write_text(Path("suites/prompts/quick.jsonl").read_text().splitlines()[0] + "\n")
    out = tmp_path / "runs"
    made = sora_eval("run", tmp_path / "s.toml", "-g", "world", "-o", out)
    assert "peak memory" in made.stdout
    (run,) = out.iterdir()
    before = (run / "scores.jsonl").read_text()
    done = CliRunner().invoke(app, ["score", str(run), "--stages"])
    assert done.exit_code == 0, done.output
    assert (run / "scores.jsonl").read_text() == before
    for name in ("decode", "network", "flow", "tracks", "clip_score", "warping_error", "processor time"):
        assert name in done.output
    assert CliRunner().invoke(app, ["score", str(run), "--stages", "--workers", "2"]).exit_code != 0


def test_stages_that_overlap_cover_their_time_once(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(stages_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    with covering(("network", "flow")) as cover:
        assert is_measured()
        assert not is_counting()
        clock.now = 5.0  # before anything is asked for
        with asked_by(ALL):
            with stage("decode"):
                clock.now = 6.0
            network, flow = stage("network"), stage("flow")
            network.__enter__()
            clock.now = 8.0
            flow.__enter__()  # of another thread: neither is inside the other
            clock.now = 9.0
            network.__exit__(None, None, None)
            clock.now = 11.0
            flow.__exit__(None, None, None)
            clock.now = 12.0
        clock.now = 20.0
    assert not is_measured()
    assert cover.whole == 12.0 - 5.0
    assert cover.covered == 11.0 - 6.0
