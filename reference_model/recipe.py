"""The whole recipe as one pipeline: collect -> caption -> refine -> compress -> train (packs) -> clip -> export.

Every stage can be stopped and resumed; finished work is not repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from reference_model.config import ModelConfig, load_config
from reference_model.errors import ReferenceModelError
from reference_model.networks.components import build
from reference_model.onnx import export
from reference_model.sampling.backends import weights_of
from reference_model.sampling.checkpoint import read_checkpoint, resolve
from reference_model.training import stages, world_clip
from reference_model.training.folder import ORIGIN, START, machine
from reference_model.training.loop import Threads, save_atomic


def train(config: ModelConfig, folder: Path, names: tuple[str, ...] | None = None, *, shared: bool = False) -> None:
    """Run the stages `names` (default: all) in `folder`; finished ones do nothing. On a `shared` machine the DiT trains with
    `Threads`. Raises ReferenceModelError for a folder of another configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "config.json"
    if config_file.exists() and load_config(config_file) != config:
        raise ReferenceModelError(
            f"{config_file} differs from the configuration asked for; use the same one, or another --out folder"
        )
    config.save(config_file)
    console = Console(stderr=True)
    for stage in names or STAGES:
        started = time.perf_counter()
        console.print(f"[bold]{stage}[/bold]")
        if stage == "train":
            stages.train(config, folder, Threads(torch.get_num_threads()) if shared else None)
        else:
            _RUN[stage](config, folder)
        with (folder / "stages.jsonl").open("a", encoding="utf-8") as log:
            row = {"stage": stage, "seconds": round(time.perf_counter() - started, 1), "machine": machine()}
            log.write(json.dumps(row) + "\n")


def start_from(checkpoint: str, folder: Path, *, new_dit: bool = False) -> None:
    """Prepare a training that continues from a finished checkpoint.

    Its VAE, recaptioner and refiner count as trained; the DiT and its text encoder start from its weights, and only `base`
    and `base-int8` are exported. With `new_dit` the DiT and the text encoder start from random weights, on the latents of
    that VAE, and the whole ladder is trained. Raises CheckpointError for a checkpoint that cannot be read.
    """
    source = resolve(checkpoint)
    record = read_checkpoint(source)
    parts = {
        "vae.pt": {"vae_encoder": "", "vae_decoder": ""},
        "captioner.pt": {"caption_encoder": "encoder.", "caption_decoder": "decoder."},
        "refiner.pt": {"refine_encoder": "encoder.", "refine_decoder": "decoder."},
        START: {"dit": "dit.", "text_encoder": "text."},
    }
    if new_dit:
        del parts[START]
    folder.mkdir(parents=True, exist_ok=True)
    for name, components in parts.items():
        state: dict[str, Tensor] = {}
        for component, prefix in components.items():
            weights = weights_of(record.checked(component))
            names = build(load_config(source / "config.json"))[component].state_dict()
            state |= {prefix + k.removeprefix("vae."): torch.from_numpy(weights[k]) for k in names if k in weights}
        save_atomic(state, folder / name)
    sizes = load_config(source / "config.json").train.sizes
    (folder / ORIGIN).write_text(
        json.dumps({"checkpoint": source.name, "sizes": sizes, "made": record.made}, indent=2) + "\n", encoding="utf-8"
    )


def _export(config: ModelConfig, folder: Path) -> None:
    export.export_all(config, folder, folder / "checkpoints")


_RUN: dict[str, Callable[[ModelConfig, Path], None]] = {
    "collect": stages.collect,
    "caption": stages.caption,
    "refine": stages.refine,
    "compress": stages.compress,
    "train": stages.train,
    "clip": world_clip.train,
    "export": _export,
}
STAGES = tuple(_RUN)
