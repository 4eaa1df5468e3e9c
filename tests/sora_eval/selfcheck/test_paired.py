"""Paired metrics in the selfcheck: damaged clips against their clean ones."""

from __future__ import annotations

import pytest

from sora_eval.selfcheck.check import selfcheck
from sora_eval.util.errors import SelfcheckError


def test_claims_of_pixels_hold_and_a_clip_that_answers_no_other_has_no_score(tmp_path):
    result = selfcheck("quick", ["fidelity.psnr"], ["blur", "caption_swap", "frame_drop"], 3, out=tmp_path)
    claims = {(r.metric, r.corruption): r.ok for r in result.summary if r.claimed}
    assert claims == {
        (output, corruption): True
        for output in ("fidelity.psnr", "fidelity.psnr.worst")
        for corruption in ("blur", "caption_swap")
    }
    rows = {(r.metric, r.corruption, r.strength): r for r in result.rows}
    assert rows["fidelity.psnr", "clean", 0.0].value == 100.0
    dropped = rows["fidelity.psnr", "frame_drop", 1.0]
    assert dropped.value is None
    assert "no frame answers another" in dropped.reason
    again = selfcheck("quick", ["fidelity.psnr"], ["blur", "caption_swap", "frame_drop"], 3, out=tmp_path)
    assert again == result


def test_an_option_that_a_paired_metric_lacks_is_refused(tmp_path):
    with pytest.raises(SelfcheckError, match="'weights' is not an option"):
        selfcheck("quick", ["fidelity.latent?weights=x"], ["blur"], 3, out=tmp_path)
