"""`python -m reference_model train|sample|export`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from reference_model.errors import ReferenceModelError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Train, sample and export the reference model.",
    pretty_exceptions_enable=False,
)


@app.command(epilog="Example: python -m reference_model train --preset tiny --out work/tiny")
def train(
    preset: Annotated[str, typer.Option(help="tiny (seconds), base (shipped; about an hour of 2 cores) or large.")] = "base",
    out: Annotated[Path | None, typer.Option(help="Working folder; started again, it goes on where it was.")] = None,
    stages: Annotated[str, typer.Option(help="Comma-separated: collect,vae,latents,dit,tune,focus,clip.")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves it to torch.")] = 0,
) -> None:
    """Train all networks on the world, stage by stage, with checkpoints and exact resume."""
    import torch

    from reference_model.config import PRESETS
    from reference_model.train import STAGES
    from reference_model.train import train as run

    if preset not in PRESETS:
        raise ReferenceModelError(f"preset {preset!r} is not known; expected one of: {', '.join(PRESETS)}")
    chosen = tuple(s for s in stages.split(",") if s) or STAGES
    for stage in chosen:
        if stage not in STAGES:
            raise ReferenceModelError(f"stage {stage!r} is not known; expected some of: {', '.join(STAGES)}")
    if threads:
        torch.set_num_threads(threads)
    run(PRESETS[preset], out or Path("work") / preset, chosen)


@app.command(epilog="Example: python -m reference_model sample 'a red circle falls' --size 32x32 --out falls.gif")
def sample(
    prompts: Annotated[list[str], typer.Argument(help="What to show; several prompts share packs.")],
    checkpoint: Annotated[str, typer.Option(help="A shipped name or a folder.")] = "base",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in px, multiples of 8.")] = "32x32",
    frames: Annotated[int, typer.Option(help="1 + a multiple of 4.")] = 17,
    seed: Annotated[int, typer.Option()] = 0,
    steps: Annotated[int | None, typer.Option(help="Euler steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="1 is no guidance.")] = None,
    backend: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    out: Annotated[Path, typer.Option(help="A .gif, or a .png of the frames side by side.")] = Path("sample.gif"),
) -> None:
    """Make clips from prompts and write them as one picture, a row a prompt."""
    import numpy as np
    from PIL import Image

    from reference_model.pipeline import Pipeline, Request

    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ReferenceModelError(f"--size {size!r} is not WIDTHxHEIGHT, for example 40x24")
    if out.suffix not in (".gif", ".png"):
        raise ReferenceModelError(f"--out {out} should end in .gif or .png")
    requests = [Request(p, int(width), int(height), frames, seed, steps, guidance) for p in prompts]
    samples = Pipeline.load(checkpoint, backend).generate(requests)
    video = np.concatenate([s.frames for s in samples], 1)  # (T, N*H, W, 3)
    big = video.repeat(4, 1).repeat(4, 2)
    if out.suffix == ".gif":
        pictures = [Image.fromarray(f) for f in big]
        pictures[0].save(out, save_all=True, append_images=pictures[1:], duration=125, loop=0)
    else:
        Image.fromarray(np.concatenate(list(big[:: max(len(big) // 9, 1)]), 1)).save(out)
    print(f"wrote {out}")


@app.command(epilog="Example: python -m reference_model export --source work/base --out reference_model/checkpoints")
def export(
    source: Annotated[Path, typer.Option(help="The working folder of `train`.")] = Path("work/base"),
    out: Annotated[Path, typer.Option(help="Gets base/, early/, vae/ and clip/.")] = Path("work/checkpoints"),
) -> None:
    """Write trained networks as ONNX, checked against torch, with a record of how they were made."""
    import json
    import platform

    import torch

    from reference_model import clip
    from reference_model.config import load_config
    from reference_model.export import export as run

    stages = (
        [json.loads(line) for line in (source / "stages.jsonl").read_text().splitlines()]
        if (source / "stages.jsonl").exists()
        else []
    )
    record = {
        "command": "python -m reference_model train, then export",
        "stage_seconds": {s["stage"]: s["seconds"] for s in stages},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, CPU training",
        "torch": torch.__version__,
    }
    worst = run(load_config(source / "config.json"), source, out, record)
    if (source / "clip.pt").exists():
        clip.export(source, out / "clip")
    for checkpoint, parts in worst.items():
        for part, difference in parts.items():
            print(f"{checkpoint}/{part}: largest difference from torch {difference:.1e}")


@app.command(epilog="Example: python -m reference_model prompts --count 32 --seed 7 --out suites/prompts/quick.jsonl")
def prompts(
    out: Annotated[Path, typer.Option(help="A .jsonl file.")],
    count: Annotated[int, typer.Option(min=1)] = 32,
    seed: Annotated[int, typer.Option()] = 0,
    fold: Annotated[str, typer.Option(help="train, or held_out for combinations never trained on.")] = "train",
) -> None:
    """Draw a prompt list with facts from the world's grammar."""
    import json

    from reference_model.world.prompts import sample_prompts

    rows = sample_prompts(count, seed, fold)
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"wrote {len(rows)} prompts to {out}")


@app.command(epilog="Example: python -m reference_model measure --clips 200")
def measure(
    checkpoint: Annotated[str, typer.Option(help="A shipped name or a folder.")] = "base",
    clips: Annotated[int, typer.Option(min=1, help="Fresh world clips.")] = 200,
) -> None:
    """Print what the VAE loses on clips that it has never seen."""
    from reference_model.measure import vae_psnr
    from reference_model.pipeline import Pipeline

    for name, value in vae_psnr(Pipeline.load(checkpoint), clips).items():
        print(f"{name} {value:.2f} dB over {clips} clips")


@app.callback()
def _verbs() -> None:
    """Verbs stay verbs, however many there are."""


def main() -> None:
    """Run the command line; errors that a user can mend are one message and exit code 2."""
    try:
        app(standalone_mode=True)
    except ReferenceModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
