"""Writes the costs in docs/metrics.md from one run of the benchmarks, between the markers:

pytest tests/benchmarks/test_speed.py tests/benchmarks/test_reports.py --benchmark-enable --benchmark-json bench.json
python -m tests.benchmarks.page bench.json docs/metrics.md
"""

import json
import os
import sys
from pathlib import Path
from statistics import median

import pandas as pd

BEGIN, END = "<!-- costs -->", "<!-- /costs -->"


def rows(benchmarks: dict[str, dict]) -> list[tuple[str, float, str, float, bool]]:
    """What was measured: words, value, unit, aim, and whether more is better."""

    def seconds(name: str) -> float:
        return benchmarks[name]["stats"]["median"]

    def extra(name: str, key: str) -> float:
        return benchmarks[name]["extra_info"][key]

    i3d, large = "test_i3d[onnx]", "test_large_report"
    frechet = {w: [seconds(f"test_frechet[{f}-{w}]") for f in ("scipy sqrtm", "nuclear norm")] for w in (400, 2048)}
    clicks = [median(b["extra_info"]["milliseconds"]) for name, b in benchmarks.items() if name.startswith("test_first_click")]
    return [
        ("I3D, ONNX Runtime against torch eager", seconds("test_i3d[torch eager]") / seconds(i3d), "x", 1.3, True),
        ("I3D, share of the machine's fp32 matrix peak", 100 * extra(i3d, "share_of_peak"), "%", 80, True),
        *(
            (f"Fréchet distance, N = 256, D = {w}, against SciPy's sqrtm", slow / fast, "x", aim, True)
            for (w, (slow, fast)), aim in zip(frechet.items(), (8, 300), strict=True)
        ),
        ("1000 paired permutations of FVD, 64 + 64 against 64 clips", seconds("test_permutations"), "s", 5, False),
        ("scoring 100 clips with all metrics, against the sum of its parts", extra("test_overhead", "ratio"), "x", 1.15, False),
        ("the same in processor time", extra("test_overhead", "cpu_ratio"), "x", 1.15, False),
        ("gate of 64 cases: 2 set and 20 per-clip metrics, from the files", seconds("test_gate"), "s", 10, False),
        ("HTML report of two runs, 1000 cases x 10 metrics", seconds(large), "s", 20, False),
        ("its size without clips", extra(large, "bytes") / 1e6, "MB", 10, False),
        ("the first click on it, until what it did is drawn: the slowest place", max(clicks), "ms", 200, False),
    ]


def block(data: dict) -> str:
    """The table, with the machine that it is of."""
    found = rows({b["name"]: b for b in data["benchmarks"]})
    cpu = data["machine_info"]["cpu"].get("brand_raw", "unknown processor")
    table = pd.DataFrame(
        {
            "": [what for what, *_ in found],
            "measured": [f"{value:.3g} {unit}" for _, value, unit, *_ in found],
            "aim": [f"{'>=' if more else '<='} {aim:g} {unit}" for *_, unit, aim, more in found],
            "met": ["yes" if (v >= aim if more else v <= aim) else "**no**" for _, v, _, aim, more in found],
        }
    )
    head = f"{cpu}, {os.cpu_count()} cores; medians of one run, {data['datetime'][:10]}."
    return f"{head}\n\n{table.to_markdown(index=False, disable_numparse=True)}"


if __name__ == "__main__":
    results, page = Path(sys.argv[1]), Path(sys.argv[2])
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{block(json.loads(results.read_text()))}\n{END}{rest.split(END)[1]}")
