"""Frames have one schema, whatever the runs hold."""

import json

import pandas as pd
import pytest

from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import ScoreRow
from sora_eval.util.errors import RunError
from sora_eval_reports import frames
from sora_eval_reports.text import tables
from tests.runs import head_of

KINDS = {"text": "string", "name": "string", "whole": "Int64", "real": "float64", "flag": "boolean", "nested": "object"}


def declared(table: str) -> dict[str, str]:
    return {name: KINDS[column.kind] for name, column in frames.SCHEMA[table].items()}


def found(frame: pd.DataFrame, table: str) -> dict[str, str]:
    return {name: str(frame[name].dtype) for name in list(frame.columns)[: len(frames.SCHEMA[table])]}


@pytest.mark.parametrize("table", list(frames.SCHEMA))
def test_columns_and_dtypes_are_fixed(pair, table):
    assert found(getattr(frames.load(pair), table), table) == declared(table)


@pytest.mark.parametrize("table", list(frames.SCHEMA))
def test_a_run_with_nothing_in_it_has_the_same_schema(pair, tmp_path, table):
    (tmp_path / "bare").mkdir()
    RunFolder(tmp_path / "bare").write_head(RunFolder(pair[0]).head)
    data = frames.load([tmp_path / "bare"])
    assert found(getattr(data, table), table) == declared(table)
    assert found(getattr(frames.load([]), table), table) == declared(table)
    assert len(data.runs) == 1


def test_every_column_is_documented():
    schema = frames.schema()
    assert schema["meaning"].str.len().gt(0).all()
    assert not schema.duplicated(["table", "column"]).any()


def test_nested_values_are_kept_and_rows_know_their_case(pair):
    data = frames.load(pair)
    physics = data.scores[data.scores["metric"].eq("physics_laws.permanence")]
    assert physics["detail"].tolist()[0] == {"broken_frames": [2, 3]}
    assert physics["family"].unique().tolist() == ["physics"]
    assert data.samples["tags"].tolist()[0] == ["objects:1", "even"]
    merged = physics.merge(data.samples, on=["run", "id"], suffixes=("", "_sample"))
    assert (merged["shape"] == merged["shape_sample"]).all()
    assert (merged["prompt_id"] == merged["prompt_id_sample"]).all()
    assert data.timings["frames"].unique().tolist() == [9]


def test_missing_values_are_missing_and_never_zero(pair, tmp_path):
    run = RunFolder(tmp_path / "holes")
    run.path.mkdir()
    run.write_head(RunFolder(pair[0]).head)
    lost = ScoreRow(id="a", metric="clip_score", value=None, status="error", reason="no clip", signature="s")
    run.replace(ScoreRow, [lost])
    row = frames.load([run]).scores.iloc[0]
    assert pd.isna(row.value)
    assert pd.isna(row.prompt_id)
    assert (row.status, row.reason, row["shape"]) == ("error", "no clip", "")


@pytest.mark.parametrize(
    ("checkpoint", "steps", "shown"),
    [("x-2000", 500, 500), ("step-0012000", None, None), ("v2/ckpt_5000", None, None), ("base", None, None), ("", 0, 0)],
)
def test_training_steps_are_those_that_the_checkpoint_records_and_never_read_from_its_name(tmp_path, checkpoint, steps, shown):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    generator = {"name": "made", "checkpoint": checkpoint, "fingerprint": "w1", "training_steps": steps}
    run.write_head(head_of(generator=generator))
    (value,) = frames.load([run]).runs["training_steps"]
    assert (None if pd.isna(value) else value) == shown


def test_files_hold_the_same_rows(pair, tmp_path):
    data = frames.load(pair)
    tables.write_files(data, tmp_path)
    back = pd.read_parquet(tmp_path / "scores.parquet")
    assert back["value"].tolist() == data.scores["value"].tolist()
    assert json.loads(back["detail"][back["metric"].eq("physics_laws.permanence")].iloc[0]) == {"broken_frames": [2, 3]}
    assert len(pd.read_csv(tmp_path / "samples.csv")) == len(data.samples)


def test_a_folder_that_is_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        frames.load([tmp_path])
