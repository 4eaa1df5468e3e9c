"""The table of `docs/generators.md`: what every class of diffusers makes, tried on tiny pipelines with random weights."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import diffusers
import numpy as np
import pandas as pd
import typer
from PIL import Image

from docs.pages.program import between, check_markers, launch, write_page
from docs.pages.tiny_pipelines import CLASSES
from sora_eval.generators.diffusers.families import NEEDS
from sora_eval.generators.diffusers.opening import quiet
from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import Generator
from sora_eval.pipeline.run import run
from sora_eval.records.capabilities import MOST_FRAMES, Capabilities
from sora_eval.records.request import Request
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SoraEvalError
from sora_eval.util.progress import track
from sora_eval_reports.text.tables import markdown

MARK = "pipelines"
LEAST = {"LTXI2VLongMultiPromptPipeline": 128}  # px; it decodes in 4 x 4 tiles that overlap by 3 latents
SIDE, FRAMES = 32, 5  # at least, of the clips that are tried
STEPS = "num_inference_steps"
COMMON = {STEPS, "guidance_scale", "negative_prompt"}  # options that the page names before


@dataclass(frozen=True)
class Tried:
    """A class, what its tiny pipeline says that it makes, and what came of a run and of a batch.

    `case` names its clips; `problem` says which are missing and why. `batch` is yes, no or what went wrong.
    """

    name: str
    made: Capabilities | None = None
    batch: str = ""
    case: str = ""
    problem: str = ""


def main(
    page: Annotated[Path, typer.Option(help="The page; the table goes between its markers.")] = Path("docs/generators.md"),
    folder: Annotated[Path, typer.Option(help="Where pipelines and runs go; what is there already is used.")] = Path(
        "runs/tiny_pipelines"
    ),
    classes: Annotated[list[str] | None, typer.Option(help="Only these, and the page stays as it is.")] = None,
) -> None:
    """Open a tiny pipeline of every class, run a suite of its smallest clips, and write the table into docs/generators.md."""
    check_markers(page, MARK)
    rows = [tried(name, folder) for name in track(classes or list(CLASSES), "pipelines")]
    print(block(rows))
    if not classes:
        write_page(page, between(page.read_text(encoding="utf-8"), MARK, block(rows)))


def tried(name: str, folder: Path) -> Tried:
    """A class, opened and run. What the harness refuses or a run reports is its `problem`."""
    path = folder / name
    if not (path / "model_index.json").is_file():
        with quiet():
            CLASSES[name](path)
    spec = f"diffusers:{path}"
    try:
        generator = open_generator(spec)
    except SoraEvalError as error:
        return Tried(name, problem=_short(error, path))
    made = generator.capabilities
    width, height, lengths = smallest(name, made)
    case = Request("a red circle falls", width, height, lengths[-1], made.fps or 8.0, 3)
    if made.settings is None or STEPS in made.settings:
        case = replace(case, num_inference_steps=2)
    problem = _run(spec, case, lengths, made.first_frames[0] > 0, folder / "runs" / name)
    batch = _batch(spec, generator, case, made.first_frames[0] > 0, path)
    return Tried(
        name, made, batch, f"{width}x{height}, {' and '.join(map(str, lengths))} frames", problem.replace(str(path), name)
    )


def smallest(name: str, made: Capabilities) -> tuple[int, int, list[int]]:
    """Width and height (px) of the smallest legal clips of at least SIDE x SIDE px, and two legal lengths (frames): the
    shortest, and the shortest of at least FRAMES.

    >>> smallest("MochiPipeline", Capabilities(side=16, stride=6))
    (32, 32, [1, 7])
    """
    side = math.ceil(max(SIDE, LEAST.get(name, 0)) / made.side) * made.side
    width, height = min(made.sizes, key=math.prod) if made.sizes else (side, side)
    steps = max(math.ceil((FRAMES - made.offset) / made.stride), 0)
    frames = made.offset + steps * made.stride
    return width, height, sorted({made.offset, min(frames, made.most_frames or frames)})


def _run(spec: str, case: Request, lengths: list[int], from_image: bool, folder: Path) -> str:
    """Which clips a run of a suite of this case, in these lengths, does not have and why; '' if it has all."""
    folder.mkdir(parents=True, exist_ok=True)
    prompt = {"id": "circle", "text": case.prompt}
    if from_image:
        Image.fromarray(_picture(case)).save(folder / "first.png")
        prompt["image"] = "first.png"
    (folder / "prompts.jsonl").write_text(json.dumps(prompt) + "\n", encoding="utf-8")
    generate = f"[generate]\n{STEPS} = {case.num_inference_steps}\n" if case.num_inference_steps else ""
    (folder / "suite.toml").write_text(
        '[suite]\nid = "tiny"\n[prompts]\nfile = "prompts.jsonl"\n'
        f'[axes]\nshapes = ["{case.width}x{case.height}"]\nframes = {lengths}\nfps = {case.fps}\n'
        f"{generate}[metrics.temporal_flickering]\n",
        encoding="utf-8",
    )
    try:
        rows = run(load_suite(folder / "suite.toml"), spec, folder / "out").rows(SampleRow)
    except SoraEvalError as error:
        return _short(error, folder)
    return "; ".join(f"{row.frames} frames: {row.error}" for row in rows if row.status != "ok")


def _batch(spec: str, alone: Generator, case: Request, from_image: bool, path: Path) -> str:
    """Whether two prompts in one call give the clips that each gives alone, up to rounding."""
    first = _picture(case)[None] if from_image else None
    requests = [replace(case, first_frames=first), replace(case, prompt="blue sky over the sea", seed=4, first_frames=first)]
    try:
        both = open_generator(f"{spec}?batch=2")
    except SoraEvalError:
        return "no"
    if from_image:
        return "no"  # clips that begin with frames are made one by one
    try:
        together, each = both.generate(requests), [clip for r in requests for clip in alone.generate([r])]
    except Exception as error:  # of the library
        return f"fails: {_short(error, path)}"
    most = max(int(np.abs(a.frames.astype(int) - b.frames).max()) for a, b in zip(together, each, strict=True))
    return "yes" if most <= 2 else f"other clips, by up to {most} of 255"


def _picture(case: Request) -> np.ndarray:
    """A gradient (H, W, 3)."""
    y, x = np.mgrid[: case.height, : case.width]
    return np.stack([x * 255 // case.width, y * 255 // case.height, (x + y) % 256], -1).astype(np.uint8)


def _short(error: Exception, path: Path) -> str:
    return " ".join(str(error).replace(f"diffusers:{path}: ", "").replace(str(path), path.name).split())


def block(rows: Sequence[Tried]) -> str:
    """What stands between the markers."""
    versions = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in ("diffusers", "transformers"))
    refused = "; ".join(f"`{name}` ({what})" for name, what in NEEDS.items())
    table = pd.DataFrame([_cells(row) for row in rows])
    options = [f"- `{row.name}`: {_options(row.name, row.made)}" for row in rows if row.made]
    return "\n".join(
        [
            f"Written by `python -m docs.pages.generators` with {versions}, on tiny",
            "pipelines with random weights (`docs/pages/tiny_pipelines`). Sizes and lengths follow from a pipeline's own VAE,",
            "patches and positions; where a checkpoint's differ, `sora-eval validate` says what it makes. The last column is a",
            "run of a suite of its smallest clips; a batch is compared with the same prompts one by one.",
            "",
            markdown(table),
            "",
            "Keywords of a call, beside `num_inference_steps`, `guidance_scale` and `negative_prompt`:",
            "",
            *options,
            "",
            f"Refused when they are opened, with what a suite does not give: {refused}.",
        ]
    )


def _cells(row: Tried) -> dict[str, str]:
    made = row.made
    if made is None:
        return {
            "class": row.name,
            **dict.fromkeys(("sizes", "frames", "fps", "begins with", "batch"), ""),
            "tried": row.problem,
        }
    return {
        "class": row.name,
        "sizes": _sizes(made),
        "frames": _lengths(made),
        "fps": f"{made.fps:g}" if made.fps else "any",
        "begins with": _beginning(made),
        "batch": row.batch,
        "tried": f"{row.case}: made" if not row.problem else f"{row.case}. {row.problem}",
    }


def _sizes(made: Capabilities) -> str:
    if len(made.sizes) == 1:
        return "{}x{} alone".format(*made.sizes[0])
    return f"{len(made.sizes)}, from {{}}x{{}}".format(*min(made.sizes, key=math.prod)) if made.sizes else f"{made.side}k"


def _lengths(made: Capabilities) -> str:
    if made.most_frames == made.offset:
        return f"{made.offset} alone"
    if made.stride == 1:
        return f"{made.offset} to {made.most_frames}" if made.most_frames else f"from {made.offset}"
    most = f", at most {made.most_frames}" if made.most_frames else ""
    return f"{made.offset} + {made.stride}k{most}"


def _beginning(made: Capabilities) -> str:
    least, most = made.first_frames
    if most == 0:
        return "text"
    frames = "a picture" if most == 1 else "a picture or a video"
    return frames if least else f"text, {frames}" if most == MOST_FRAMES else f"text or {frames}"


def _options(name: str, made: Capabilities) -> str:
    """The keywords of its calls; the settings of the scheduler are the scheduler's."""
    called = set(inspect.signature(getattr(diffusers, name).__call__).parameters) - COMMON
    return ", ".join(option for option in made.settings or () if option in called)


if __name__ == "__main__":
    launch(main)
