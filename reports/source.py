"""The data of a report: runs, each read once, and the problems of reading others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd

from sora_eval.compare.comparison import Comparison, compare
from sora_eval.compare.difference import other_prompts
from sora_eval.compare.run_data import RunData, data_of, numbered
from sora_eval.records.verdict import GateResult
from sora_eval.runs.find import resolve_run
from sora_eval.runs.folder import R, RunFolder
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import TABLES, Row, SampleRow
from sora_eval.util.errors import RunError, SoraEvalError
from sora_eval.util.visible import encodable
from sora_eval_reports import frames
from sora_eval_reports.places import without_folders

Measure = Callable[[RunData, RunData], RunData]


class LoadedRun(RunFolder):
    """A run whose files are read at most once, since a report uses each many times."""

    def __init__(self, path: Path, trust: bool = False, step: int | None = None) -> None:
        super().__init__(path, trust)
        self._rows: dict[type[Row], list[Any]] = {}
        self._step = step

    @cached_property
    def head(self) -> RunHead:
        """As it is recorded, with the training steps that were given for it."""
        head = super().head
        if self._step is None:
            return head
        if head.generator.training_steps not in (None, self._step):
            raise RunError(f"{self.name} records {head.generator.training_steps} training steps, and --step says {self._step}")
        return head.model_copy(update={"generator": head.generator.model_copy(update={"training_steps": self._step})})

    def rows(self, row: type[R]) -> list[R]:
        if row not in self._rows:
            self._rows[row] = super().rows(row)
        rows: list[R] = self._rows[row]
        return rows


@dataclass(frozen=True)
class Source:
    """Runs in the order of the arguments, the first is the base; `problems` are lines for readers."""

    runs: list[LoadedRun]
    problems: list[str] = field(default_factory=list)
    measured: Measure | None = None  # compares the clips of a run with those of the base

    @cached_property
    def frames(self) -> frames.Frames:
        """The tables of all runs."""
        return frames.load(self.runs)

    @cached_property
    def data(self) -> list[RunData]:
        """The runs as a comparison reads them."""
        return [data_of(run) for run in self.runs]

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels by the name of the run folder; runs of one checkpoint are distinguished by a number."""
        labels = [self.plain(run.head.generator.label) for run in self.runs]
        return dict(zip((run.name for run in self.runs), numbered(labels), strict=True))

    def plain(self, text: str) -> str:
        """Text without the folders of this machine: a report may be published."""
        for run in self.runs:
            text = text.replace(encodable(str(run.path)), run.name)
        return without_folders(text, self._folders)

    @cached_property
    def _folders(self) -> set[Path]:
        """The folders of this machine that a text is likely to name: of the runs, of clips elsewhere, and of the start."""
        clips = {Path(r.clip).parent for run in self.runs for r in run.rows(SampleRow) if Path(r.clip).is_absolute()}
        return {*clips, *(run.path.resolve() for run in self.runs), Path.cwd()}

    @cached_property
    def compared(self) -> list[tuple[LoadedRun, Comparison]]:
        """Every further run against the first, where they can be compared."""
        return [(run, c) for run, c in self._compared if isinstance(c, Comparison)]

    @cached_property
    def refused(self) -> list[str]:
        """The reasons of missing comparisons, one line each."""
        return [f"{run.name} is not compared: {c}" for run, c in self._compared if isinstance(c, str)]

    @cached_property
    def _compared(self) -> list[tuple[LoadedRun, Comparison | str]]:
        out: list[tuple[LoadedRun, Comparison | str]] = []
        for run, data in zip(self.runs[1:], self.data[1:], strict=True):
            try:
                other = other_prompts(self.data[0], data)
                pair = data if other or self.measured is None else self.measured(self.data[0], data)
                out.append((run, other or compare(self.data[0], pair)))
            except SoraEvalError as error:
                out.append((run, str(error)))
        return out

    @cached_property
    def verdicts(self) -> GateResult | None:
        """verdicts.json of the last run; None where no gate was run, or where it cannot be read (a problem)."""
        try:
            return GateResult.read(self.runs[-1].path) if self.runs else None
        except RunError as error:
            self.problems.append(f"no verdict: {error}")
            return None


def open_source(
    paths: Sequence[Path], trust: bool = False, steps: Sequence[int] | None = None, measured: Measure | None = None
) -> Source:
    """Open runs for a report; one that cannot be read becomes a problem of the report. With `trust`, clips outside of the
    folders are shown, whoever made the runs. `steps` are the training steps of each, where runs record none; `measured`
    compares the clips of a run with those of the first.

    Raises RunError for a path that is no run at all, for steps that are not one per run, and for steps other than recorded.
    """
    if steps and len(steps) != len(paths):
        raise RunError(f"{len(steps)} x --step for {len(paths)} runs; expected one for each, in their order")
    runs, problems = [], []
    for name, step in zip(paths, steps or repeat(None, len(paths)), strict=True):
        path = name if (name / "run.json").is_file() else resolve_run(name, trust).path
        try:
            run = LoadedRun(RunFolder.open(path, trust).path, trust, step)
            for table in TABLES:
                run.rows(table)
            runs.append(run)
        except (RunError, KeyError, TypeError) as error:
            problems.append(f"left out: {str(error).replace(str(path), path.name)}")
    for run in runs:
        run.head  # noqa: B018  steps that are not those recorded are the user's error, and no problem of a run
    return Source(runs, problems, measured)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON table. Raises RunError for a missing or damaged file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path} is damaged: expected a table, found a {type(data).__name__}")
    return data


def share_of(metric: str) -> str:
    """The name of a clip's share in a set distance.

    >>> share_of("fvd")
    'share of fvd'
    """
    return f"share of {metric}"


def with_shares(data: frames.Frames) -> frames.Frames:
    """The frames with each clip's share in the set distances among the scores."""
    shares = data.attribution.assign(metric=[share_of(m) for m in data.attribution["metric"]], status="ok", reason="")
    return replace(data, scores=pd.concat([data.scores, shares], ignore_index=True) if len(shares) else data.scores)


def paired_scores(data: frames.Frames, base: str, new: str) -> pd.DataFrame:
    """One row per (case, metric) that either run scored: metric, id, prompt_id, shape, frames, tags, base, new."""
    key = ["metric", "id"]
    facts = ["prompt_id", "shape", "frames", "tags"]
    a, b = (data.scores[data.scores["run"] == run] for run in (base, new))
    merged = a[[*key, *facts, "value"]].merge(b[[*key, *facts, "value"]], on=key, how="outer", suffixes=("_a", "_b"))
    for name in facts:
        merged[name] = merged[f"{name}_a"].where(merged[f"{name}_a"].notna(), merged[f"{name}_b"])
    return merged.rename(columns={"value_a": "base", "value_b": "new"})[[*key, *facts, "base", "new"]]
