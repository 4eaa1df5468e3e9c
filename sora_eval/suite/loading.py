"""Loading of suite files: a suite, or one message that says what to fix."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sora_eval.records.speed_metrics import PROMISED, SERVED_METRICS, SPEED_METRICS, is_speed
from sora_eval.registry.metrics import METRICS, check_options, check_outputs, metric_info, outputs_of, quoted
from sora_eval.registry.paired_metrics import PAIRED_OUTPUTS
from sora_eval.suite.changes import Change, changed, parsed_change, records
from sora_eval.suite.explaining import ending, explained, line_of
from sora_eval.suite.serve import Serve
from sora_eval.suite.suite import Suite
from sora_eval.suite.tables import Axes, Canonical, Gate, Generate, Oracles, Prompts, Reference, SuiteHead, Throughput, Tradeoff
from sora_eval.util.errors import MOST_CHARACTERS, RegistryError, SuiteError, near
from sora_eval.util.files import read_bounded


def shipped_folder() -> Path:
    """Folder of the suites that ship with the package: inside it where it is installed, beside it in the repository."""
    package = Path(__file__).parents[1]
    inside = package / "shipped_suites"
    return inside if inside.is_dir() else package.parent / "suites"


def shipped() -> list[str]:
    """Names of the suites that ship with the package, sorted."""
    return sorted(path.stem for path in shipped_folder().glob("*.toml"))


def load_suite(name: str | Path, changes: Sequence[str] = ()) -> Suite:
    """Load a suite by path or by shipped name, changed by `changes` (`KEY=VALUE`, as --set on the command line).

    Raises SuiteError with one line per problem.
    """
    path, asked = _path_of(name), [parsed_change(change) for change in changes]
    try:
        text = read_bounded(path)
        data, made = changed(tomllib.loads(text), asked)
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise SuiteError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        raise SuiteError(f"{path}: not valid TOML: {error}") from error
    source = _Source(path, text, made)
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        problems: list[dict[str, Any]] = [{**p, "loc": _in_file(p["loc"])} for p in error.errors()]
        raise SuiteError("\n".join(source.at(p["loc"]) + _explain(p) for p in problems)) from None
    suite._path, suite._changes = path, records(made)
    if (suite.prompts is None) != (suite.axes is None):
        raise SuiteError(f"{path}: [prompts] and [axes] belong together; leave both out to score the generator's own clips")
    if suite.oracles is not None and suite.axes is None:
        raise SuiteError(f"{path}: [oracles] answer the suite's own prompts; add [prompts] and [axes], or leave them out")
    if not suite.metrics and suite.throughput is None and suite.serve is None:
        raise SuiteError(f"{path}: neither [metrics.*] nor [throughput] nor [serve]: the suite would measure nothing")
    _check_metrics(suite, source)
    _check_quality(suite, source)
    for metric in suite.gates:
        _check_gate(suite, metric, source)
    _check_tradeoff(suite, source)
    suite.prompt_list  # noqa: B018  (a broken prompt file is an error of the suite)
    return suite


def with_metrics_changed(suite: Suite, changes: Sequence[str]) -> Suite:
    """The suite of a run with `changes` of its metrics, as those of `load_suite`: what was asked cannot change any more.

    Raises SuiteError.
    """
    if not changes:
        return suite
    asked = [parsed_change(change) for change in changes]
    if other := [change for change in asked if change.keys[0] != "metrics"]:
        raise SuiteError(
            f"--set {other[0].record}: a run is scored again by other [metrics.*] only; its clips are there already"
        )
    stored = suite.to_json()
    tables, made = changed(stored["declared"], asked)
    source = _Source(suite.path, "", made)
    try:
        result = Suite.from_json({**stored, "declared": tables}, suite.path)
    except ValidationError as error:
        raise SuiteError("\n".join(source.at(p["loc"]) + _explain(p) for p in error.errors())) from None
    _check_metrics(result, source)
    for metric in result.gates:
        _check_gate(result, metric, source)
    result._changes = records([*map(parsed_change, suite.changes), *made])
    return result


def _path_of(name: str | Path) -> Path:
    """The file of a suite: a path, or a shipped name. Raises SuiteError for neither."""
    for path in (Path(name), shipped_folder() / f"{name}.toml"):
        try:
            if path.is_file():
                return path
        except OSError as error:
            raise SuiteError(f"suite {str(name)[:MOST_CHARACTERS]!r} cannot be read: {error.strerror}") from error
    if Path(name).is_dir():
        clips = f"to score the clips in it: sora-eval run videos -g folder:{name}"
        raise SuiteError(f"suite {str(name)!r} is a folder, not shipped; shipped: {', '.join(shipped())}; {clips}")
    close = get_close_matches(Path(name).stem, shipped(), 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise SuiteError(f"suite {str(name)!r} is neither a file nor shipped; {hint}shipped: {', '.join(shipped())}")


@dataclass(frozen=True)
class _Source:
    """What a suite comes from: a file, its text, and the changes of the command line."""

    path: Path
    text: str
    changes: Sequence[Change]

    def at(self, keys: Sequence[int | str]) -> str:
        """`FILE:LINE: `, the place of a value; without a line where the key is not in the text.

        Where a change concerns the value, `FILE with --set KEY=VALUE: `.
        """
        if concerned := [f"--set {change.record}" for change in self.changes if change.concerns(keys)]:
            return f"{self.path} with {' '.join(concerned)}: "
        line = line_of(self.text, keys)
        return f"{self.path}: " if line is None else f"{self.path}:{line}: "


def gates_of(suite: Suite, fingerprint: str) -> dict[str, Gate]:
    """The gates of a suite file for a run whose suite has `fingerprint`. Raises SuiteError if they differ."""
    if suite.fingerprint != fingerprint:
        raise SuiteError(f"{suite.path} (fingerprint {suite.fingerprint}) is not the suite of the run ({fingerprint})")
    return suite.gates


def _check_metrics(suite: Suite, source: _Source) -> None:
    for metric, options in suite.metrics.items():
        at = source.at(["metrics", metric])
        try:
            check_options(metric, options)
        except SuiteError as error:
            raise SuiteError(f"{at}{error}") from error
        except RegistryError as error:
            raise SuiteError(f"{at}[metrics.{quoted(metric)}]: {error}") from error
    try:
        check_outputs(suite.metrics)
    except SuiteError as error:
        raise SuiteError(f"{suite.path}: {error}") from error


def _check_gate(suite: Suite, metric: str, source: _Source) -> None:
    known = [*(o for name in suite.metrics for o in outputs_of(name)), *PAIRED_OUTPUTS]
    at = source.at(["gates", metric])
    if suite.throughput is not None:
        known += SPEED_METRICS
    if suite.serve is not None:
        known += SERVED_METRICS
        if metric in PROMISED and suite.serve.objective is None:
            what = "the latency in seconds that is promised"
            raise SuiteError(f"{at}[gates.{metric}] needs [serve].objective, {what}; add it, or --objective SECONDS")
    if metric in known or (suite.throughput is not None and metric.startswith("latency.")):
        return
    table = " without [serve]" if metric in SERVED_METRICS else ""
    raise SuiteError(f"{at}[gates.{quoted(metric)}] is not measured by this suite{table}{near(metric, known)}")


def _check_quality(suite: Suite, source: _Source) -> None:
    """Raises SuiteError for a limit of quality on what is no score of single clips in this suite."""
    single = [o for name in suite.metrics if metric_info(name).kind == "per-clip" for o in outputs_of(name)]
    for limit in suite.serve.limits if suite.serve is not None else ():
        if limit.metric in single:
            continue
        at = f"{source.at(['serve', 'quality'])}[serve].quality: {limit.metric!r}"
        owner = next((name for name in (*suite.metrics, *METRICS.built_in) if limit.metric in outputs_of(name)), "")
        if owner and metric_info(owner).kind == "set":
            raise SuiteError(
                f"{at} is a value of a whole set, which no single clip has; per clip: {', '.join(single) or 'none'}"
            )
        if owner:
            raise SuiteError(f"{at} is not measured by this suite; add [metrics.{owner}], or --set metrics.{owner}={{}}")
        raise SuiteError(f"{at} is not measured by this suite{near(limit.metric, single)}")


def _check_tradeoff(suite: Suite, source: _Source) -> None:
    if suite.tradeoff is None:
        return
    metric, at = suite.tradeoff.metric, source.at(["gates", "tradeoff"])
    gated = [m for m in suite.gates if is_speed(m)]
    if metric not in gated:
        known = f"speed metrics with a gate: {', '.join(gated) or 'none'}"
        raise SuiteError(f"{at}[gates.tradeoff].metric = {metric!r} has no gate; add [gates.{quoted(metric)}] ({known})")
    if len(gated) == len(suite.gates):
        raise SuiteError(f"{at}[gates.tradeoff] needs a gate of quality beside it: faster alone is no trade")


def _in_file(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The place in the file of a value of the suite."""
    return ("gates", *location) if location[:1] == ("tradeoff",) else location


TABLES: dict[str, type[BaseModel]] = {
    "suite": SuiteHead,
    "prompts": Prompts,
    "axes": Axes,
    "generate": Generate,
    "reference": Reference,
    "oracles": Oracles,
    "canonical": Canonical,
    "throughput": Throughput,
    "serve": Serve,
    "gates": Gate,
}


def _explain(problem: Any) -> str:
    """One pydantic error in the words of the file: `[axes].fps = 0; expected greater than or equal to 0.1`."""
    location = [str(part) for part in problem["loc"]]
    if not location:
        return f"the suite{ending(problem['msg'])}"
    if len(location) == 1:
        return explained(problem, Suite, f"[{location[0]}]")
    if isinstance(problem["input"], dict) and problem["type"] not in ("extra_forbidden", "missing"):  # of the whole table
        return f"[{'.'.join(map(quoted, location))}]{ending(problem['msg'])}"
    model = Tradeoff if location[:2] == ["gates", "tradeoff"] else TABLES.get(location[0], Suite)
    return explained(problem, model, f"[{location[0]}].{'.'.join(location[1:])}")
