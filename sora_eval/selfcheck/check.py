"""A whole selfcheck: refuses unknown names before a network is loaded, measures, and judges the claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sora_eval.registry.metrics import REGISTRY
from sora_eval.registry.spec import split_spec
from sora_eval.selfcheck.material import open_material
from sora_eval.selfcheck.result import Result
from sora_eval.util.errors import SelfcheckError, near
from sora_eval.video.corruptions import CORRUPTIONS


def selfcheck(
    clips: str = "world",
    metrics: Sequence[str] = (),
    corruptions: Sequence[str] = (),
    n: int = 16,
    seed: int = 0,
    out: Path = Path("selfcheck"),
) -> Result:
    """Show graded damage to metrics and judge what they claim to see.

    `clips` is a suite of world prompts or `folder:PATH`; `metrics` are `NAME[?option=value&...]`, all where none is named.
    Without `corruptions` all are shown, and set metrics see the most telling ones only. `seed` is of the corruptions. Scores
    are kept in `out` as they are made: a killed selfcheck goes on from there. Raises SelfcheckError for unknown names, for
    clips that cannot be used and for an `out` that cannot be written.
    """
    chosen = check_corruptions(corruptions)
    options = check_metrics(metrics)
    material = open_material(clips, n, seed)

    from sora_eval.metrics.create import make_metrics
    from sora_eval.selfcheck.judge import judge
    from sora_eval.selfcheck.measure import measure

    made = make_metrics(options, material.prompts)
    seen = measure(material, made, chosen, out, all_sets=bool(corruptions))
    shown = clips if material.exact else f"folder:{Path(clips.removeprefix('folder:')).name}"  # results hold no paths
    return judge(material, made, seen, shown)


def check_metrics(specs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by metric, of `NAME[?option=value&...]`; all that are registered where none is named. Raises SelfcheckError."""
    return dict(map(_read_spec, specs or REGISTRY))


def _read_spec(spec: str) -> tuple[str, dict[str, Any]]:
    name, texts = split_spec(spec, "metric", SelfcheckError)
    if name not in REGISTRY:
        raise SelfcheckError(f"metric {name!r} is not known{near(name, list(REGISTRY))}")
    known, options = REGISTRY[name].options, {}
    for key, text in texts.items():
        if key not in known:
            raise SelfcheckError(f"metric {spec!r}: {key!r} is not an option{near(key, list(known))}")
        try:
            options[key] = type(known[key])(text)
        except ValueError:
            raise SelfcheckError(f"metric {spec!r}: {key} = {text!r}; expected {type(known[key]).__name__}") from None
    return name, options


def check_corruptions(names: Sequence[str]) -> tuple[str, ...]:
    """Corruptions by name, all where none is named. Raises SelfcheckError."""
    for name in names:
        if name not in CORRUPTIONS:
            raise SelfcheckError(f"corruption {name!r} is not known{near(name, list(CORRUPTIONS))}")
    return tuple(dict.fromkeys(names)) or tuple(CORRUPTIONS)
