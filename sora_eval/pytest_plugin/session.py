"""The runs of a test session, each executed once over all workers of xdist, and their gates; for items and fixtures."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from sora_eval.records.verdict import GateResult, GateRow
    from sora_eval.runs.folder import RunFolder
    from sora_eval.suite import Suite


class UndecidedWarning(UserWarning):
    """An undecided gate, where that is no failure."""


def new_folder() -> Path:
    """A unique path in the folder of temporary files; it is not created yet."""
    return Path(tempfile.gettempdir()) / f"sora-eval-{uuid4().hex}"


def line_of(row: GateRow) -> str:
    """A gate's row in one line: `fvd: REGRESSED: 574.9 -> 702.1 (+22.1 %): past the limit of ...`."""
    numbers = "" if row.base is None or row.new is None else f"{row.base:.4g} -> {row.new:.4g}"
    percent = "" if row.change_percent is None else f" ({row.change_percent:+.3g} %)"
    return ": ".join(filter(None, [row.name, str(row.verdict), numbers and numbers + percent, row.reason]))


def fails(row: GateRow, strict: bool) -> bool:
    """Whether a row fails a test: regressions and missing numbers always, undecided rows under `strict`."""
    from sora_eval.records.verdict import Verdict

    return row.verdict in (Verdict.REGRESSED, Verdict.ERROR, Verdict.MISSING) or (strict and not row.verdict.green)


