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
from typing import Annotated, Any

import typer
from rich.console import Console

from docs.pages import reference_figures as measure
from docs.pages.program import launch
from docs.pages.reference_page import LADDER, LARGER, page
from docs.pages.reference_picture import contact_sheet
from reference_model.config import load_config
from reference_model.sampling.checkpoint import CHECKPOINTS, read_checkpoint, resolve, shipped
from reference_model.sampling.pipeline import Pipeline
from sora_eval.pipeline.run import run
from sora_eval.runs.rows import MetricRow
from sora_eval.studies.law_preference import all_laws, law_preference
from sora_eval.suite import load_suite

VARIANT_CLIPS, LARGER_CLIPS = 120, 60
RUNS: dict[str, tuple[str, str, int | None]] = {  # suite, generator, only the first clips
    "quick world": ("quick", "world", None),
    "quick vae": ("quick", "vae", None),
    "quick": ("quick", "reference:base", None),
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


def main(
    training: Annotated[Path, typer.Option(help="Working folder of the training; without it there are no ablations.")] = Path(
        "work/long"
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
    if found.get("of") != of:  # short trainings are of the recipe, not of the weights
        found = {"of": of} | {name: part for name, part in found.items() if name.startswith("ablation ")}
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
        "curve": lambda: _curve(training / "curve.jsonl"),
        "pack_tokens": lambda: base.config.dit.pack_tokens,
        "laws": lambda: _laws(limit),
    }
    for name, (suite, generator, first) in RUNS.items():
        parts[f"run {name}"] = partial(judged, suite, generator, work / name.replace(" ", "-"), limit or first)
    for size, (change, generators) in LARGER.items():
        for place, generator in enumerate(generators):
            folder = work / f"{size.split(',')[0].replace(' ', '-')}-{place}"
            clips = limit or LARGER_CLIPS
            parts[f"run {size} {generator}"] = partial(judged, "world", generator, folder, clips, (change,))
    if ablation_steps and list(training.glob("data/*.latent.npy")):
        trained = load_config(training / "config.json")
        for name in measure.ABLATIONS:
            folder = work / "ablations" / name.replace(" ", "-")
            parts[f"ablation {ablation_steps} {name}"] = partial(
                measure.ablation, trained, training, name, ablation_steps, folder
            )
    return parts


def judged(
    suite: str, generator: str, folder: Path, limit: int | None, changes: tuple[str, ...] = (), seed_offset: int = 0
) -> dict[str, Any]:
    """Metric values over all clips of one run of the harness, on a suite with `changes` to its keys."""
    shutil.rmtree(folder, ignore_errors=True)
    rows = run(load_suite(suite, changes), generator, folder, limit=limit, seed_offset=seed_offset).rows(MetricRow)
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


def _curve(path: Path) -> list[dict[str, Any]]:
    """The points of a training by step; the last of each step counts."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    points = {row["step"]: row for row in map(json.loads, lines)}
    return [points[step] for step in sorted(points)]


def _laws(limit: int | None) -> dict[str, dict[str, int]]:
    """Pairs of a lawful and an unlawful clip, over all laws, and how often the unlawful one is preferred."""
    pooled = all_laws(law_preference(load_suite("world"), [f"reference:{name}" for name in LADDER], limit))
    return {p.spec: {"wrong": p.errors, "pairs": len(p.margins)} for p in pooled}


if __name__ == "__main__":
    launch(main)
