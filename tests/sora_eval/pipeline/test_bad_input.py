"""Input that has no value gives a row with a reason, or one clear message; never a number, never a traceback."""

import json

import numpy as np
import pytest

from sora_eval.metrics.create import create
from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.registry.metrics import METRICS
from sora_eval.runs.rows import AttributionRow, MetricRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SuiteError, Undefined
from sora_eval.video.codec import write_clip
from tests.conftest import view_of

TEMPORAL = [n for n, i in METRICS.built_in.items() if i.family == "temporal"]
SETS = [n for n, i in METRICS.built_in.items() if i.family == "distribution"]


@pytest.mark.parametrize("name", TEMPORAL)
def test_one_frame_has_no_temporal_score(name):
    with pytest.raises(Undefined, match=r"1 frames?.* needs at least"):
        create(name).score(view_of(np.zeros((1, 32, 32, 3), np.uint8)))


@pytest.mark.parametrize("name", TEMPORAL)
def test_constant_clips_have_finite_scores(name):
    scores = create(name).score(view_of(np.full((6, 32, 32, 3), 7, np.uint8)))
    assert all(s.value is None or np.isfinite(s.value) for s in scores.values())


@pytest.mark.parametrize("name", ["clip_score", "clip_retrieval"])
def test_a_clip_without_a_caption_has_no_text_score(name):
    metric = create(name)
    metric.prepare([view_of(np.zeros((2, 32, 32, 3), np.uint8)).case.prompt])
    with pytest.raises(Undefined, match=r"no prompt|at least two different prompts"):
        metric.score(view_of(np.zeros((2, 32, 32, 3), np.uint8), prompt="  "))


@pytest.mark.parametrize("protocol", ["styleganv", "cdfvd"])
def test_a_clip_too_short_for_a_protocol_says_how_long_it_must_be(protocol, network):
    metric = create("fvd", {"protocol": protocol, "network": str(network)})
    with pytest.raises(Undefined, match="15 frames; this protocol takes 16"):
        metric.features(view_of(np.zeros((15, 32, 32, 3), np.uint8)))


@pytest.mark.parametrize("name", SETS)
def test_an_unknown_protocol_is_an_error_of_the_suite(name, tmp_path):
    (tmp_path / "s.toml").write_text(f'[suite]\nid = "s"\n[metrics.{name}]\nprotocol = "mine"\n')
    with pytest.raises(SuiteError, match=rf"\[metrics.{name}\].protocol = 'mine' is not known; expected one of: original"):
        load_suite(tmp_path / "s.toml")


@pytest.mark.parametrize("name", SETS)
def test_features_that_are_not_finite_are_refused(name, network):
    metric = create(name, {"network": str(network)})
    good = np.random.default_rng(0).standard_normal((6, 48))
    metric.update(np.where(np.arange(48) == 3, np.nan, good))
    metric.update(good, real=True)
    with pytest.raises(ValueError, match="NaN or infinite"):
        metric.compute()


def folder_of(path, clips):
    path.mkdir()
    for i, frames in enumerate(clips):
        write_clip(Clip(frames, 8.0), path / f"c{i}.mkv")
    return path


def set_rows(tmp_path, network, made, real):
    tables = "".join(f"[metrics.{n}]\nnetwork = {json.dumps(str(network))}\n" for n in SETS)
    (tmp_path / "s.toml").write_text('[suite]\nid = "s"\n' + tables)
    made, real = folder_of(tmp_path / "made", made), folder_of(tmp_path / "real", real)
    run = evaluate.run(load_suite(tmp_path / "s.toml"), f"folder:{made}", tmp_path / "runs", reference=f"folder:{real}")
    return run, {r.metric: r for r in run.rows(MetricRow) if r.slice == "all"}


def test_one_clip_is_no_set(tmp_path, network, rng):
    clips = rng.integers(0, 256, (6, 4, 16, 16, 3), dtype=np.uint8)
    run, rows = set_rows(tmp_path, network, clips[:1], clips[1:])
    for name, row in rows.items():
        assert (row.value, row.status, row.n_scored) == (None, "undefined", 1), name
        assert "1 generated and 5 reference clips; at least" in row.reason
    assert run.rows(AttributionRow) == []


def test_sets_of_constant_clips_and_of_mixed_sizes_have_values(tmp_path, network, rng):
    constant = [np.full((4, 16, 16, 3), 9, np.uint8)] * 6
    mixed = [rng.integers(0, 256, (4 + i, 16 + 8 * i, 24, 3), dtype=np.uint8) for i in range(5)]
    run, rows = set_rows(tmp_path, network, constant, mixed)
    assert all(np.isfinite(r.value) for r in rows.values())
    assert rows["recall"].value == 0.0  # one clip repeated covers nothing
    values = [r for r in run.rows(AttributionRow) if r.metric == "fvd"]
    assert sorted(r.rank for r in values) == [1, 2, 3, 4, 5, 6]
    assert np.isfinite([r.value for r in values]).all()


def test_a_reference_that_is_the_generated_set_and_few_clips_are_said(tmp_path, network, rng):
    """The Frechet distance of a set to itself is 0; that of few clips is mostly its bias."""
    clips = rng.integers(0, 256, (6, 4, 16, 16, 3), dtype=np.uint8)
    for name, real, words in (
        ("same", clips, "the generated clips are the reference set"),
        ("some", clips[[0, 1, 5, 5]][:3], "3 of 6 generated clips are in the reference set"),
        ("other", 255 - clips, ""),
    ):
        (tmp_path / name).mkdir()
        run, rows = set_rows(tmp_path / name, network, clips, real)
        width = run.load_features("fvd")["values"].shape[1]
        assert all(words in r.reason for r in rows.values() if r.status == "ok")
        assert all("reference set" not in r.reason for r in rows.values()) == (words == "")
        few = f"6 generated and {len(real)} reference clips for {width} dimensions"
        assert [m for m, r in rows.items() if few in r.reason] == ["fvd"]
    assert width == 48


def test_an_extrapolation_that_does_not_hold_is_a_row_with_the_reason(tmp_path, network, rng):
    clips = rng.integers(0, 256, (8, 4, 16, 16, 3), dtype=np.uint8)
    (tmp_path / "s.toml").write_text(
        f'[suite]\nid = "s"\n[metrics.fvd]\nextrapolate = true\nnetwork = {json.dumps(str(network))}\n'
    )
    made = folder_of(tmp_path / "made", clips)
    run = evaluate.run(load_suite(tmp_path / "s.toml"), f"folder:{made}", tmp_path / "runs", reference=f"folder:{made}")
    fvd, limit = run.rows(MetricRow)
    assert (fvd.metric, fvd.status) == ("fvd", "ok")
    assert (limit.metric, limit.status, limit.value) == ("fvd.infinity", "undefined", None)
    assert "at least 240 of each are needed. Use 'kvd'" in limit.reason
