"""Loading of suite files: a suite, or one message that says what to fix."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sora_eval.records.speed_metrics import SPEED_METRICS
from sora_eval.registry.metrics import check_options, check_outputs, outputs_of, quoted
from sora_eval.suite.suite import Suite
from sora_eval.suite.tables import Axes, Canonical, Gate, Generate, Oracles, Prompts, Reference, SuiteHead, Throughput
from sora_eval.util.errors import RegistryError, SuiteError, near


def shipped() -> list[str]:
    """Names of the suites that ship with the package, sorted."""
    return sorted(p.name.removesuffix(".toml") for p in resources.files("suites").iterdir() if p.name.endswith(".toml"))


def load_suite(name: str | Path) -> Suite:
    """Load a suite by path or by shipped name. Raises SuiteError with one line per problem."""
    path = Path(name)
    if not path.is_file():
        path = Path(str(resources.files("suites"))) / f"{name}.toml"
    if not path.is_file():
        raise SuiteError(f"suite {str(name)!r} is neither a file nor shipped; shipped: {', '.join(shipped())}")
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: not valid TOML: {error}") from error
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        raise SuiteError("\n".join(f"{path}: {_explain(problem)}" for problem in error.errors())) from None
    suite._path = path
    if (suite.prompts is None) != (suite.axes is None):
        raise SuiteError(f"{path}: [prompts] and [axes] belong together; leave both out to score the generator's own clips")
    if suite.oracles is not None and suite.axes is None:
        raise SuiteError(f"{path}: [oracles] answer the suite's own prompts; add [prompts] and [axes], or leave them out")
    if not suite.metrics and suite.throughput is None:
        raise SuiteError(f"{path}: neither [metrics.*] nor [throughput]: the suite would measure nothing")
    _check_metrics(suite)
    for metric in suite.gates:
        _check_gate(suite, metric)
    suite.prompt_list  # noqa: B018  (a broken prompt file is an error of the suite)
    return suite


def gates_of(suite: Suite, fingerprint: str) -> dict[str, Gate]:
    """The gates of a suite file for a run whose suite has `fingerprint`. Raises SuiteError if they differ."""
    if suite.fingerprint != fingerprint:
        raise SuiteError(f"{suite.path} (fingerprint {suite.fingerprint}) is not the suite of the run ({fingerprint})")
    return suite.gates


def _check_metrics(suite: Suite) -> None:
    for metric, options in suite.metrics.items():
        try:
            check_options(metric, options)
        except SuiteError as error:
            raise SuiteError(f"{suite.path}: {error}") from error
        except RegistryError as error:
            raise SuiteError(f"{suite.path}: [metrics.{quoted(metric)}]: {error}") from error
    try:
        check_outputs(suite.metrics)
    except SuiteError as error:
        raise SuiteError(f"{suite.path}: {error}") from error


def _check_gate(suite: Suite, metric: str) -> None:
    known = [o for name in suite.metrics for o in outputs_of(name)]
    if suite.throughput is not None:
        known += SPEED_METRICS
    if metric in known or (suite.throughput is not None and metric.startswith("latency.")):
        return
    raise SuiteError(f"{suite.path}: [gates.{quoted(metric)}] is not measured by this suite{near(metric, known)}")


def _explain(problem: Any) -> str:
    """One pydantic error in the words of the file: `[axes].fps = 0: input should be greater than 0`."""
    location = [str(part) for part in problem["loc"]]
    table, key = (location[0], location[-1]) if len(location) > 1 else ("", location[-1])
    where = f"[{table}].{'.'.join(location[1:])}" if table else f"[{key}]"
    tables: dict[str, type[BaseModel]] = {
        "": Suite,
        "suite": SuiteHead,
        "prompts": Prompts,
        "axes": Axes,
        "generate": Generate,
        "reference": Reference,
        "oracles": Oracles,
        "canonical": Canonical,
        "throughput": Throughput,
        "gates": Gate,
    }
    model = tables.get(table, Suite)
    if problem["type"] == "extra_forbidden":
        return f"{where} is not known{near(key, list(model.model_fields))}"
    if problem["type"] == "missing":
        return f"{where} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], dict):  # a rule about the whole table
        return f"[{'.'.join(map(quoted, location))}]: {message}"
    return f"{where} = {problem['input']!r}: {message[0].lower()}{message[1:]}"
