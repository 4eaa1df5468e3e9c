"""A baseline that keeps features in place of clips, and the commands that compare clips."""

from __future__ import annotations

import json

import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.fidelity.kept import features_to_keep
from sora_eval.fidelity.measure import measured
from sora_eval.gate import baseline as baselines
from sora_eval.runs.rows import SampleRow
from tests.commands import sora_eval
from tests.sora_eval.fidelity.test_measure import made, values

NETWORKS = ("fidelity.features", "fidelity.latent")


@pytest.mark.i3d
def test_features_that_a_baseline_keeps_give_the_values_of_its_clips(tmp_path):
    base, new = made(tmp_path, "a"), made(tmp_path, "b", amplitude=3)
    direct = values(measured(data_of(base), data_of(new), NETWORKS))
    assert len(direct["fidelity.latent"]) == len(direct["fidelity.features.image"]) == 12
    assert direct["fidelity.features.video"] == {}  # 9 frames are too few for I3D
    path = baselines.promote([base], tmp_path / "kept.json", kept=[features_to_keep(data_of(base))])
    for row in base.rows(SampleRow):
        base.clip_file(row.clip).unlink()
    kept = measured(baselines.read(path), data_of(new), (*NETWORKS, "fidelity.psnr"))
    for output, of_clips in direct.items():
        assert values(kept)[output] == pytest.approx(of_clips, abs=1e-9)
    reasons = {row.reason for row in kept.fidelity.outputs["fidelity.psnr"].scores.values()}
    assert reasons == {"the baseline keeps features of its clips and no frames: promote it with --clips"}


def test_the_commands_say_drift_and_damage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, amplitude in (("a", 0), ("b", 1), ("c", 20)):
        made(tmp_path / "runs", name, amplitude=amplitude)
    unknown = sora_eval("compare", "a", "c")
    assert "12 of 12 cases have other frames (PSNR 2" in unknown.stdout
    assert "how many cases drifted is not known" in unknown.stdout
    calibrated = sora_eval("calibrate", "--drift", "a", "b", "--write")
    assert calibrated.returncode == 0, calibrated.stderr
    assert json.loads((tmp_path / "baselines/drift/made.json").read_text())["cases"] == 12
    moved = sora_eval("compare", "a", "c", "--markdown").stdout
    assert "**12 of 12 cases drifted (PSNR 2" in moved
    assert "no metric is worse**" in moved
    assert sora_eval("compare", "a", "b").stdout.rstrip().endswith("0 of 12 cases drifted, no metric is worse")
    assert "fidelity" not in sora_eval("compare", "a", "c", "--fidelity", "none").stdout
    refused = sora_eval("compare", "a", "c", "--fidelity", "fidelity.sim")
    assert refused.returncode == 2
    assert "did you mean 'fidelity.ssim'" in refused.stderr
    refused = sora_eval("calibrate", "--drift", "a")
    assert refused.returncode == 2
    assert "expected two or more" in refused.stderr
