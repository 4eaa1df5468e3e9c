"""`python -m reference_model train|sample|caption|refine|export|prompts`."""

from __future__ import annotations

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
    preset: Annotated[
        str,
        typer.Option(help="tiny (seconds), base (about an hour of 2 cores), long (shipped; four times the tokens) or large."),
    ] = "base",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Working folder; started again, it resumes where it was.")
    ] = None,
    stages: Annotated[str, typer.Option(help="Comma-separated: collect,caption,refine,compress,train,clip,export.")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves it to torch.")] = 0,
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Others use the machine too: fewer threads are tried now and then."),
    ] = False,
    start: Annotated[
        str, typer.Option(help="Continue from this checkpoint: its VAE and language networks are kept, its DiT trains further.")
    ] = "",
    new_dit: Annotated[
        bool, typer.Option("--new-dit", help="With --start: the DiT and its text encoder start from random weights.")
    ] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A key of the preset, as train.dit_steps=8000.")] = None,
) -> None:
    """Train all networks on the world, stage by stage, with checkpoints and exact resume."""
    import torch

    from reference_model.config import PRESETS, override
    from reference_model.recipe import STAGES, start_from
    from reference_model.recipe import train as run

    if preset not in PRESETS:
        raise ReferenceModelError(f"preset {preset!r} is not known; expected one of: {', '.join(PRESETS)}")
    names = tuple(s for s in stages.split(",") if s) or STAGES
    for stage in names:
        if stage not in STAGES:
            raise ReferenceModelError(f"stage {stage!r} is not known; expected some of: {', '.join(STAGES)}")
    if threads:
        torch.set_num_threads(threads)
    folder = out or Path("work") / preset
    config = override(PRESETS[preset], settings or [])
    if start and not (folder / "config.json").exists():
        start_from(start, folder, new_dit=new_dit)
    run(config, folder, names, shared=shared)


