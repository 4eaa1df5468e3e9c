"""The words and tables of `reference_model.md`, from what was measured. Pure."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

Values = dict[str, Any]

ROWS = {
    "object_facts.count": "count right",
    "object_facts.colour": "colour (object found)",
    "object_facts.shape": "shape",
    "object_facts.motion": "motion class",
    "object_facts.velocity_error": "velocity error, px/frame",
    "physics_laws.permanence": "permanence",
    "physics_laws.continuity": "continuity",
    "physics_laws.rigidity": "rigidity",
    "physics_laws.free_fall": "free fall",
    "physics_laws.support": "support",
    "clip_retrieval": "CLIP retrieval among the prompts",
    "caption_facts": "facts read back by the recaptioner, F1",
}
LOWER = {"object_facts.velocity_error"}  # is better
LADDER = ("early", "middle", "base")
LARGER: dict[str, tuple[str, tuple[str, ...]]] = {  # what is changed of the suite `world`, and the generators
    "64x64": ('axes.shapes=["64x64"]', ("world", "vae", "reference:base")),
    "33 frames": ("axes.frames=[33]", ("world", "vae", "reference:base?window=17", "reference:base")),
    "40x40, 56x32, 64x48": ('axes.shapes=["40x40", "56x32", "64x48"]', ("world", "vae", "reference:base")),
}


def number(value: Any) -> str:
    """At most four digits after the point."""
    return "-" if value is None else f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value}"


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *[[number(c) for c in row] for row in rows]]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def targets(found: Values) -> list[list[Any]]:
    """Aim, measured value and whether it is met, one row each."""
    base, held, world = (_run(found, name) for name in ("base", "held-out", "world"))
    rate = {n: s["clips_per_s"] for n, s in found["serving"].items()}

    def less(a: Values, b: Values, metric: str) -> float | None:
        return None if a.get(metric) is None or b.get(metric) is None else a[metric] - b[metric]

    rows = [
        ("count right", 0.95, base.get("object_facts.count"), True),
        ("colour (object found)", 0.99, base.get("object_facts.colour"), True),
        ("shape", 0.95, base.get("object_facts.shape"), True),
        ("motion class", 0.9, base.get("object_facts.motion"), True),
        ("velocity error, px/frame", 0.15, base.get("object_facts.velocity_error"), False),
        ("permanence", 0.97, base.get("physics_laws.permanence"), True),
        ("rigidity", 0.98, base.get("physics_laws.rigidity"), True),
        ("free fall", 0.95, base.get("physics_laws.free_fall"), True),
        ("law of collision on `quick`", 0.85, _run(found, "quick").get("physics_laws.collision"), True),
        ("count, held out less in distribution", -0.03, less(held, base, "object_facts.count"), True),
        ("motion class, held out less in distribution", -0.03, less(held, base, "object_facts.motion"), True),
        ("recaptioner slot F1", 0.97, found["captioner"]["f1"], True),
        ("CLIP retrieval, `base` less the oracle `world`", -0.01, less(base, world, "clip_retrieval"), True),
        ("FVD of `quick`", 250, _run(found, "quick").get("fvd"), False),
        ("VAE PSNR, dB", 32, found["vae"]["psnr"], True),
        ("VAE PSNR on the foreground, dB", 24, found["vae"]["psnr_foreground"], True),
        ("stated facts that the refiner's drafts keep", 0.99, found["refiner"]["facts_kept"], True),
        ("padding with images in the mix", 0.03, found["padding"]["with images"]["padding"], False),
        ("packed against padded to the longest, clips/s", 1.8, rate["packed"] / rate["padded"], True),
        ("packed against one by one, clips/s", 1.2, rate["packed"] / rate["single"], True),
        ("ONNX Runtime against torch eager, one generation", 1.3, found["seconds"]["torch"] / found["seconds"]["onnx"], True),
        ("pixels of whole clips within one grey level", 0.999, found["parity"], True),
        ("shipped weights, MB", 60, sum(found["sizes"].values()) / 1e6, False),
    ]
    return [[name, f"{'>=' if more else '<='} {limit}", value, _met(value, limit, more)] for name, limit, value, more in rows]


def _run(found: Values, name: str) -> Values:
    values: Values = found.get(f"run {name}", {})
    return values


def _met(value: float | None, limit: float, more: bool) -> str:
    if value is None:
        return "-"
    return "yes" if (value >= limit if more else value <= limit) else "no"


def order(runs: dict[str, Values]) -> str:
    """Which rows order `early`, `middle` and `base`."""
    wrong = []
    for metric, label in ROWS.items():
        values = [float(runs[name][metric]) for name in LADDER if runs[name].get(metric) is not None]
        if values != sorted(values, reverse=metric in LOWER):
            wrong.append(label)
    return f"All rows but {', '.join(wrong)} order the ladder." if wrong else "Every row orders the ladder."


def _larger(found: Values) -> str:
    """Sizes and lengths beyond the suite's, one row per generator."""
    shown = ("count", "colour", "shape", "motion", "velocity_error")
    laws = ("permanence", "rigidity", "free_fall")
    metrics = [*(f"object_facts.{m}" for m in shown), *(f"physics_laws.{m}" for m in laws)]
    rows = []
    for size, (_, generators) in LARGER.items():
        for generator in generators:
            values = _run(found, f"{size} {generator}")
            rows.append([size, f"`{generator}`", *(values.get(m) for m in metrics)])
    return table(["", "generator", *(ROWS[m] for m in metrics)], rows)


