"""The measured block of `docs/reference_training.md` on ways of sampling: one set of weights, guided in several ways.

`python -m docs.pages.reference_sampling --checkpoint FOLDER`. The seeds are others than those of the suite, whose figures are
on the page of the reference model; the prompts are the same.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from docs.pages.program import between, check_markers, launch, write_page
from docs.pages.reference_model import judged
from docs.pages.reference_page import ROWS, table
from reference_model.config import SamplingConfig, load_config
from reference_model.sampling.checkpoint import CONFIG, read_checkpoint, resolve, write_record

MARK = "sampling"
SEED_OFFSET = 5000
ALWAYS, EARLY = (0.0, 1.0), (0.6, 1.0)
WAYS = (  # scale of the guidance, and the times at which it acts
    (1.0, ALWAYS),
    (2.0, ALWAYS),
    (3.0, ALWAYS),
    (4.5, ALWAYS),
    (3.0, (0.4, 1.0)),
    (3.0, EARLY),
    (4.0, EARLY),
    (5.0, EARLY),
    (4.0, (0.8, 1.0)),
)
SHOWN = ("count", "shape", "motion", "velocity_error")


def main(
    checkpoint: Annotated[str, typer.Option(help="A shipped name or a folder.")] = "base",
    page: Annotated[Path, typer.Option(help="The page; the block goes between its markers.")] = Path(
        "docs/reference_training.md"
    ),
    limit: Annotated[int, typer.Option(min=1, help="Clips of the suite `world` to make and judge.")] = 60,
) -> None:
    """Judge ways of sampling a checkpoint on clips of other seeds, and write them into docs/reference_training.md."""
    check_markers(page, MARK)
    metrics = [*(f"object_facts.{m}" for m in SHOWN), "physics_laws.rigidity", "physics_laws.free_fall"]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for scale, times in WAYS:
            way = sampled_by(checkpoint, Path(temporary) / "way", scale, times)
            values = judged("world", f"reference:{way}", Path(temporary) / "run", limit, seed_offset=SEED_OFFSET)
            rows.append([f"{scale:g}", f"{times[0]:g} to {times[1]:g}", *(values.get(m) for m in metrics)])
            print(rows[-1], flush=True)
    block = table(["guidance", "at times", *(ROWS[m] for m in metrics)], rows)
    about = f"Written by `python -m docs.pages.reference_sampling`: {limit} clips of `world` under seeds from {SEED_OFFSET}."
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, f"{about}\n\n{block}"))


def sampled_by(checkpoint: str, folder: Path, scale: float, times: tuple[float, float]) -> Path:
    """A checkpoint in `folder` of the same networks, which is sampled in another way."""
    source = resolve(checkpoint)
    config, record = load_config(source / CONFIG), read_checkpoint(source)
    folder.mkdir(parents=True, exist_ok=True)
    sampling: SamplingConfig = replace(config.sampling, guidance_scale=scale, guidance_times=times)
    replace(config, sampling=sampling).save(folder / CONFIG)
    names = {part: os.path.relpath(file.resolve(), folder.resolve()) for part, file in record.files.items()}
    write_record(folder, names, record.made)
    return folder


if __name__ == "__main__":
    launch(main)
