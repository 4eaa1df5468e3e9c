"""Clips that go through files come back as they were, and a reader that errs is found out."""

from dataclasses import replace

import numpy as np
import pytest

from sora_eval.metrics.create import make_metrics
from sora_eval.selfcheck import decoding as module
from sora_eval.selfcheck.decoding import FORMS, decoding
from sora_eval.selfcheck.material import open_material
from sora_eval.selfcheck.measure import open_scores
from sora_eval.selfcheck.result import Result
from sora_eval_reports.export.selfcheck import codec_table, decoding_table


@pytest.fixture
def decoded(tmp_path):
    material = open_material("world", 3)
    metrics = make_metrics({"temporal_flickering": {}, "dynamic_degree": {}}, material.prompts)
    return lambda: decoding(material, metrics, open_scores(tmp_path, material))


def test_every_form_is_read_as_what_was_put_in(decoded):
    rows = decoded()
    assert [r.form for r in rows] == [f.name for f in FORMS]
    assert all(r.ok or r.reason.startswith("cannot be written here") for r in rows), rows
    for form, row in zip(FORMS, rows, strict=True):
        if form.lossless:
            assert row.psnr is None
            assert set(row.changes.values()) == {0.0}
        elif row.ok:
            assert 15 < row.psnr < 60
            assert row.changes == next(r.changes for r in rows if r.form == form.like)
    result = Result("world", 3, exact=True, decoding=rows)
    assert not result.failures
    table = decoding_table(result).set_index("form")
    assert table.loc["PNG in QuickTime, turned", "PSNR, dB"] == "equal"
    assert {"metric", "H.264", "Motion JPEG"} <= set(codec_table(result).columns)
    assert "temporal_flickering" in codec_table(result)["metric"].tolist()


WRONG = {
    "as it is stored": (lambda c: replace(c, frames=np.rot90(c.frames, 1, (1, 2))), ".mov", "PNG in QuickTime, turned", ""),
    "at another rate": (
        lambda c: replace(c, fps=25.0),
        ".ts",
        "H.264 in a transport stream",
        "25 frames per second, expected 8",
    ),
    "with a frame lost": (lambda c: replace(c, frames=c.frames[1:]), ".ts", "H.264 in a transport stream", "frames (16,"),
    "other pixels": (lambda c: replace(c, frames=c.frames ^ 1), ".ts", "H.264 in a transport stream", "17 of 17 frames differ"),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_reader_that_errs_fails_the_check(how, decoded, monkeypatch):
    change, suffix, form, words = WRONG[how]
    monkeypatch.setattr(module, "FORMS", [f for f in FORMS if f.name in (form, "H.264 in MP4", "PNG in QuickTime")])
    read = module.read_clip
    monkeypatch.setattr(module, "read_clip", lambda p: change(read(p)) if p.suffix == suffix else read(p))
    result = Result("world", 3, exact=True, decoding=decoded())
    assert result.verdict == "FAIL"
    assert any(f.startswith(f"{form}: not read as ") and words in f for f in result.failures)


def test_an_encoder_that_is_missing_or_a_file_that_is_refused_says_so(decoded, monkeypatch):
    forms = [replace(FORMS[0], name="unknown codec", codec="nothing"), replace(FORMS[0], name="wrong", codec="libvpx-vp9")]
    monkeypatch.setattr(module, "FORMS", [*forms, FORMS[0]])
    rows = decoded()
    assert [r.ok for r in rows] == [None, None, True]
    assert rows[0].reason.startswith("cannot be written here: ")
    assert Result("world", 3, exact=True, decoding=rows).verdict == "PASS"
