"""What `docs/scale.md` is measured on: suites of any number of cases, and a trivial generator of small clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sora_eval.records.request import Request

FRAMES = 5
GRAINS = (24, 26)  # grey levels, of the base and of a run with more contrast
SPECS = tuple(f"python:docs.pages.scale_material:generate?grain={grain}" for grain in GRAINS)
SEEDS, SHAPES = 5, ("16x16", "24x16")
TAGS = ("indoors", "outdoors", "people", "slow")  # a prompt has one
LAYOUTS = {
    "seeds": f"prompts x {len(SHAPES)} shapes x {SEEDS} seeds",
    "prompts": "as many prompts, one case each",
}


def generate(request: Request, grain: int = GRAINS[0]) -> npt.NDArray[np.uint8]:
    """A clip (T, H, W, 3): a grey of the prompt's own under noise of `grain` grey levels."""
    rng = np.random.default_rng(request.seed)
    shape = (request.num_frames, request.height, request.width, 3)
    level = 40 + sum(request.prompt.encode()) % 150
    return (level + rng.integers(0, grain, shape)).astype(np.uint8)


generate.fingerprint = "grain-1"  # type: ignore[attr-defined]


METRICS = (
    "temporal_flickering",
    *(f"docs.pages.scale_metrics:{name}" for name in ("Brightness", "Contrast", "Sharpness", "Colour")),
)
GATED = {
    "temporal_flickering": "max_decrease",
    "contrast": "max_decrease",
    "sharpness": "max_decrease",
    "colour": "max_decrease",
}


def write_suite(folder: Path, cases: int, layout: str) -> Path:
    """A suite of so many cases with its prompts in a new `folder`; of layout `seeds` a multiple of 10. Returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes, seeds = (SHAPES, SEEDS) if layout == "seeds" else (SHAPES[:1], 1)
    rows = (
        {"id": f"p{i:05d}", "text": f"scene {i} of many, seen from the street", "tags": [TAGS[i % len(TAGS)]]}
        for i in range(cases // (len(shapes) * seeds))
    )
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = f'[suite]\nid = "scale-{layout}"\n[prompts]\nfile = "prompts.jsonl"\n'
    text += f"[axes]\nshapes = {json.dumps(shapes)}\nframes = [{FRAMES}]\nseeds = {[*range(seeds)]}\n"
    text += "".join(f'[metrics."{name}"]\n' for name in METRICS)
    text += "".join(f"[gates.{name}]\nmax_decrease = 5.0\n" for name in GATED)
    path = folder / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return path
