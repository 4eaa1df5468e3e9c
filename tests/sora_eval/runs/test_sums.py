"""What a run under way has written is known by its sums: a row or file that changed since is an error, not another result."""

import re

import numpy as np
import pytest

from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.runs.sums import FILE
from sora_eval.suite import Suite
from sora_eval.util.errors import RunError
from tests.runs import head_of

SUITE = {"declared": {"suite": {"id": "made"}}, "prompts": []}


def score(case, value):
    return ScoreRow(id=case, metric="clip_score", value=value, status="ok", signature="s")


@pytest.fixture
def run(tmp_path):
    run = RunFolder.create(tmp_path, head_of(), SUITE)
    run.append([score("a", 0.5), score("b", 0.25)])
    run.append([score("c", 0.75)])
    run.save_features("fvd", ["a"], np.ones((1, 2), np.float32))
    return run


def change(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def test_rows_that_were_written_are_read_again(run):
    assert [row.value for row in run.rows(ScoreRow)] == [0.5, 0.25, 0.75]
    assert isinstance(stored_suite(run), Suite)
    assert run.load_features("fvd")["values"].tolist() == [[1, 1]]


def test_a_changed_digit_names_its_line_and_the_run_goes_on_without_it(run):
    table = run.path / "scores.jsonl"
    change(table, b"0.25", b"0.26")
    with pytest.raises(RunError, match=re.escape(f"{table}:2 is damaged: it is not a row that was written; delete the line")):
        run.rows(ScoreRow)
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if "0.26" not in line))
    run.repair()
    run.append([score("b", 0.25)])
    assert [row.id for row in run.rows(ScoreRow)] == ["a", "c", "b"]


def test_a_row_of_another_table_is_none_of_this(run):
    (run.path / "samples.jsonl").write_bytes((run.path / "scores.jsonl").read_bytes())
    with pytest.raises(RunError, match=r"samples\.jsonl:1 is damaged"):
        run.rows(SampleRow)


def test_changed_files_are_found(run):
    change(run.path / "suite.json", b"made", b"fade")
    with pytest.raises(RunError, match=r"suite\.json is damaged: it is not the file that was written"):
        stored_suite(run)
    features = run.path / "features" / "fvd.npz"
    change(features, np.float32(1).tobytes(), np.float32(2).tobytes())
    with pytest.raises(RunError, match=r"fvd\.npz is damaged"):
        run.load_features("fvd")
    run.drop_damaged_features()
    assert not features.exists()


@pytest.mark.parametrize("size", [5, 17, 40])
def test_a_torn_sum_costs_its_row_at_most(run, size):
    """A kill tears the sums before their rows are written."""
    whole = (run.path / FILE).read_bytes()
    (run.path / FILE).write_bytes(whole + b"0123456789abcdef\n0123456789abcdef\nabc"[:size])
    run.repair()
    run.append([score("d", 1.0)])
    assert [row.id for row in run.rows(ScoreRow)] == ["a", "b", "c", "d"]


def test_sums_end_with_the_run_and_begin_again_where_it_is_scored_again(run):
    run.finish()
    assert not (run.path / FILE).exists()
    run.repair()
    run.replace(ScoreRow, [score("a", 1.0)])
    assert [row.value for row in run.rows(ScoreRow)] == [1.0]
    change(run.path / "scores.jsonl", b"1.0", b"2.0")
    with pytest.raises(RunError, match="damaged"):
        run.rows(ScoreRow)


def test_a_run_of_a_version_without_sums_is_read(run):
    (run.path / FILE).unlink()
    change(run.path / "scores.jsonl", b"0.25", b"0.26")
    assert len(run.rows(ScoreRow)) == 3
    run.repair()
    run.append([score("d", 1.0)])
    assert len(run.rows(ScoreRow)) == 4
