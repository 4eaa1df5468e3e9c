"""The tables of speed: one definition of columns for the terminal, the report and the measured page."""

import pytest

from docs.pages.speed import sweep_table
from sora_eval.records.speed_metrics import is_speed
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval_reports import frames
from sora_eval_reports.text import speed, tables
from sora_eval_reports.text.columns import SPEED_COLUMNS
from tests.runs import drawn_run

POINT = "32x32x9"


@pytest.fixture
def run(tmp_path):
    """A run with a point of which every speed metric is 2e6, and a stage of the generator's own."""
    folder = drawn_run(tmp_path, "run", clips=False)
    metrics = [*(c.metric for c in SPEED_COLUMNS), "latency.upsample"]
    folder.replace(MetricRow, [MetricRow(metric=m, slice=POINT, value=2e6, family="speed") for m in metrics])
    folder.replace(TimingRow, [TimingRow(id=POINT, stage="whole", repeat=0, seconds=2e6, tokens=7)])
    return folder


def test_every_table_of_speed_has_the_same_titles_and_units(run):
    whole = tables.speed_table(frames.load([run.path])).iloc[0].to_dict()
    brief = speed.speed_table(run).iloc[0].to_dict()
    page = sweep_table(run).iloc[0].to_dict()
    titles = [c.title for c in SPEED_COLUMNS]
    assert [t for t in whole if t != "shape"] == [*titles, "upsample s"]
    assert [t for t in page if t in titles] == titles
    assert {t for t in brief if t in titles} == {c.title for c in SPEED_COLUMNS if c.brief}
    for table in (whole, brief, page):
        assert float(table["latency s"]) == 2e6
        assert float(table["peak MB"]) == 2
    assert (float(whole["GFLOP"]), float(page["GFLOP"])) == (0.002, 0.002)


def test_every_column_is_of_a_speed_metric():
    assert all(is_speed(c.metric) for c in SPEED_COLUMNS)