class SharedRuns:
    """The runs of one session. `folder` holds a lock and a record per run, for all workers; `notes` are printed at the end."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.config, self.folder, self.notes = config, folder, list[str]()
        self._runs: dict[str, RunFolder] = {}
        self._results: dict[str, GateResult] = {}

    # Options

    @property
    def strict(self) -> bool:
        """Whether undecided gates fail: --sora-strict or its negation, else whether CI is set."""
        from sora_eval.util.environment import is_strict

        return is_strict(self.config.getoption("sora_strict"))

    @property
    def updates(self) -> bool:
        """Whether the session promotes its runs (--sora-update)."""
        return bool(self.config.getoption("--sora-update"))

    @property
    def baseline_path(self) -> Path | None:
        """The baseline to gate against; None without one. An ini value is relative to the root folder."""
        from sora_eval.gate.baseline import FOLDER

        if option := self.config.getoption("--sora-baseline"):
            return Path(option)
        if setting := self.config.getini("sora_baseline"):
            return Path(self.config.rootpath, setting)
        return FOLDER if self.updates else None

    # Runs

    def run(self, suite: Suite, generator: str | None = None, limit: int | None = None) -> RunFolder:
        """The finished run for these arguments: the first worker that needs it executes it, the others wait and read it.

        Raises SoraEvalError in each of them where it failed.
        """
        from sora_eval.pipeline import run as evaluate
        from sora_eval.runs.folder import RunFolder
        from sora_eval.util.errors import SoraEvalError

        spec = generator or self.config.getoption("--sora-generator")
        limit = limit if limit is not None else self.config.getoption("--sora-limit")
        out = Path(self.config.getoption("--sora-out")).absolute()
        arguments = [str(suite.path), suite.to_json(), spec, limit, str(out)]
        key = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:16]
        if key in self._runs:
            return self._runs[key]
        with self._locked(key):
            record = self.folder / f"{key}.json"
            if not record.exists():
                try:
                    outcome = {"run": str(evaluate.run(suite, spec, out, limit=limit).path)}
                except SoraEvalError as error:
                    outcome = {"error": str(error)}
                except Exception as error:  # a bug: its traceback is shown once, and the run is not tried by every item
                    text = f"the run failed with {type(error).__name__}: {error}; the first item that asked has the traceback"
                    record.write_text(json.dumps({"error": text}), encoding="utf-8")
                    raise
                record.write_text(json.dumps(outcome), encoding="utf-8")
            outcome = json.loads(record.read_text(encoding="utf-8"))
        if "error" in outcome:
            raise SoraEvalError(outcome["error"])
        self._runs[key] = RunFolder.open(Path(outcome["run"]))
        return self._runs[key]

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        from filelock import FileLock

        self.folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(self.folder / f"{name}.lock"):
            yield

    # Gates

    def gate_result(self, run: RunFolder) -> GateResult:
        """The gates of a run's suite against the baseline of the session; verdicts.json is left in the run folder."""
        from sora_eval.records.verdict import FILE
        from sora_eval.runs.lock import PATIENCE

        key = str(run.path)
        if key not in self._results:
            result = self._judge(run, self._baseline(run), self.strict)
            with run.lock.held(PATIENCE):
                run.save_json(FILE, result.to_json())
            self._results[key] = result
        return self._results[key]

    def assert_no_regression(self, run: RunFolder, baseline: Any = None, strict: bool | None = None) -> GateResult:
        """Raises AssertionError with a line for each failed gate; warns about each undecided one.

        Raises pytest.UsageError without a baseline.
        """
        from sora_eval.gate import baseline as baselines
        from sora_eval.util.environment import is_strict

        severe = self.strict if strict is None else is_strict(strict)
        if baseline is None and self.baseline_path is None:
            raise pytest.UsageError("no baseline: give assert_no_regression one, or the option --sora-baseline")
        if baseline is None:
            base = self._baseline(run)
        elif isinstance(baseline, (str, Path)):
            base = baselines.find(Path(baseline), run.head.suite.id, self.config.getoption("--sora-profile"))
        else:
            base = baseline
        result = self._judge(run, base, severe)
        failed = [line_of(r) for r in result.rows if fails(r, severe)]
        if failed:
            raise AssertionError("\n".join([result.headline, *failed]))
        for row in result.rows:
            if not row.verdict.green:
                warnings.warn(UndecidedWarning(line_of(row)), stacklevel=2)
        return result

    def _judge(self, run: RunFolder, base: Any, strict: bool) -> GateResult:
        from sora_eval.compare.run_data import data_of
        from sora_eval.fidelity.asked import with_gated
        from sora_eval.gate.gate_run import judged, limits_for, with_clips
        from sora_eval.runs.folder import stored_suite

        stored, base = stored_suite(run), None if base is None else data_of(base)
        new = with_clips(base, data_of(run), limits_for(stored, base)[0], with_gated)
        return judged(new, base, stored, strict=strict, profile=self.config.getoption("--sora-profile"))

    def _baseline(self, run: RunFolder) -> Any:
        """The baseline of the session; None where there is none yet."""
        from sora_eval.gate import baseline as baselines

        path = self.baseline_path
        if path is None or (self.updates and not path.exists()):
            return None
        return baselines.find(path, run.head.suite.id, self.config.getoption("--sora-profile"))

    # Updating

    def remember(self, run: RunFolder) -> None:
        """Note a run to become the baseline of its suite if the session is green."""
        if self.updates:
            (self.folder / f"{run.path.name}.update").write_text(str(run.path), encoding="utf-8")

    def update(self, green: bool) -> None:
        """Promote the noted runs if the session is `green`; else add a note why not."""
        from sora_eval.runs.folder import RunFolder
        from sora_eval.util.errors import SoraEvalError

        for record in sorted(self.folder.glob("*.update")) if self.updates else ():
            run = RunFolder(Path(record.read_text(encoding="utf-8")))
            try:
                promoted = self._promote(RunFolder.open(run.path)) if green else None
                self.notes.append(
                    f"promoted: {promoted}" if promoted else f"{run.path} is not promoted: the session is not green"
                )
            except SoraEvalError as error:
                self.notes.append(str(error))

    def _promote(self, run: RunFolder) -> Path:
        """Raises BaselineError for a run that must not become the baseline."""
        from sora_eval.gate import baseline as baselines
        from sora_eval.records.verdict import Verdict
        from sora_eval.runs.folder import stored_suite
        from sora_eval.util.errors import BaselineError

        path, profile = self.baseline_path, self.config.getoption("--sora-profile")
        assert path is not None
        if (path / "run.json").exists():
            raise BaselineError(f"{run.path} is not promoted: {path} is a run; name a file or a folder with --sora-baseline")
        if stored_suite(run).gates:
            rows = self._judge(run, self._baseline(run), True).rows
            undecided = [line_of(r) for r in rows if not r.verdict.green and r.verdict is not Verdict.NO_BASELINE]
            if undecided:
                raise BaselineError(
                    f"{run.path} is not promoted: {undecided[0]}; if it is meant: sora-eval baseline promote {run.path} --force"
                )
        to = path if path.suffix == ".json" else baselines.default_path(run.head.suite.id, profile, path)
        return baselines.promote([run], to, profile=profile, force=True)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
