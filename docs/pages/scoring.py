"""The block on scoring in `docs/performance.md`: real clips against another version of this repository, in turns, where the
time of a clip goes, and how long the suite `quick` takes.

Features are computed, not cached: every run has an empty cache of features and the weights of the cache of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from docs.pages.program import between, check_markers, launch, write_page
from docs.pages.speed import paired_ratio
from sora_eval.pipeline.run import rescore
from sora_eval.runs.find import resolve_run
from sora_eval.runs.rows import SampleRow
from sora_eval.util.environment import git_state, hardware
from sora_eval.util.errors import RunError, line_of
from sora_eval.util.progress import track
from sora_eval.util.stages import NEEDED, Cover, Stages, counting, covering
from sora_eval.util.weights import cache_folder
from sora_eval_reports.text.stages import stage_table, stage_words

MARK = "scoring"
MAIN = "from sora_eval.cli import main; main()"
MODEL = "ViT-B-32:laion2b_s34b_b79k"


@dataclass(frozen=True)
class Took:
    """What a command took: seconds by the clock, processor seconds of all its threads, and the folder of its run."""

    seconds: float
    processor: float
    run: Path
    words: str


def main(
    clips: Annotated[str, typer.Option(help="A folder or a manifest of real clips with prompts.")],
    before: Annotated[Path, typer.Option(help="The root of another version of this repository, as git archive writes it.")],
    commit: Annotated[str, typer.Option(help="The name of that version.")],
    model: Annotated[str, typer.Option(help="The CLIP of clip_score and clip_retrieval.")] = MODEL,
    model_name: Annotated[str, typer.Option(help="How the page calls it.")] = MODEL,
    rounds: Annotated[int, typer.Option(help="Of both versions in turns, after one that is not counted.")] = 6,
    page: Annotated[Path, typer.Option(help="The page; the block goes between its markers.")] = Path("docs/performance.md"),
) -> None:
    """Measure scoring, and write its block of docs/performance.md."""
    check_markers(page, MARK)
    arguments = ["run", "videos", "-g", f"folder:{clips}"]
    arguments += [f"--set=metrics.{metric}.model={model}" for metric in ("clip_score", "clip_retrieval")]
    versions = {"before": before.resolve(), "now": Path.cwd()}
    took: dict[str, list[Took]] = {name: [] for name in versions}
    with TemporaryDirectory() as folder:
        for name, root in versions.items():
            command(root, arguments, Path(folder) / f"{name}-warm")
        whole = command(Path.cwd(), [*arguments, f"--reference=folder:{clips}"], Path(folder) / "all-metrics")
        with counting() as stages:
            run = rescore(resolve_run(whole.run, True))  # with another cache
        with covering(NEEDED) as cover:
            rescore(run)
        number = len(run.rows(SampleRow))
        command(Path.cwd(), ["run", "quick"], Path(folder) / "quick-warm", keep_features=True)
        quick = command(Path.cwd(), ["run", "quick"], Path(folder) / "quick", keep_features=True)
        for turn in track(range(rounds), "rounds"):
            for name, root in versions.items():
                took[name].append(command(root, arguments, Path(folder) / f"{name}-{turn}"))
    text = block(number, took["before"], took["now"], commit, model_name, stages, cover, quick)
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, text))


def command(root: Path, arguments: Sequence[str], out: Path, *, keep_features: bool = False) -> Took:
    """Run a verb of the version in `root`, with the weights of this machine's cache and no feature unless they are kept.

    Raises RunError where it fails.
    """
    cache = out.parent / "cache"
    if not cache.exists():
        shutil.copytree(cache_folder() / "weights", cache / "weights")
    if not keep_features:
        shutil.rmtree(cache / "features", ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / '.links'}", "SORA_EVAL_CACHE": str(cache)}
    line = [sys.executable, "-c", MAIN, *arguments, "--out", str(out)]
    began, before = time.monotonic(), os.times()
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - began, os.times()
    if done.returncode:
        raise RunError(f"sora-eval {arguments[0]} of {root} failed: {line_of(RuntimeError(done.stderr.strip() or '?'), -1)}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(seconds, processor, next(out.iterdir()), done.stdout)


def block(
    clips: int,
    before: Sequence[Took],
    now: Sequence[Took],
    commit: str,
    model: str,
    stages: Stages,
    cover: Cover,
    quick: Took,
) -> str:
    """The block of the page."""
    machine, rows = hardware(), []
    for what, unit in (("seconds", "s by the clock"), ("processor", "processor s")):
        a, b = ([getattr(each, what) for each in side] for side in (before, now))
        value, low, high = paired_ratio(a, b)
        interval = f"{'-' if low is None else f'{low:.2f}'} .. {'-' if high is None else f'{high:.2f}'}"
        middle = [f"{median(side):.1f}" for side in (a, b)]
        rows.append(f"| {unit} | {middle[0]} | {middle[1]} | {value:.2f}x | {interval} | {len(a)} |")
    table = "\n".join(["| | before | now | ratio | 95 % interval | rounds |", "|:--|--:|--:|--:|:--|--:|", *rows])
    memory = re.search(r"\((\d+) s, peak memory ([\d.]+ GB)\)", quick.words)
    commit_now = str(git_state()["commit"])[:7]
    return f"""Measured {date.today()}, {machine["cpu"]}, {machine["cores"]} cores.

`sora-eval run videos` on {clips} real clips, everything from start to table, no feature cached, CLIP: {model}.
{commit} (before) and {commit_now} (now) in turns. The ratio is the median of the rounds. Other work on the machine
moves processor seconds less than those of the clock.

{table}

The same clips against themselves as the reference set, so that every metric has a value, by `sora-eval score RUN --stages`:
one clip after the other, nothing beside it, seconds by the clock. What metrics share is with the first that asks.

{stage_table(stages).to_markdown(index=False)}

{chr(10).join(f"- {line}" for line in stage_words(stages))}

As it always runs, with all that needs no network in threads beside the networks, the same takes {cover.whole:.1f} s by the
clock. In {100 * (1 - cover.covered / cover.whole):.1f} % of it no thread is in a network, in flow or in tracks.

`sora-eval run quick` with warm weights and features, everything: {memory[1] if memory else "?"} s by the clock,
{quick.processor:.0f} processor seconds, peak memory {memory[2] if memory else "?"}."""


if __name__ == "__main__":
    launch(main)