def _ablations(found: Values) -> str:
    rows = [(key.split(" ", 2)[2], value) for key, value in found.items() if key.startswith("ablation ")]
    if not rows:
        return "Not measured yet: `python -m docs.pages.reference_model` measures them where the training's folder is at hand."
    header = ["short training", "steps", "velocity error, all tokens", "velocity error, object tokens weighted", "tokens/s"]
    cells = [
        [n, int(a["steps"]), *(f"{a[k]:.4f}" for k in ("velocity_error", "velocity_error_objects")), f"{a['tokens_per_s']:.0f}"]
        for n, a in rows
    ]
    return table(header, cells)


def _laws(found: Values) -> str:
    rows = [[f"`{n}`", f"{p['wrong']}/{p['pairs']}", f"{p['wrong'] / p['pairs']:.1%}"] for n, p in found["laws"].items()]
    return table(["", "unlawful twin preferred", "share"], rows)


def _curve(found: Values) -> str:
    if not found["curve"]:
        return "Not measured: the training's folder was not at hand."
    names = [m for m in ROWS if any(m in row for row in found["curve"])]
    rows = [[r["step"], f"{r['tokens'] / 1e6:.1f} M", *(r.get(m) for m in names)] for r in found["curve"]]
    return table(["steps", "tokens", *(ROWS[m] for m in names)], rows)


def _stages(made: Values) -> str:
    """Wall time by stage; the parts that came trained in a column of their own."""
    own = made["stage_seconds"]
    source = made.get("goes_on_from") or made.get("all_but_the_dit_from") or {}
    first: Values = {}
    while source:
        first = {n: first.get(n, 0.0) + s for n, s in source["made"]["stage_seconds"].items()} | {
            n: s for n, s in first.items() if n not in source["made"]["stage_seconds"]
        }
        source = source["made"].get("goes_on_from", {})
    if not first:
        return table(["stage", "seconds"], [[n, f"{s:.0f}"] for n, s in own.items()])
    names = dict.fromkeys([*first, *own])
    rows = [[n, *(f"{part[n]:.0f}" if n in part else "-" for part in (first, own))] for n in names]
    return table(["stage", "seconds, the trainings before", "seconds, this one"], rows)


def _missed(rows: list[list[Any]]) -> str:
    missed = [f"**{name}** ({number(value)}, aim {limit})" for name, limit, value, met in rows if met == "no"]
    return f"Missed: {'; '.join(missed)}." if missed else "Every aim is met."


