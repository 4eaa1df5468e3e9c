"""Ids and texts of prompts come out of a run, its tables and its exports as they went in."""

import json

import numpy as np
import pandas as pd
import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.suite import load_suite
from sora_eval.video.codec import write_clip
from sora_eval_reports import frames
from sora_eval_reports.text import tables

IDS = [
    "0",
    "00",
    "0001",
    "1e5",
    "100000",
    "False",
    "True",
    "NaN",
    "NA",
    "null",
    "None",
    "кот",
    "кит",
    "日本",
    "हिन्दी",
    "é",
    "è",
]
TEXTS = [
    "1",
    "01",
    "NaN",
    "null",
    "",
    " ",
    "a\u2028b",
    "a\x85b",
    "a\r\nb",
    '"',
    "a,b",
    "\ufeffa",
    "مرحبا",
    "😀",
    "\\ud83d",
    "x",
    "X",
]


@pytest.fixture
def clips(tmp_path):
    """A folder with a clip per id, and its manifest."""
    for i, _ in enumerate(IDS):
        write_clip(Clip(np.full((2, 16, 16, 3), i, np.uint8), 8.0), tmp_path / f"{i}.mkv")
    rows = [{"path": f"{i}.mkv", "prompt": t, "prompt_id": n} for i, (n, t) in enumerate(zip(IDS, TEXTS, strict=True))]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "s.toml").write_text('[suite]\nid = "s"\n[metrics.temporal_flickering]\n')
    return tmp_path


def test_a_run_its_tables_and_their_exports_hold_the_ids_and_texts_of_the_manifest(clips):
    run = evaluate.run(load_suite(clips / "s.toml"), f"folder:{clips}", clips / "runs")
    again = RunFolder.open(run.path)
    assert [(r.prompt_id, r.prompt, r.status) for r in again.rows(SampleRow)] == [
        (i, t, "ok") for i, t in zip(IDS, TEXTS, strict=True)
    ]
    assert [r.id for r in again.rows(ScoreRow)] == [f"{i}/native/0" for i in IDS]
    data = frames.load([run.path])
    tables.write_files(data, clips / "export")
    for table in (data.samples, pd.read_parquet(clips / "export" / "samples.parquet")):
        assert table["prompt_id"].tolist() == IDS
        assert table["prompt"].tolist() == TEXTS
    as_text = pd.read_csv(clips / "export" / "samples.csv", dtype=str, keep_default_na=False)
    assert as_text["prompt_id"].tolist() == IDS


def test_clips_of_ids_in_any_script_have_files_of_their_own(tmp_path):
    run = RunFolder(tmp_path)
    assert len({run.clip_path(f"{i}/32x32x9/0") for i in IDS}) == len(IDS)
    assert len({run.clip_path(f"{i}/32x32x9/{s}") for i in ("a", "a_32x32x9") for s in (0, -1)}) == 4
