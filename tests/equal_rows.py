"""Whether two runs have the same rows, whatever made them."""

import math

from sora_eval.runs.rows import AttributionRow, MetricRow, OracleRow, SampleRow, ScoreRow

TABLES = (SampleRow, ScoreRow, OracleRow, MetricRow, AttributionRow)


def rows_of(run):
    """All rows without what differs between any two runs: times, memory, and speed."""
    out = {}
    for table in TABLES:
        rows = [row.model_dump(exclude={"seconds", "peak_bytes"}) for row in run.rows(table)]
        out[table.table] = [row for row in rows if row.get("family") != "speed"]
    return out


def assert_equal(a, b):
    """Equal data, numbers to 1e-6."""
    if isinstance(a, float) and isinstance(b, float):
        assert math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_equal(one, other)
    else:
        assert a == b