def page(found: Values) -> str:
    """The whole page; its words are in `reference_model.md.template` beside this file."""
    names = [key.removeprefix("run ") for key in found if key.startswith("run ")]
    runs = {name: _run(found, name) for name in names}
    empty: Values = {}
    serving, aims = found["serving"], targets(found)
    made, int8 = found["made"]["base"], found["made"]["base-int8"]
    differences = [d for m in found["made"].values() for d in m.get("largest_difference_from_torch", {}).values()]
    oracles, variants = ("world", "vae", *LADDER), ("plain", "base-int8", "refined", "continued", "held-out")
    fields = {
        **{
            f"{key}_clips": runs.get(name, empty).get("clips", 0)
            for key, name in {"base": "base", "oracle": "world", "variant": "plain", "held_out": "held-out"}.items()
        },
        "facts": table(
            ["", "oracle `world`", "oracle `vae`", *(f"`{n}`" for n in LADDER)],
            [[label, *(runs.get(r, empty).get(m) for r in oracles)] for m, label in ROWS.items()],
        ),
        "order": order({n: runs.get(n, empty) for n in LADDER}),
        "quick": table(
            ["`quick`", "oracle `world`", "oracle `vae`", "`base`"],
            [
                [label, *(runs.get(r, empty).get(m) for r in ("quick world", "quick vae", "quick"))]
                for m, label in {"fvd": "FVD", "physics_laws.collision": "law of collision"}.items()
            ],
        ),
        "targets": table(["", "aim", "measured", "met"], aims),
        "missed": _missed(aims),
        "variants": table(
            ["", "`base`", "`base-int8`", "`base`, refined prompts", "`base`, 5 frames given", "`base`, held out"],
            [[label, *(runs.get(r, empty).get(m) for r in variants)] for m, label in ROWS.items()],
        ),
        "held_out_oracle": number(runs.get("held-out world", empty).get("object_facts.velocity_error")),
        "larger": _larger(found),
        "larger_clips": _run(found, "64x64 reference:base").get("clips", 0),
        "laws": _laws(found),
        "curve": _curve(found),
        "psnr": f"{found['vae']['psnr']:.2f}",
        "psnr_foreground": f"{found['vae']['psnr_foreground']:.2f}",
        **{f"caption_{k}": f"{found['captioner'][k]:.4f}" for k in ("precision", "recall", "f1")},
        "caption_kinds": ", ".join(f"{k} {v:.3f}" for k, v in found["captioner"]["by_kind"].items()),
        **{f"refiner_{k}": f"{v:.4f}" for k, v in found["refiner"].items()},
        "kept": ", ".join(f"{size} {share:.0%}" for size, share in found["kept"].items()),
        "pack_tokens": found["pack_tokens"],
        "padding": table(
            ["mix", "padding", "masked share of the scores", "padding every clip to the longest"],
            [
                [n, *(f"{p[k]:.1%}" for k in ("padding", "mask_overhead", "padding_to_longest"))]
                for n, p in found["padding"].items()
            ],
        ),
        "serving": table(
            ["", "clips/s", "tokens/s", "packed is faster by"],
            [
                [
                    n,
                    f"{s['clips_per_s']:.2f}",
                    f"{s['tokens_per_s']:.0f}",
                    f"{serving['packed']['clips_per_s'] / s['clips_per_s']:.2f}x",
                ]
                for n, s in serving.items()
            ],
        ),
        "parity": f"{found['parity']:.4%}",
        "worst": f"{max(differences):.1e}",
        "onnx_seconds": f"{found['seconds']['onnx']:.2f}",
        "torch_seconds": f"{found['seconds']['torch']:.2f}",
        "onnx_gain": f"{found['seconds']['torch'] / found['seconds']['onnx']:.2f}",
        "int8_seconds": f"{found['seconds']['int8']:.2f}",
        "int8_gain": f"{found['seconds']['onnx'] / found['seconds']['int8']:.2f}",
        "int8_errors": ", ".join(f"{part} {error:.1%}" for part, error in int8["relative_error"].items()),
        "ablations": _ablations(found),
        "sizes": table(["folder", "MB"], [[n, f"{b / 1e6:.1f}"] for n, b in found["sizes"].items()]),
        "total_size": f"{sum(found['sizes'].values()) / 1e6:.1f}",
        "stages": _stages(made),
        "machine": "; ".join(made["machine"]),
        "dit_steps": made["dit_steps_done"],
        **{f"{n}_steps": found["made"][n]["dit_steps_done"] for n in ("early", "middle")},
        "dit_tokens": f"{made['dit_tokens'] / 1e6:.0f}",
        "train_padding": f"{found['losses'].get('padding', 0):.1%}",
        "train_mask": f"{found['losses'].get('mask_overhead', 0):.1%}",
        "train_tokens": f"{found['losses'].get('tokens_per_s', 0):.0f}",
        "train_mfu": f"{found['losses'].get('mfu', 0):.0%}",
    }
    return Template((Path(__file__).parent / "reference_model.md.template").read_text(encoding="utf-8")).substitute(fields)
