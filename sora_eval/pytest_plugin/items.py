"""A suite file as test items: one per metric, per shape of its sweep, and per gate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sora_eval.pytest_plugin.session import SharedRuns, fails, line_of
from sora_eval.util.redaction import redact


class Failed(Exception):
    """Why an item failed, in one line."""


def _one_line(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException], otherwise: Callable[[], Any]) -> Any:
    return str(excinfo.value) if isinstance(excinfo.value, Failed) else otherwise()


def _location(item: pytest.Item) -> tuple[Path, int, str]:
    """File, line, headline of a failure. With the bare name `-v` prints `physics_laws::permanence`, which is no id."""
    return item.path, 0, f"{item.path.name}: {item.name}"


class SuiteFile(pytest.File):
    """A suite; the first item of any worker that needs its run executes it, once."""

    def __init__(self, *, shared: SharedRuns, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shared = shared
        self._generator: Any = None

    def collect(self) -> Iterator[pytest.Item]:
        from sora_eval.gate.tradeoff import NAME
        from sora_eval.suite import load_suite
        from sora_eval.util.errors import SoraEvalError

        try:
            self.suite = load_suite(self.path)
        except SoraEvalError as error:  # a broken suite fails the session
            raise self.CollectError(str(error)) from None
        if self.suite.cases:
            yield SuiteItem.from_parent(self, name="generation", metric=None)
        for metric in self.suite.metrics:
            yield SuiteItem.from_parent(self, name=metric, metric=metric)
        if self.suite.throughput is not None:
            yield SuiteItem.from_parent(self, name="throughput", metric="latency")
            yield from self._speed_items()
        if self.shared.baseline_path is not None:
            for metric, spec in self.suite.gates.items():
                name = metric if spec.slice == "all" else f"{metric}[{spec.slice}]"
                ends = [False] * (spec.max_increase is not None or spec.max_decrease is not None)
                for window in [*ends, *[True] * (spec.window is not None)]:
                    suffix = ":window" * (window and bool(ends))
                    yield GateItem.from_parent(self, name=f"gate:{name}{suffix}", metric=metric, window=window)
            if self.suite.tradeoff is not None:
                yield GateItem.from_parent(self, name=f"gate:{NAME}", metric=NAME, window=False)
            if self.suite.gates:
                yield GateItem.from_parent(self, name="gate:others", metric=None, window=False)

    def _speed_items(self) -> Iterator[pytest.Item]:
        from sora_eval.records.capabilities import Capabilities
        from sora_eval.speed.sweep import shapes_of
        from sora_eval.util.errors import SoraEvalError

        sweep = self.suite.throughput
        assert sweep is not None
        try:  # areas are snapped to the shapes of the generator; named shapes need no generator
            capabilities = self.generator().facts.capabilities if sweep.areas else Capabilities()
        except SoraEvalError:
            return  # `throughput` fails with the reason
        for shape in shapes_of(sweep, capabilities)[0]:
            target = _timed(self, shape) if self.config.pluginmanager.hasplugin("benchmark") else _no_benchmark
            yield SpeedItem.from_parent(self, name=f"throughput:{shape}", callobj=target)

    def run_folder(self) -> Any:
        """The finished run. Raises Failed, for every item that needs it, where it failed."""
        from sora_eval.util.errors import SoraEvalError

        try:
            run = self.shared.run(self.suite)
        except SoraEvalError as error:
            raise Failed(str(error)) from None
        self.shared.remember(run)
        return run

    def generator(self) -> Any:
        """The generator, opened once per worker. Raises SoraEvalError."""
        from sora_eval.speed.timed_generator import LocalGenerator

        if self._generator is None:
            self._generator = LocalGenerator.open(self.config.getoption("--sora-generator"))
        return self._generator


class _Item(pytest.Item):
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return _one_line(self, excinfo, lambda: super(_Item, self).repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[Path, int, str]:
        return _location(self)

    @property
    def file(self) -> SuiteFile:
        assert isinstance(self.parent, SuiteFile)
        return self.parent


class SuiteItem(_Item):
    """One metric of a suite. It passes when every case has a score or a reason of the protocol why there is none."""

    def __init__(self, *, metric: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric = metric

    def runtest(self) -> None:
        from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow

        run = self.file.run_folder()
        failed = [r for r in run.rows(SampleRow) if r.status == "error"]
        if self.metric is None:
            if failed:
                raise Failed(f"{len(failed)} of {run.head.cases} cases failed; {failed[0].id}: {failed[0].error}")
            return
        rows = [r for r in run.rows(MetricRow) if self.metric in (r.declared or r.metric.partition(".")[0], r.metric)]
        for row in rows:
            name = row.metric + ("" if row.slice == "all" else f"[{row.slice}]")
            if row.value is not None:
                self.user_properties.append((name, f"{row.value:.6g} {row.unit}"))
                self.user_properties.append((f"{name}.n", f"{row.n_scored}/{row.n_expected}"))
        whole = [r for r in rows if r.slice == "all"] or rows
        if not whole:
            raise Failed(f"{self.metric} has no row in {run.path}/metrics.jsonl")
        for row in whole:
            if row.status != "ok" or row.value is None or not math.isfinite(row.value):
                raise Failed(f"{row.metric}: {row.status}: {row.reason}")
            if self.file.shared.strict and row.unlike_reference:
                raise Failed(f"{row.metric}: {row.unlike_reference}")
        names, without = {r.metric for r in rows}, {r.id for r in failed}
        if broken := [r for r in run.rows(ScoreRow) if r.status == "error" and r.metric in names and r.id not in without]:
            raise Failed(f"{self.metric}: {len(broken)} scores failed; {broken[0].id}: {broken[0].reason}")
        if failed:
            raise Failed(f"{self.metric}: {len(failed)} clips are missing from its {whole[0].n_expected} cases")


class GateItem(_Item):
    """One gate of a suite against the baseline: by its limits, or by its window. For speed, one row per shape. Without a
    `metric`, all rows that no other item has: clips that repeat, gates that only the baseline holds.

    Undecided rows skip the item with their reasons; under strict they fail it.
    """

    def __init__(self, *, metric: str | None, window: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric, self.window = metric, window

    def runtest(self) -> None:
        from sora_eval.gate.tradeoff import NAME
        from sora_eval.records.verdict import Verdict
        from sora_eval.util.errors import SoraEvalError

        shared = self.file.shared
        try:
            result = shared.gate_result(self.file.run_folder())
        except SoraEvalError as error:
            raise Failed(str(error)) from None
        if self.metric is None:
            rows = [r for r in result.rows if r.metric not in (*self.file.suite.gates, NAME)]
        else:
            rows = [r for r in result.rows if r.metric == self.metric and r.window == self.window]
        for row in rows:
            place = row.slice if self.metric else row.name
            prefix = "" if len(rows) == 1 else f"{place}."
            self.user_properties += [(prefix + key, value) for key, value in _properties(row).items()]
        if not rows and self.metric:
            raise Failed(f"{self.name} has no row in the verdicts")
        # --sora-update creates the first baseline, so its absence is no failure.
        expected = [r for r in rows if shared.updates and r.verdict is Verdict.NO_BASELINE]
        if failed := [line_of(r) for r in rows if fails(r, shared.strict) and r not in expected]:
            raise Failed("\n".join(failed))
        if undecided := [line_of(r) for r in rows if not r.verdict.green]:
            pytest.skip("; ".join(undecided))


def _properties(row: Any) -> dict[str, str]:
    """The JUnit properties of a row; those without a value are left out."""
    numbers = {"value": row.new, "base": row.base, "change": row.change, "change_percent": row.change_percent}
    out = {"verdict": str(row.verdict), "limit": row.limit, "n": str(row.n), "unit": row.unit}
    out |= {k: f"{v:.6g}" for k, v in {**numbers, "p": row.p, "p_adjusted": row.p_adjusted}.items() if v is not None}
    if row.low is not None and row.high is not None:
        out["interval"] = f"{row.low:.6g} .. {row.high:.6g}"
    return out


class SpeedItem(pytest.Function):
    """One shape of the sweep through pytest-benchmark. A function item, so that it can request the `benchmark` fixture."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        return _one_line(self, excinfo, lambda: super(SpeedItem, self).repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return _location(self)


