"""The measured block of `docs/ci.md` on speed against quality, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docs.pages.program import between, check_markers, launch, write_page
from sora_eval.gate.baseline import FOLDER, find
from sora_eval.speed.session import bench
from sora_eval.studies.frontier import frontier
from sora_eval.studies.repeats import repeat
from sora_eval.suite import load_suite
from sora_eval.util.errors import RunError
from sora_eval_reports.export.frontier import draw
from sora_eval_reports.text.frontier import frontier_table, print_frontier
from sora_eval_reports.text.tables import markdown

MARK = "frontier"
BASE = "reference:base"
SPECS = ("reference?steps=10", "reference?steps=5", "reference:base-int8", "reference:middle")


def main(
    page: Annotated[Path, typer.Option(help="The page; its picture goes into images/ beside it.")] = Path("docs/ci.md"),
    pool: Annotated[Path, typer.Option(help="Where the runs go; what is there already is used.")] = Path("runs/pool"),
    out: Annotated[Path, typer.Option(help="Where the benches go.")] = Path("runs"),
) -> None:
    """Measure what faster ways of sampling the reference model cost in quality, and write it into docs/ci.md."""
    check_markers(page, MARK)
    suite = load_suite("gate")
    baseline = find(FOLDER, suite.suite.id)
    if baseline is None:
        raise RunError(f"{FOLDER} holds no baseline of {suite.suite.id!r}")
    runs = [repeat(suite, spec, 1, pool)[0] for spec in SPECS]
    points = frontier(baseline, runs, bench(load_suite("gate-speed"), [BASE, *SPECS], out), suite=suite)
    print_frontier(points, "latency")
    draw(points, page.parent / "images/frontier.png")
    block = "\n".join(
        [
            "Written by `python -m docs.pages.frontier`, on one machine; gains lie between one-sided 95 % bounds.",
            "",
            "![gain in latency against the share of a limit that is used up](images/frontier.png)",
            "",
            markdown(frontier_table(points, "latency")),
        ]
    )
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, block))


if __name__ == "__main__":
    launch(main)
