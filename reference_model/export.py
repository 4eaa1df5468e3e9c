"""Trained weights to ONNX, one `model.onnx` a component, each checked against torch on shapes it was not traced with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from reference_model import patchify
from reference_model.config import ModelConfig
from reference_model.errors import ReferenceModelError
from reference_model.text import VOCABULARY
from reference_model.train import Denoiser, load_vae
from reference_model.vae import VAE

OPSET = 20
TOLERANCE = 1e-4  # largest difference from torch, on outputs of order one


class VAEEncoder(nn.Module):
    """`VAE.encode` as a graph of its own."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, video: Tensor) -> Tensor:
        return self.vae.encode(video)


class VAEDecoder(nn.Module):
    """`VAE.decode` as a graph of its own."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent)


@dataclass(frozen=True)
class Component:
    """A graph to export: the module, what its inputs are called, and how to make inputs of a given size."""

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Any]]
    example: Callable[[int], tuple[Tensor, ...]]  # 0 traces, 1.. check


def _dim(name: str) -> Any:
    return torch.export.Dim(name, min=1, max=1 << 20)


def dit_inputs(config: ModelConfig, which: int) -> tuple[Tensor, ...]:
    """A pack of random clips; sizes differ between inputs and from one another, since 0 and 1 would be specialised."""
    rng = np.random.default_rng(which)
    grids = [
        [(2, 3, 4), (3, 2, 5), (2, 4, 3)],
        [(1, 4, 4), (5, 4, 4)],
        [(5, 6, 6)],
        [(4, 3, 5), (5, 5, 3), (1, 3, 3)],
        [(2, 4, 4)] * 4,
        [(1, 1, 1), (3, 2, 7)],
        [(2, 8, 8), (5, 4, 4)],
    ][which]
    lengths = [int(n) for n in rng.integers(3, 9, len(grids))]
    width = max(lengths) + 1
    groups = [[0], list(range(1, len(grids)))] if len(grids) > 1 else [[0]]
    packs = patchify.pack(grids, lengths, width, groups, pad_to=75 if which == 0 else 0)
    n, text = len(grids), config.text.width
    arrays = (
        rng.standard_normal((*packs.clip.shape, 4 * config.dit.channels), np.float32),
        packs.clip,
        packs.position,
        rng.random(n, np.float32),
        np.array(grids, np.int64),
        rng.standard_normal((n, width, text), np.float32),
        rng.standard_normal((n, text), np.float32),
        packs.text_index,
        packs.text_clip,
    )
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)


def components(config: ModelConfig, denoiser: Denoiser, vae: VAE) -> dict[str, Component]:
    """The graphs of a checkpoint."""
    sizes = [(2, 3, 4, 5), (1, 1, 4, 4), (3, 5, 8, 8), (1, 5, 6, 10), (2, 4, 10, 6), (1, 2, 12, 12), (1, 7, 16, 8)]
    z = config.vae.latent_channels

    def ids(which: int) -> tuple[Tensor, ...]:
        n, m = [(3, 7), (1, 3), (5, 48), (2, 20), (8, 11), (1, 48), (4, 5)][which]
        out = np.random.default_rng(which).integers(1, len(VOCABULARY), (n, m))
        out[0, max(m - 2, 3) :] = 0
        return (torch.from_numpy(out),)

    def video(which: int) -> tuple[Tensor, ...]:
        n, g, h, w = sizes[which]
        shape = (n, 3, 4 * g - 3, 4 * h, 4 * w)
        return (torch.from_numpy(np.random.default_rng(which).uniform(-1, 1, shape).astype(np.float32)),)

    def latent(which: int) -> tuple[Tensor, ...]:
        n, g, h, w = sizes[which]
        return (torch.from_numpy(np.random.default_rng(which).standard_normal((n, z, g, h, w), np.float32)),)

    clips, width, packs, length, texts = map(_dim, ("clips", "text_width", "packs", "length", "texts"))
    batch, groups, rows, columns = map(_dim, ("batch", "groups", "rows", "columns"))
    dit_dims = {
        "tokens": {0: packs, 1: length},
        "clip": {0: packs, 1: length},
        "position": {0: packs, 1: length},
        "time": {0: clips},
        "extent": {0: clips},
        "text": {0: clips, 1: width},
        "pooled": {0: clips},
        "text_index": {0: packs, 1: texts},
        "text_clip": {0: packs, 1: texts},
    }
    pixels = {"video": {0: batch, 2: 4 * groups - 3, 3: 4 * rows, 4: 4 * columns}}
    return {
        "text_encoder": Component(
            denoiser.text,
            ("ids",),
            ("states", "pooled"),
            {"ids": {0: batch, 1: torch.export.Dim("words", min=1, max=config.text.max_tokens)}},
            ids,
        ),
        "dit": Component(denoiser.dit, tuple(dit_dims), ("velocity",), dit_dims, lambda k: dit_inputs(config, k)),
        "vae_encoder": Component(VAEEncoder(vae), ("video",), ("latent",), pixels, video),
        "vae_decoder": Component(
            VAEDecoder(vae), ("latent",), ("video",), {"latent": {0: batch, 2: groups, 3: rows, 4: columns}}, latent
        ),
    }


def export_component(component: Component, path: Path) -> float:
    """Export and check one graph; returns the largest difference from torch over all check shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    component.module.eval()
    torch.onnx.export(
        component.module,
        component.example(0),
        str(path),
        dynamo=True,
        opset_version=OPSET,
        optimize=False,
        input_names=list(component.inputs),
        output_names=list(component.outputs),
        dynamic_shapes=component.dynamic,
        external_data=False,
        verbose=False,
    )
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for which in range(7):
        inputs = component.example(which)
        with torch.inference_mode():
            expected = component.module(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
        for a, b in zip(session.run(None, feed), expected, strict=True):
            worst = max(worst, float(np.abs(a - b.numpy()).max()))
    if not worst <= TOLERANCE:
        raise ReferenceModelError(
            f"{path}: ONNX Runtime differs from torch by {worst:.2e}; at most {TOLERANCE:.0e} is "
            "accepted, so the file must not be shipped"
        )
    return worst


def export(config: ModelConfig, folder: Path, out: Path, record: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Export `base` and `early` of a training folder into `out/{base,early}`, with one shared `out/vae`.

    Returns the largest difference from torch of each graph.
    """
    vae = load_vae(config, folder)
    worst: dict[str, dict[str, float]] = {}
    for name, file in (("base", "focus.pt"), ("early", "dit-early.pt")):
        if not (folder / file).exists():
            raise ReferenceModelError(f"{folder / file} does not exist: run the stage 'dit' first")
        denoiser = Denoiser(config)
        denoiser.load_state_dict(torch.load(folder / file, weights_only=True))
        target = out / name
        files = {
            part: f"../vae/{part.removeprefix('vae_')}/model.onnx" if part.startswith("vae") else f"{part}/model.onnx"
            for part in ("text_encoder", "dit", "vae_encoder", "vae_decoder")
        }
        parts = components(config, denoiser.eval(), vae)
        if name == "early":
            parts = {k: v for k, v in parts.items() if not k.startswith("vae")}
        worst[name] = {part: export_component(c, target / files[part]) for part, c in parts.items()}
        config.save(target / "config.json")
        t = config.train
        steps = t.dit_steps + t.tune_steps + t.focus_steps if name == "base" else int(t.dit_steps * t.early_fraction)
        made = {**record, "dit_steps_done": steps, "onnx_opset": OPSET, "largest_difference_from_torch": worst[name]}
        (target / "checkpoint.json").write_text(json.dumps({"components": files, "made": made}, indent=2) + "\n")
    return worst
