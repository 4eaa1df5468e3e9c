"""`docs/reference_model.md`, written from measurements by one command.

Each part is measured once and kept in `docs/reference_model.json`; delete a part of it, or all of it, to measure again.

Object facts and laws are judged by the harness, as `sora-eval run world` does.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from string import Template
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console

from docs.pages import reference_figures as measure
from docs.pages.program import launch
from reference_model.config import load_config
from reference_model.sampling.checkpoint import CHECKPOINTS, read_checkpoint, resolve, shipped
from reference_model.sampling.pipeline import Pipeline, Request
from sora_eval.pipeline.run import run
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite

VARIANT_CLIPS = 120
RUNS: dict[str, tuple[str, str, int | None]] = {  # suite, generator, only the first clips
    "world": ("world", "world", None),
    "vae": ("world", "vae", None),
    "early": ("world", "reference:early", None),
    "middle": ("world", "reference:middle", None),
    "base": ("world", "reference:base", None),
    "base-int8": ("world", "reference:base-int8", VARIANT_CLIPS),
    "plain": ("world", "reference:base", VARIANT_CLIPS),
    "refined": ("world", "reference:base?refine=true", VARIANT_CLIPS),
    "continued": ("world", "reference:base?first_frames=5", VARIANT_CLIPS),
    "held-out world": ("held_out", "world", VARIANT_CLIPS),
    "held-out": ("held_out", "reference:base", VARIANT_CLIPS),
}
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
LOOK = (  # of the contact sheet: prompt, width, height
    ("a blue circle falls and bounces on a black background", 32, 32),
    ("a red square moves slowly right on a gray background", 40, 24),
    ("a green triangle moves quickly up on a silver background", 24, 40),
    ("a yellow square slides quickly left on a black background", 48, 48),
    ("a cyan circle floats still and a magenta triangle moves slowly down on a gray background", 48, 48),
    ("a red square falls and a blue circle rests on the floor on a silver background", 32, 32),
)


def main(
    training: Annotated[Path, typer.Option(help="Working folder of the training; without it there are no ablations.")] = Path(
        "work/base"
    ),
    work: Annotated[Path, typer.Option(help="Gets the run folders and the short trainings.")] = Path("work/report"),
    out: Annotated[
        Path,
        typer.Option(
            help="The page; beside it a .json of what is measured, and images/. What is in the .json is not measured again."
        ),
    ] = Path("docs/reference_model.md"),
    ablation_steps: Annotated[int, typer.Option(min=0, help="Steps of each short training; 0 leaves them out.")] = 100,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips of each run: a quick look.")] = None,
) -> None:
    """Measure the shipped checkpoints and write docs/reference_model.md with all its numbers and pictures.

    What is in the .json beside the page is not measured again.
    """
    work.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    file = out.with_suffix(".json")
    # Measurements of other weights or of a quick look are not of this page.
    of = {"weights": _weights_hash(), "limit": limit}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if found.get("of") != of:
        found = {"of": of}
    for name, part in _parts(training, work, ablation_steps, limit).items():
        if name not in found:
            console.print(f"measure: {name}", highlight=False)
            found[name] = part()
            file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sheet = out.parent / "images/reference_model.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(sheet)
    out.write_text(page(found), encoding="utf-8")
    print(f"wrote {out}")


def _parts(training: Path, work: Path, ablation_steps: int, limit: int | None) -> dict[str, Callable[[], Any]]:
    base = Pipeline.load("base")
    parts: dict[str, Callable[[], Any]] = {
        "vae": lambda: measure.vae_psnr(base),
        "captioner": lambda: measure.captioner_slots(base),
        "refiner": lambda: measure.refiner_facts(base),
        "kept": lambda: measure.kept_share(base.config.captioner.drop_threshold),
        "padding": lambda: measure.padding(base.config.dit.pack_tokens),
        "serving": lambda: measure.serving(base),
        "parity": lambda: measure.parity("base"),
        "seconds": lambda: {b: _timed(b) for b in ("onnx", "torch")} | {"int8": _timed("onnx", "base-int8")},
        "sizes": lambda: {p.name: _bytes(p) for p in sorted(CHECKPOINTS.iterdir()) if p.is_dir()},
        "made": lambda: {n: read_checkpoint(resolve(n)).made for n in shipped()},
        "losses": lambda: _last(training / "dit.jsonl"),
    }
    for name, (suite, generator, first) in RUNS.items():
        parts[f"run {name}"] = partial(judged, suite, generator, work / name.replace(" ", "-"), limit or first)
    if ablation_steps and list(training.glob("data/*.latent.npy")):
        trained = load_config(training / "config.json")
        for name in measure.ABLATIONS:
            folder = work / "ablations" / name.replace(" ", "-")
            parts[f"ablation {ablation_steps} {name}"] = partial(
                measure.ablation, trained, training, name, ablation_steps, folder
            )
    return parts


def judged(suite: str, generator: str, folder: Path, limit: int | None) -> dict[str, Any]:
    """Metric values over all clips of one run of the harness."""
    shutil.rmtree(folder, ignore_errors=True)
    rows = run(load_suite(suite), generator, folder, limit=limit).rows(MetricRow)
    values: dict[str, Any] = {r.metric: r.value for r in rows if r.slice == "all"}
    return values | {"clips": max(r.n_scored for r in rows)}


def _timed(backend: str, checkpoint: str = "base") -> float:
    code = f"from docs.pages.reference_figures import generation_seconds as f; print(f({checkpoint!r}, {backend!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    return float(done.stdout)


def _weights_hash() -> str:
    files = sorted(f for f in CHECKPOINTS.rglob("*") if f.is_file())
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()[:16]


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _last(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8").splitlines()[-1]) if path.exists() else {}


def contact_sheet(path: Path, frames: int = 9, zoom: int = 2) -> None:
    """A PNG: for each prompt its words and a row of frames by `early`, `middle`, `base` and `base` continuing 5 frames."""
    ladder = {name: Pipeline.load(name) for name in ("early", "middle", "base")}
    requests = [Request(text, w, h, 17, seed=11 + i) for i, (text, w, h) in enumerate(LOOK)]
    rows = {name: [s.frames for s in pipeline.generate(requests)] for name, pipeline in ladder.items()}
    continued = [
        Request(r.prompt, r.width, r.height, r.num_frames, r.seed, first_frames=real[:5])
        for r, real in zip(requests, _real(requests), strict=True)
    ]
    rows["base, 5 frames given"] = [s.frames for s in ladder["base"].generate(continued)]
    font, left, wide = ImageFont.load_default(11), 120, 48 * zoom + 4
    heights = [16 + len(rows) * (r.height * zoom + 4) for r in requests]
    sheet = Image.new("RGB", (left + frames * wide, sum(heights)), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for i, request in enumerate(requests):
        draw.text((4, top + 2), request.prompt, "black", font)
        y = top + 16
        for name, clips in rows.items():
            draw.text((4, y + request.height * zoom // 2 - 6), name, "black", font)
            chosen = np.linspace(0, len(clips[i]) - 1, frames).round().astype(int)
            for j, frame in enumerate(clips[i][chosen]):
                picture = Image.fromarray(frame).resize((request.width * zoom, request.height * zoom), Image.Resampling.NEAREST)
                sheet.paste(picture, (left + j * wide, y))
            y += request.height * zoom + 4
        top += heights[i]
    sheet.save(path, optimize=True)


def _real(requests: list[Request]) -> list[np.ndarray]:
    from reference_model.world import Facts, ObjectFacts, make_clip, parse

    out = []
    for r in requests:
        description = parse(r.prompt)
        objects = tuple(ObjectFacts(o.colour, o.shape, str(o.motion), o.direction, o.speed) for o in description.objects)
        facts = Facts(objects, str(description.background))
        out.append(make_clip(facts, r.height, r.width, r.num_frames, np.random.default_rng(r.seed)).frames)
    return out


def number(value: Any) -> str:
    """At most four digits after the point."""
    return "-" if value is None else f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value}"


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *[[number(c) for c in row] for row in rows]]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def targets(found: dict[str, Any], runs: dict[str, Any]) -> list[list[Any]]:
    """Target, measured value and whether it is met, one row each."""
    base, serving = runs["base"], found["serving"]
    rate = {n: s["clips_per_s"] for n, s in serving.items()}
    rows = [
        ("VAE PSNR, dB", 32, found["vae"]["psnr"], True),
        ("VAE PSNR on the foreground, dB", 24, found["vae"]["psnr_foreground"], True),
        ("count right", 0.9, base.get("object_facts.count"), True),
        ("colour", 0.95, base.get("object_facts.colour"), True),
        ("shape", 0.85, base.get("object_facts.shape"), True),
        ("motion class", 0.8, base.get("object_facts.motion"), True),
        ("velocity error, px/frame", 0.25, base.get("object_facts.velocity_error"), False),
        ("missing objects", 0.03, None if not base else 1 - base["object_facts.colour"], False),
        ("recaptioner slot F1", 0.95, found["captioner"]["f1"], True),
        ("stated facts that the refiner's drafts keep", 0.99, found["refiner"]["facts_kept"], True),
        ("padding with images in the mix", 0.03, found["padding"]["with images"]["padding"], False),
        ("packed against padded to the longest, clips/s", 1.8, rate["packed"] / rate["padded"], True),
        ("packed against one by one, clips/s", 1.2, rate["packed"] / rate["single"], True),
        ("ONNX Runtime against torch eager, one generation", 1.3, found["seconds"]["torch"] / found["seconds"]["onnx"], True),
        ("pixels of whole clips within one grey level", 0.999, found["parity"], True),
        ("shipped weights, MB", 60, sum(found["sizes"].values()) / 1e6, False),
    ]
    return [[name, f"{'>=' if more else '<='} {limit}", value, _met(value, limit, more)] for name, limit, value, more in rows]


def _met(value: float | None, limit: float, more: bool) -> str:
    if value is None:
        return "-"
    return "yes" if (value >= limit if more else value <= limit) else "no"


def _ablations(found: dict[str, Any]) -> str:
    rows = [(key.split(" ", 2)[2], value) for key, value in found.items() if key.startswith("ablation ")]
    if not rows:
        return "Not measured yet: `python -m docs.pages.reference_model` measures them where the training's folder is at hand."
    header = ["short training", "steps", "velocity error, all tokens", "velocity error, object tokens weighted", "tokens/s"]
    cells = [
        [n, int(a["steps"]), *(f"{a[k]:.4f}" for k in ("velocity_error", "velocity_error_objects")), f"{a['tokens_per_s']:.0f}"]
        for n, a in rows
    ]
    return table(header, cells)


def _stages(made: dict[str, Any]) -> str:
    """Wall time by stage; of a training that went on from a checkpoint, that of the first part in a column of its own."""
    own, first = made["stage_seconds"], made.get("goes_on_from", {}).get("made", {}).get("stage_seconds", {})
    if not first:
        return table(["stage", "seconds"], [[n, f"{s:.0f}"] for n, s in own.items()])
    names = dict.fromkeys([*first, *own])
    rows = [[n, *(f"{part[n]:.0f}" if n in part else "-" for part in (first, own))] for n in names]
    return table(["stage", "seconds, first part", "seconds, second part"], rows)


def page(found: dict[str, Any]) -> str:
    """The whole page; its words are in `reference_model.md.template` beside this file."""
    runs = {name: found.get(f"run {name}", {}) for name in RUNS}
    ladder = ["world", "vae", "early", "middle", "base"]
    serving = found["serving"]
    made, int8 = found["made"]["base"], found["made"]["base-int8"]
    differences = [d for m in found["made"].values() for d in m.get("largest_difference_from_torch", {}).values()]
    fields = {
        "clips": runs["base"].get("clips", 0),
        "oracle_clips": runs["world"].get("clips", 0),
        "ladder_clips": runs["early"].get("clips", 0),
        "variant_clips": runs["plain"].get("clips", 0),
        "facts": table(
            ["", "oracle `world`", "oracle `vae`", "`early`", "`middle`", "`base`"],
            [[label, *(runs[r].get(m) for r in ladder)] for m, label in ROWS.items()],
        ),
        "targets": table(["", "aim", "measured", "met"], targets(found, runs)),
        "variants": table(
            ["", "`base`", "`base-int8`", "`base`, refined prompts", "`base`, 5 frames given", "`base`, held out"],
            [
                [label, *(runs[r].get(m) for r in ("plain", "base-int8", "refined", "continued", "held-out"))]
                for m, label in ROWS.items()
            ],
        ),
        "held_out_clips": runs["held-out"].get("clips", 0),
        "held_out_oracle": number(runs["held-out world"].get("object_facts.velocity_error")),
        "psnr": f"{found['vae']['psnr']:.2f}",
        "psnr_foreground": f"{found['vae']['psnr_foreground']:.2f}",
        **{f"caption_{k}": f"{found['captioner'][k]:.4f}" for k in ("precision", "recall", "f1")},
        "caption_kinds": ", ".join(f"{k} {v:.3f}" for k, v in found["captioner"]["by_kind"].items()),
        **{f"refiner_{k}": f"{v:.4f}" for k, v in found["refiner"].items()},
        "kept": ", ".join(f"{size} {share:.0%}" for size, share in found["kept"].items()),
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
        "int8_difference": f"{int8['dit_difference_from_torch']:.3f}",
        "ablations": _ablations(found),
        "sizes": table(["folder", "MB"], [[n, f"{b / 1e6:.1f}"] for n, b in found["sizes"].items()]),
        "total_size": f"{sum(found['sizes'].values()) / 1e6:.1f}",
        "stages": _stages(made),
        "machine": "; ".join(made["machine"]),
        "dit_steps": made["dit_steps_done"],
        **{f"{n}_steps": found["made"][n]["dit_steps_done"] for n in ("early", "middle")},
        "train_padding": f"{found['losses'].get('padding', 0):.1%}",
        "train_mask": f"{found['losses'].get('mask_overhead', 0):.1%}",
        "train_tokens": f"{found['losses'].get('tokens_per_s', 0):.0f}",
        "train_mfu": f"{found['losses'].get('mfu', 0):.0%}",
    }
    return Template((Path(__file__).parent / "reference_model.md.template").read_text(encoding="utf-8")).substitute(fields)


if __name__ == "__main__":
    launch(main)