@app.command(epilog="Example: python -m reference_model sample 'a red circle falls' --size 32x32 --out falls.gif")
def sample(
    prompts: Annotated[list[str], typer.Argument(help="What to show; several prompts share packs.")],
    checkpoint: Annotated[str, typer.Option(help="A shipped name or a folder.")] = "base",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in px, multiples of 8.")] = "32x32",
    frames: Annotated[int, typer.Option(help="1 + a multiple of 4.")] = 17,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    steps: Annotated[int | None, typer.Option(help="Euler steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="1 is no guidance.")] = None,
    backend: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    refine: Annotated[bool, typer.Option("--refine", help="Make the prompts dense first.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .gif, or a .png of the frames side by side.")] = Path(
        "sample.gif"
    ),
) -> None:
    """Generate clips from prompts and write them as one picture, one row per prompt."""
    import numpy as np
    from PIL import Image

    from reference_model.sampling.pipeline import Pipeline, Request

    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ReferenceModelError(f"--size {size!r} is not WIDTHxHEIGHT, for example 40x24")
    if out.suffix not in (".gif", ".png"):
        raise ReferenceModelError(f"--out {out} should end in .gif or .png")
    out.parent.mkdir(parents=True, exist_ok=True)
    requests = [Request(p, int(width), int(height), frames, seed, steps, guidance, refine) for p in prompts]
    samples = Pipeline.load(checkpoint, backend).generate(requests)
    video = np.concatenate([s.frames for s in samples], 1)  # (T, N*H, W, 3)
    big = video.repeat(4, 1).repeat(4, 2)
    if out.suffix == ".gif":
        pictures = [Image.fromarray(f) for f in big]
        pictures[0].save(out, save_all=True, append_images=pictures[1:], duration=125, loop=0)
    else:
        Image.fromarray(np.concatenate(list(big[:: max(len(big) // 9, 1)]), 1)).save(out)
    print(f"wrote {out}")


@app.command(
    epilog="Example: python -m reference_model export --source work/long --out reference_model/checkpoints\n\n"
    "Example: python -m reference_model export --checkpoint base --int8 --own --out work/checkpoints"
)
def export(
    source: Annotated[Path, typer.Option(help="The working folder of `train`.")] = Path("work/base"),
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of a training: the weights of this checkpoint (a shipped name or a folder), exported again."
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="With --checkpoint: NAME-int8 too.")] = False,
    own: Annotated[
        bool, typer.Option("--own", help="With --checkpoint: the networks that it shares with others are copied as they are.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Gets a folder per checkpoint, shared/ and, of a training, clip/.")
    ] = Path("work/checkpoints"),
) -> None:
    """Write trained networks as ONNX, checked against torch, with a record of how they were made."""
    from reference_model.config import load_config
    from reference_model.onnx.export import export_again, export_all
    from reference_model.sampling.checkpoint import resolve

    if checkpoint:
        worst = {resolve(name).name: export_again(name, out, int8, own) for name in checkpoint}
    else:
        worst = export_all(load_config(source / "config.json"), source, out)
    for name, parts in worst.items():
        for part, difference in parts.items():
            print(f"{name}/{part}: largest difference from torch {difference:.1e}")


@app.command(epilog="Example: python -m reference_model prompts --count 32 --seed 7 --out suites/prompts/quick.jsonl")
def prompts(
    out: Annotated[Path, typer.Option("--out", "-o", help="A .jsonl file.")],
    count: Annotated[int, typer.Option(min=1)] = 32,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    fold: Annotated[
        str,
        typer.Option(help="train; held_out: combinations never trained on; unseen: constants and devices never trained on."),
    ] = "train",
) -> None:
    """Draw a prompt list with facts from the world's grammar."""
    import json

    from reference_model.world.prompts import sample_prompts

    rows = sample_prompts(count, seed, fold)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"wrote {len(rows)} prompts to {out}")


@app.command(epilog="Example: python -m reference_model caption clip.mp4")
def caption(
    videos: Annotated[list[Path], typer.Argument(help="Video files; sides are cut to multiples of 8 px, lengths to 1 + 4k.")],
    checkpoint: Annotated[str, typer.Option(help="A shipped name or a folder.")] = "base",
) -> None:
    """Print what the recaptioner says of clips. It knows the world's words only."""
    import av
    import numpy as np

    from reference_model.sampling.pipeline import Pipeline

    pipeline = Pipeline.load(checkpoint)
    for video in videos:
        try:
            with av.open(str(video)) as container:
                frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]).astype(np.uint8)
        except (OSError, ValueError, IndexError) as error:
            raise ReferenceModelError(f"{video} cannot be read as a video: {error}") from error
        t, h, w, _ = frames.shape
        if min(h, w) < 8:
            raise ReferenceModelError(f"{video} is {w}x{h} px; at least 8x8 are needed")
        print(f"{video}: {pipeline.caption([frames[: (t - 1) // 4 * 4 + 1, : h // 8 * 8, : w // 8 * 8]])[0]}")


@app.command(epilog="Example: python -m reference_model refine 'a red circle'")
def refine(
    prompts: Annotated[list[str], typer.Argument(help="Short prompts.")],
    checkpoint: Annotated[str, typer.Option(help="A shipped name or a folder.")] = "base",
    seed: Annotated[int, typer.Option(min=0, help="What is left open is drawn with it.")] = 0,
) -> None:
    """Print dense prompts for short ones; no fact of theirs is lost."""
    from reference_model.networks.refiner import refine as run
    from reference_model.sampling.pipeline import Pipeline

    for text in run(Pipeline.load(checkpoint).refiner, prompts, [seed + i for i in range(len(prompts))]):
        print(text)


@app.callback()
def _verbs() -> None:
    """Verbs stay verbs, however many there are."""


def main() -> None:
    """Run the command line; errors that a user can fix are one message and exit code 2."""
    try:
        app(standalone_mode=True)
    except ReferenceModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
