"""A whole selfcheck: rejects unknown names before a network is loaded, measures, and judges the claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sora_eval.registry.metrics import METRICS, check_outputs, metric_info
from sora_eval.registry.paired_metrics import PAIRED
from sora_eval.registry.spec import split_spec
from sora_eval.selfcheck.material import open_material
from sora_eval.selfcheck.result import Result
from sora_eval.util.errors import RegistryError, SelfcheckError, SoraEvalError, SuiteError, near
from sora_eval.video.corruptions import CORRUPTIONS


def selfcheck(
    clips: str = "world",
    metrics: Sequence[str] = (),
    corruptions: Sequence[str] = (),
    n: int = 16,
    seed: int = 0,
    out: Path = Path("selfcheck"),
) -> Result:
    """Show graded damage to metrics and judge their claims.

    `clips` is a suite of world prompts or `folder:PATH`, `n` the number of clips; `metrics` are `NAME[?option=value&...]`, by
    default all but the paired ones, which see every damaged clip against the clean one. Without `corruptions` all are shown,
    set metrics see only the most informative ones, and clips are read back from files of many kinds; `seed` is theirs. Scores
    go to `out` as they are computed: a killed selfcheck resumes from there. Raises SelfcheckError for unknown names, for clips
    that cannot be used and for an `out` that cannot be written.
    """
    names = check_corruptions(corruptions)
    options = check_metrics(metrics)
    material = open_material(clips, n, seed)

    from sora_eval.metrics.create import create_paired, make_metrics
    from sora_eval.selfcheck.decoding import decoding
    from sora_eval.selfcheck.judge import judge
    from sora_eval.selfcheck.measure import measure, open_scores
    from sora_eval.selfcheck.paired import AgainstClean

    single = {name: given for name, given in options.items() if name not in PAIRED.built_in}
    instances, store = make_metrics(single, material.prompts), open_scores(out, material)
    for name, given in options.items():
        if name in PAIRED.built_in:
            try:
                instances.per_clip[name] = AgainstClean(create_paired(name, given))
            except SoraEvalError as error:
                instances.missing[name] = str(error)
    measurements = measure(material, instances, names, store, all_sets=bool(corruptions))
    label = clips if material.exact else f"folder:{Path(clips.removeprefix('folder:')).name}"  # results hold no paths
    result = judge(material, instances, measurements, label)
    return result if corruptions else replace(result, decoding=decoding(material, instances, store))


def check_metrics(specs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by metric, from specs `NAME[?option=value&...]`; without specs all registered metrics. Raises SelfcheckError."""
    try:
        options = dict(map(_read_spec, specs or [*METRICS.built_in, *METRICS.third_party()]))
        check_outputs(name for name in options if name not in PAIRED.built_in)
    except (RegistryError, SuiteError) as error:
        raise SelfcheckError(str(error)) from error
    return options


def _read_spec(spec: str) -> tuple[str, dict[str, Any]]:
    name, texts = split_spec(spec, "metric", SelfcheckError)
    info = PAIRED.info(name) if name in PAIRED.built_in else metric_info(name)
    defaults, options = info.options, dict[str, Any]()
    for key, text in texts.items():
        if key not in defaults:
            raise SelfcheckError(f"metric {spec!r}: {key!r} is not an option{near(key, list(defaults))}")
        try:
            options[key] = TypeAdapter(type(defaults[key])).validate_python(text)
        except ValidationError:
            raise SelfcheckError(f"metric {spec!r}: {key} = {text!r}; expected {type(defaults[key]).__name__}") from None
    return name, options


def check_corruptions(names: Sequence[str]) -> tuple[str, ...]:
    """The names without repeats, or all corruptions without names. Raises SelfcheckError for an unknown one."""
    for name in names:
        if name not in CORRUPTIONS:
            raise SelfcheckError(f"corruption {name!r} is not known{near(name, list(CORRUPTIONS))}")
    return tuple(dict.fromkeys(names)) or tuple(CORRUPTIONS)
