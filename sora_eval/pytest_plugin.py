"""`pytest suites/quick.toml --sora-eval`: a suite as test items, one a metric. Does nothing without the flag.

At load this module imports only the standard library and pytest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class MetricFailed(Exception):
    """Why an item failed, in one line."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sora_eval", "text-to-video evaluation")
    group.addoption("--sora-eval", action="store_true", help="collect suite files (*.toml) as tests, an item a metric")
    group.addoption("--sora-generator", default="reference", metavar="SPEC", help="what to test (default: %(default)s)")
    group.addoption("--sora-out", default="runs", metavar="DIR", help="where run folders go (default: %(default)s)")
    group.addoption("--sora-limit", type=int, metavar="N", help="only the first N cases")
    parser.addini("sora_suites", "folders in which every .toml file is a suite", type="args", default=["suites"])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    if file_path.suffix != ".toml" or not parent.config.getoption("--sora-eval"):
        return None
    folders = [parent.config.rootpath / f for f in parent.config.getini("sora_suites")]
    if file_path.parent in folders or _declares_suite(file_path):
        return SuiteFile.from_parent(parent, path=file_path)
    return None


def _declares_suite(path: Path) -> bool:
    try:
        return "suite" in tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return False  # outside the suite folders a broken .toml is somebody else's


class SuiteFile(pytest.File):
    """A suite; its run is made once, by the first item that needs it."""

    _run: Any = None

    def collect(self) -> Iterator[pytest.Item]:
        from sora_eval.errors import SoraEvalError
        from sora_eval.suite import load_suite

        try:
            self.suite = load_suite(self.path)
        except SoraEvalError as error:  # a broken suite fails the session; it never vanishes
            raise self.CollectError(str(error)) from None
        if self.suite.cases:
            yield SuiteItem.from_parent(self, name="generation", metric=None)
        for metric in self.suite.metrics:
            yield SuiteItem.from_parent(self, name=metric, metric=metric)
        if self.suite.throughput is not None:
            yield SuiteItem.from_parent(self, name="throughput", metric="latency")

    def run_folder(self) -> Any:
        """The finished run; an error of the run fails every item that asks for it."""
        from sora_eval import evaluate
        from sora_eval.errors import SoraEvalError

        if self._run is None:
            option = self.config.getoption
            try:
                self._run = evaluate.run(
                    self.suite, option("--sora-generator"), Path(option("--sora-out")), limit=option("--sora-limit")
                )
            except SoraEvalError as error:
                self._run = error
        if isinstance(self._run, Exception):
            raise MetricFailed(str(self._run))
        return self._run


class SuiteItem(pytest.Item):
    """One metric of a suite. It passes when every case could be scored or has a reason of the protocol's own."""

    def __init__(self, *, metric: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric = metric

    def runtest(self) -> None:
        assert isinstance(self.parent, SuiteFile)
        run = self.parent.run_folder()
        failed = [r for r in run.rows("samples") if r["status"] == "error"]
        if self.metric is None:
            if failed:
                raise MetricFailed(
                    f"{len(failed)} of {run.head['cases']} cases failed; {failed[0]['id']}: {failed[0]['error']}"
                )
            return
        rows = [r for r in run.rows("metrics") if r["metric"].split(".")[0] == self.metric]
        for row in rows:
            name = row["metric"] + ("" if row["slice"] == "all" else f"[{row['slice']}]")
            if row["value"] is not None:
                self.user_properties.append((name, f"{row['value']:.6g} {row['unit']}"))
                self.user_properties.append((f"{name}.n", f"{row['n_scored']}/{row['n_expected']}"))
        whole = [r for r in rows if r["slice"] == "all"] or rows
        if not whole:
            raise MetricFailed(f"{self.metric} has no row in {run.path}/metrics.jsonl")
        for row in whole:
            if row["status"] != "ok" or row["value"] is None or row["value"] != row["value"]:
                raise MetricFailed(f"{row['metric']}: {row['status']}: {row['reason']}")
        if failed:
            raise MetricFailed(f"{self.metric}: {len(failed)} clips are missing from its {whole[0]['n_expected']} cases")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, MetricFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name
