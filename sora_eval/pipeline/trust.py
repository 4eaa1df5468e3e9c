"""Whether a run may be worked on: that of a stranger opens only what ships with this project, unless the user trusts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sora_eval.registry.metrics import METRICS, quoted
from sora_eval.registry.spec import split_spec
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.util.errors import RunError, SoraEvalError

SHIPPED = ("reference", "world", "vae")  # kinds of generators whose weights and code are this project's
_CHECKPOINT = re.compile(r"[A-Za-z0-9_-]*")
_VALUE = re.compile(r"[A-Za-z0-9_.:-]*")


def check_trust(folder: RunFolder) -> None:
    """Raises RunError, before anything is opened, for a run that this user did not make here and does not trust.

    The message names all that would run code of others, read files or ask servers because the run says so.
    """
    if not folder.trusted and (reasons := list(_reasons(folder))):
        raise RunError(
            f"{folder.path} was not made here by you, and it would {'; '.join(reasons)}; look at its run.json and suite.json, "
            "then use --trust"
        )


def _reasons(folder: RunFolder) -> Iterator[str]:
    suite, head = stored_suite(folder), folder.head
    specs = {"open the generator": [head.generator.spec]}
    if suite.reference is not None:
        specs["take its reference set from"] = [suite.reference_spec]
    if suite.oracles is not None:
        specs["open the oracle"] = suite.oracles.generators
    for what, names in specs.items():
        yield from (f"{what} {spec!r}" for spec in names if not is_shipped(spec))
    for metric, options in suite.metrics.items():
        if metric not in METRICS.built_in:
            yield f"import the metric {metric!r}"
        else:
            yield from (f"load [metrics.{quoted(metric)}].{key} = {options[key]!r}" for key in _files(metric, options))
    files = [p.first_frames.path for p in suite.prompt_list if p.first_frames is not None]
    if files:
        yield f"begin clips with the frames of {files[0]!r}{f' and {len(files) - 1} more' if len(files) > 1 else ''}"
    if head.sequential is not None:
        yield f"read the baseline {head.sequential.baseline!r}"


def is_shipped(spec: str) -> bool:
    """Whether a spec names a generator of this project with weights of this project, and no file or server beside them.

    >>> is_shipped("reference:early?steps=5"), is_shipped("reference?refine=http://host/v1"), is_shipped("python:mine:f")
    (True, False, False)
    """
    try:
        head, options = split_spec(spec, "generator", SoraEvalError)
    except SoraEvalError:
        return False
    kind, _, argument = head.partition(":")
    values = all(_VALUE.fullmatch(value) for value in options.values()) and "refine_model" not in options
    return kind in SHIPPED and _CHECKPOINT.fullmatch(argument) is not None and values


def _files(metric: str, options: dict[str, Any]) -> Iterator[str]:
    """The options of a metric that name weights, models or folders: text that is neither the default nor one of its choices."""
    info = METRICS.built_in[metric]
    for key, value in options.items():
        if isinstance(value, str) and value != info.options.get(key) and value not in info.choices.get(key, ()):
            yield key
