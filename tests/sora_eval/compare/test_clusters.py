"""Clips of one prompt are no independent observations, whatever the manifest calls them."""

import json

import numpy as np
import pytest

from sora_eval.compare.comparison import compare
from sora_eval.compare.run_data import data_of
from sora_eval.compare.slices import slice_rows
from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from sora_eval.video.codec import write_clip

PROMPTS, SEEDS = 5, 3


@pytest.mark.parametrize("ids", [False, True])
def test_prompts_of_equal_text_are_one_unit_of_every_interval_and_test(tmp_path, ids):
    """All 15 clips flicker more: 15 units would give p = 2 / 2^15, five prompts give 2 / 2^5."""
    (tmp_path / "s.toml").write_text('[suite]\nid = "s"\n[metrics.temporal_flickering]\n')
    runs = []
    for name, noise in (("calm", 2), ("noisy", 60)):
        rng, rows = np.random.default_rng(0), []
        (tmp_path / name).mkdir()
        for i in range(PROMPTS * SEEDS):
            frames = rng.integers(100, 100 + noise + i, (3, 16, 16, 3), dtype=np.uint8)
            write_clip(Clip(frames, 8.0), tmp_path / name / f"{i}.mkv")
            own = {"prompt_id": f"row{i}"} if ids else {}
            rows.append({"path": f"{i}.mkv", "prompt": f"prompt {i % PROMPTS}", **own})
        (tmp_path / name / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        runs.append(evaluate.run(load_suite(tmp_path / "s.toml"), f"folder:{tmp_path / name}", tmp_path / "runs"))
    (row,) = [r for r in compare(*runs).rows if r.metric == "temporal_flickering" and r.slice == "all"]
    assert (row.n, row.units) == (15, PROMPTS)
    assert row.p == pytest.approx(2 / 2**PROMPTS)
    assert "5 prompts" in row.interval.method
    assert "5 prompts" in next(r.method for r in runs[0].rows(MetricRow))
    assert {r.prompts for r in slice_rows(*map(data_of, runs), kinds=["all"])} == {PROMPTS}
