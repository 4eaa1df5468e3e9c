"""Records of metrics: from a table for those of this project, from the class for those of a user or a package."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, Literal

from sora_eval.records.bucket import AXES, Axis
from sora_eval.records.names import check_name
from sora_eval.records.speed_metrics import is_speed


@dataclass(frozen=True)
class MetricInfo:
    """Properties of a metric that need no load. `options` are the keys that a suite may set, with their defaults.

    `outputs` are the names of its scores in metrics.jsonl and in gates; empty where its own name is the only one.
    """

    family: str
    kind: Literal["per-clip", "set", "paired"]
    target: str  # module:class
    about: str
    options: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    # Axes that do not change the scores of the same content; tests/sora_eval/metrics/test_invariances.py tests each of them.
    invariant_to: frozenset[Axis] = frozenset()
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)  # allowed values of an option
    pixels: bool = False  # reads facts in pixels and frames: never scored on a canonical canvas

    @property
    def sensitive_to(self) -> tuple[Axis, ...]:
        """The axes over which its scores must not be pooled or compared: all but `invariant_to`."""
        return tuple(axis for axis in AXES if axis not in self.invariant_to)


def info_of_class(name: str, target: str, loaded: Any) -> MetricInfo:
    """The record of a metric that this project does not list, from its class.

    `ClipMetric` and `SetMetric` of `metrics.base` describe the declarations. Raises ValueError for another object, and for
    missing or invalid declarations.
    """
    return _info(name, target, loaded, ("per-clip", "set"), "ClipMetric or SetMetric")


def info_of_paired_class(name: str, target: str, loaded: Any) -> MetricInfo:
    """The same of a paired metric, which derives from `PairMetric`."""
    return _info(name, target, loaded, ("paired",), "PairMetric")


def _info(name: str, target: str, loaded: Any, kinds: tuple[str, ...], bases: str) -> MetricInfo:
    kind = getattr(loaded, "kind", None) if inspect.isclass(loaded) else None
    if kind not in kinds:
        raise ValueError(f"expected a class that derives from {bases} of sora_eval.metrics.base")
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        raise ValueError(f"it does not implement {', '.join(missing)}")
    unknown = [axis for axis in loaded.invariant_to if axis not in AXES]
    if unknown:
        raise ValueError(f"invariant_to names {unknown[0]!r}; expected some of: {', '.join(AXES)}")
    if not isinstance(loaded.family, str) or loaded.family in ("", "speed"):
        raise ValueError(f"family = {loaded.family!r}; expected a word, for example 'temporal' ('speed' is that of timings)")
    return MetricInfo(
        loaded.family,
        kind,
        target,
        (inspect.getdoc(loaded) or name).splitlines()[0],
        _options(loaded),
        _outputs(loaded),
        frozenset(loaded.invariant_to),
        pixels=bool(loaded.pixels),
    )


def _options(metric: type) -> dict[str, Any]:
    """The parameters of its `__init__`, with their defaults."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [p for p in inspect.signature(metric).parameters.values() if p.kind in named]
    if required := [p.name for p in parameters if p.default is p.empty]:
        raise ValueError(f"{required[0]!r} of its __init__ has no default; every option of a metric has one")
    return {p.name: p.default for p in parameters}


def _outputs(metric: Any) -> tuple[str, ...]:
    outputs = getattr(metric, "outputs", ())
    names = tuple(getattr(output, "name", None) for output in outputs) if isinstance(outputs, tuple) else ()
    if not names or not all(isinstance(n, str) for n in names):
        raise ValueError("it declares no outputs; expected a tuple of Output of sora_eval.metrics.base")
    if len(set(names)) < len(names):
        raise ValueError(f"two of its outputs have one name: {', '.join(map(str, names))}")
    for output in map(str, names):
        try:
            check_name(output)  # of files and of gates
        except ValueError as error:
            raise ValueError(f"its output {output!r}; {error}") from None
        if is_speed(output):
            raise ValueError(f"its output {output!r} is a name of the throughput sweep; choose another")
    return tuple(map(str, names))