def _no_benchmark() -> None:
    pytest.skip("pytest-benchmark is not installed or switched off; 'throughput' has the times of the run")


def _timed(file: SuiteFile, shape: str) -> Callable[[Any], None]:
    def point(benchmark: Any) -> None:
        """Each round is one call of the harness, the device synchronised inside."""
        from sora_eval.speed.sweep import Point, request_for, with_problem
        from sora_eval.util.errors import SoraEvalError

        sweep = file.suite.throughput
        assert sweep is not None
        requests, calls = (request_for(shape, file.suite),), []

        def prepare() -> None:
            """Not timed. Inside `pedantic`, so that a generator that cannot be opened is a failure of the benchmark."""
            try:
                point = with_problem(Point(shape, "latency", requests), file.generator().facts.capabilities)
            except SoraEvalError as error:
                raise Failed(str(error)) from None
            if point.problem:
                raise Failed(point.problem)

        def call() -> None:
            calls.append(file.generator().call(requests))
            if calls[-1].reason:
                raise Failed(f"{shape}: {calls[-1].reason}")

        benchmark.group = f"{file.suite.suite.id}: throughput"
        benchmark.pedantic(call, setup=prepare, rounds=sweep.repeats, warmup_rounds=sweep.warmup)
        repeats, generator = calls[-sweep.repeats :], file.generator()
        benchmark.extra_info |= {
            "shape": shape,
            "generator": redact(generator.facts.spec),
            "tokens": generator.tokens(requests),
            "stages": {s: statistics.median(c.stages[s] for c in repeats) for s in repeats[0].stages},
        }

    return point
