"""Fidelity of two runs: pairs by case, reasons where there is none, drift against repeats."""

from __future__ import annotations

import numpy as np
import pytest

import sora_eval.fidelity.measure as measuring
from sora_eval.compare.comparison import compare
from sora_eval.compare.drift_bounds import DriftBounds
from sora_eval.compare.run_data import data_of
from sora_eval.fidelity.measure import measured
from sora_eval.gate import baseline as baselines
from sora_eval.gate.judge import gate
from sora_eval.records.clip import Clip
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.runs.rows import SampleRow
from sora_eval.studies.drift import drift_bounds
from sora_eval.suite import Gate
from sora_eval.util.errors import BaselineError, RunError
from sora_eval.video.codec import read_clip, write_clip
from tests.runs import drawn_run, edit, reopened

PIXELS = ("fidelity.psnr", "fidelity.ssim", "fidelity.flow")


def made(tmp_path, name, amplitude=0, cases=None, **options):
    """A run of clips whose frames have noise of `amplitude` in the first `cases`, all by default."""
    run = drawn_run(tmp_path, name, timings=0, **options)
    rows, hashes = run.rows(SampleRow), {}
    for k, row in enumerate(rows):
        if amplitude and (cases is None or k < cases):
            path = run.clip_file(row.clip)
            clip = read_clip(path)
            noise = np.random.default_rng(k).integers(-amplitude, amplitude + 1, clip.frames.shape)
            clip = Clip(np.clip(clip.frames.astype(int) + noise, 0, 255).astype(np.uint8), clip.fps)
            write_clip(clip, path)
            hashes[row.id] = clip.sha256
    edit(run, SampleRow, lambda r: {**r, "sha256": hashes.get(r["id"], r["sha256"])})
    return run


def values(data):
    return {name: output.values for name, output in data.fidelity.outputs.items()}


def test_equal_frames_need_no_clip_and_have_the_value_of_a_clip_and_itself(tmp_path):
    base, new = made(tmp_path, "a"), made(tmp_path, "b")
    for row in base.rows(SampleRow):
        base.clip_file(row.clip).unlink()
    pair = measured(data_of(base), data_of(new), PIXELS)
    assert set(values(pair)["fidelity.psnr"].values()) == {100.0}
    assert set(values(pair)["fidelity.ssim.worst"].values()) == {1.0}
    assert pair.fidelity.words() == "0 of 12 cases drifted: all frames are equal"
    row = next(r for r in compare(base, pair).rows if r.metric == "fidelity.psnr")
    assert (row.base, row.new, row.change, row.note) == (100.0, 100.0, 0.0, row.note)
    assert row.interval.method == "every pair is identical"


def test_values_do_not_depend_on_threads_or_on_the_order_of_cases(tmp_path, monkeypatch):
    base, new = made(tmp_path, "a"), made(tmp_path, "b", amplitude=3)
    first = values(measured(data_of(base), data_of(new), PIXELS))
    monkeypatch.setattr(measuring, "THREADS", 1)
    new.replace(SampleRow, new.rows(SampleRow)[::-1])
    again = values(measured(data_of(base), reopened(new), PIXELS))
    assert {k: dict(sorted(v.items())) for k, v in first.items()} == {k: dict(sorted(v.items())) for k, v in again.items()}


def test_pairs_without_a_value_say_why(tmp_path):
    base, new = made(tmp_path, "a"), made(tmp_path, "b", amplitude=3)
    ids = [row.id for row in new.rows(SampleRow)]
    new.clip_path(ids[0]).unlink()
    edit(new, SampleRow, lambda r: {**r, "status": "error", "error": "no memory"} if r["id"] == ids[1] else r)
    write_clip(Clip(np.zeros((9, 32, 32, 3), np.uint8), 8.0), new.clip_path(ids[2]))
    edit(new, SampleRow, lambda r: {**r, "width": 48} if r["id"] == ids[3] else r)
    data = measured(data_of(base), reopened(new))
    reasons = {i: row.reason for i, row in data.fidelity.outputs["fidelity.psnr"].scores.items() if row.value is None}
    assert reasons == {
        ids[0]: "new keeps no clip of it",
        ids[1]: "new made no clip: no memory",
        ids[2]: f"new: {new.clip_path(ids[2]).name} has changed since it was made",
        ids[3]: "base is 40x24x9 at 8.0 fps, new 48x24x9 at 8.0 fps",
    }
    row = next(r for r in compare(base, data).rows if r.metric == "fidelity.psnr")
    assert row.n == 8
    assert "1 of 12 pairs have no value: new made no clip: no memory" in row.note
    assert "4 cases failed in new" in row.note
    gated = gate(data, base, {"fidelity.psnr": Gate(window=[0, 100])})
    assert gated.rows[0].verdict is Verdict.ERROR


