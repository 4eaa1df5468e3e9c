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
    for one, other in numbers_of(a, b):
        assert math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))


def largest_difference(a, b):
    """The largest difference of two numbers at one place, relative to the larger of them; all else is asserted to be equal."""
    return max((abs(x - y) / max(abs(x), abs(y)) for x, y in numbers_of(a, b) if x != y and not math.isnan(x + y)), default=0.0)


def numbers_of(a, b):
    """The numbers at the same places of two data, which are asserted to be equal but for these."""
    if isinstance(a, float) and isinstance(b, float):
        assert math.isnan(a) == math.isnan(b)
        yield a, b
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            yield from numbers_of(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            yield from numbers_of(one, other)
    else:
        assert a == b