def test_other_seeds_have_no_pairs(tmp_path):
    base, new = made(tmp_path, "a"), made(tmp_path, "b", seed_offset=100)
    data = measured(data_of(base), data_of(new))
    rows = [r for r in compare(base, data).rows if r.paired]
    assert {r.reason for r in rows} == {"no case of the same seed is in both runs"}
    assert compare(base, data).headline == ""


def test_drift_is_told_from_what_repeats_show(tmp_path):
    base = made(tmp_path, "a")
    repeats = [base, made(tmp_path, "b", amplitude=1), made(tmp_path, "c", amplitude=1, cases=5)]
    bounds = drift_bounds(repeats)
    assert bounds.cases == 12
    assert 48 < bounds.bounds["fidelity.psnr"].value < 54  # of noise of -1, 0, 1: MSE 2/3
    bounds.write(tmp_path / "drift.json")
    assert DriftBounds.read(tmp_path / "drift.json") == bounds
    again = measured(data_of(base), data_of(repeats[1]), bounds=bounds)
    assert again.fidelity.words() == "0 of 12 cases drifted"
    moved = measured(data_of(base), data_of(made(tmp_path, "d", amplitude=20, cases=7)), bounds=bounds)
    assert moved.fidelity.words().startswith("7 of 12 cases drifted (PSNR 2")
    comparison = compare(base, moved)
    assert comparison.headline == f"{moved.fidelity.words()}, no metric is worse"
    row = next(r for r in comparison.rows if r.metric == "fidelity.psnr")
    assert row.note.startswith("7 of 12 cases are past the ")
    result = gate(moved, base, {"clip_score": Gate(max_decrease=5.0)})
    assert result.headline.endswith(moved.fidelity.words())
    assert GateResult.from_json(result.to_json()) == result


def test_bounds_of_another_protocol_or_damaged_ones_are_not_used(tmp_path):
    base, new = made(tmp_path, "a"), made(tmp_path, "b", amplitude=1)
    bounds = drift_bounds([base, new])
    assert bounds.of("fidelity.psnr", "another") is None
    bounds.write(tmp_path / "drift.json")
    text = (tmp_path / "drift.json").read_text()
    (tmp_path / "drift.json").write_text(text.replace('"cases": 12', '"cases": 99'))
    with pytest.raises(BaselineError, match="is damaged"):
        DriftBounds.read(tmp_path / "drift.json")
    with pytest.raises(RunError, match="expected two or more"):
        drift_bounds([base])


def test_gates_bound_the_mean_and_its_loss(tmp_path):
    base, new = made(tmp_path, "a"), made(tmp_path, "b", amplitude=10)
    data = measured(data_of(base), data_of(new))
    verdicts = {
        limit: gate(data, base, {"fidelity.ssim": spec}).rows[0].verdict
        for limit, spec in {
            "wide": Gate(max_decrease=90.0),
            "narrow": Gate(max_decrease=0.1),
            "window": Gate(window=[0.999, 1.0]),
        }.items()
    }
    assert verdicts == {"wide": Verdict.PASS, "narrow": Verdict.REGRESSED, "window": Verdict.REGRESSED}
    unmeasured = gate(data_of(new), base, {"fidelity.ssim": Gate(max_decrease=90.0)}).rows[0]
    assert unmeasured.verdict is Verdict.ERROR
    assert "were not compared" in unmeasured.reason


def test_a_baseline_keeps_the_clips_or_their_features(tmp_path):
    base, new = made(tmp_path, "a", seed_offset=100), made(tmp_path, "b", amplitude=3, seed_offset=100)
    direct = values(measured(data_of(base), data_of(new), (*PIXELS, "fidelity.latent")))
    with_clips = baselines.promote([base], tmp_path / "clips.json", clips=True)
    for row in base.rows(SampleRow):
        base.clip_file(row.clip).unlink()
    kept = baselines.read(with_clips)
    assert values(measured(kept, data_of(new), (*PIXELS, "fidelity.latent"))) == direct
    bare = baselines.read(baselines.promote([base], tmp_path / "bare.json"))
    reasons = {r.reason for r in measured(bare, data_of(new)).fidelity.outputs["fidelity.psnr"].scores.values()}
    assert reasons == {"base keeps no clip of it"}
