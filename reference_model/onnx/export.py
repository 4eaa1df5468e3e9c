"""Trained weights to ONNX, one `model.onnx` per component, each checked against torch on shapes it was not traced with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.captioner import TUBELET
from reference_model.networks.components import VAEEncoder, build
from reference_model.networks.text import VOCABULARY
from reference_model.onnx import graph
from reference_model.packing import patchify
from reference_model.sampling.backends import TorchBackend, load_backend
from reference_model.sampling.checkpoint import COMPONENTS, CONFIG, read_checkpoint, resolve, write_record
from reference_model.training import world_clip as clip
from reference_model.training.folder import ORIGIN, START, machine
from reference_model.training.loop import load_tensors, load_weights

OPSET = 20
TOLERANCE = 1e-4  # largest difference from torch, on outputs of order one
CHECKS = 7  # shapes
OWN = ("text_encoder", "dit")  # what checkpoints of one training do not share


@dataclass(frozen=True)
class Spec:
    """The signature of a graph: outputs, inputs with their dynamic axes, and `example(i)`, inputs to trace (0) and to check."""

    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Any]]
    example: Callable[[int], tuple[Tensor, ...]]


def _dim(name: str) -> Any:
    return torch.export.Dim(name, min=1, max=1 << 20)


def dit_inputs(config: ModelConfig, which: int) -> tuple[Tensor, ...]:
    """Random inputs of the DiT, number `which` of `CHECKS`; sizes differ, since the tracer specialises 0, 1 and equal ones."""
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
    places, sizes = [patchify.positions(g) for g in grids], [g[1] * g[2] for g in grids]
    known = [size if g[0] > 1 and i % 2 == 0 else 0 for i, (g, size) in enumerate(zip(grids, sizes, strict=True))]
    packs = patchify.pack(places, lengths, width, groups, 75 if which == 0 else 0, known)
    n, text = len(grids), config.text.width
    arrays = (
        rng.standard_normal((*packs.clip.shape, 4 * config.dit.channels), np.float32),
        packs.clip,
        packs.state,
        packs.position,
        packs.times(rng.random(n, np.float32)),
        np.array(grids, np.int64)[packs.state_clip],
        rng.standard_normal((n, text), np.float32)[packs.state_clip],
        rng.standard_normal((n, width, text), np.float32),
        packs.text_index,
        packs.text_clip,
    )
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)


def specs(config: ModelConfig) -> dict[str, Spec]:
    """The signature of each graph of a checkpoint."""
    sizes = [(2, 3, 4, 5), (1, 1, 4, 4), (3, 5, 8, 8), (1, 5, 6, 10), (2, 4, 10, 6), (1, 2, 12, 12), (1, 7, 16, 8)]
    lengths = [(3, 7), (1, 3), (5, 47), (2, 20), (8, 11), (1, 48), (4, 5)]  # texts, words
    tubelet_counts = [9, 1, 64, 30, 17, 40, 5]  # tubelets of the recaptioner
    z = config.vae.latent_channels

    def noise(which: int, *shape: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng([which, len(shape)]).standard_normal(shape, np.float32))

    def ids(which: int) -> Tensor:
        n, m = lengths[which]
        out = np.random.default_rng(which).integers(1, len(VOCABULARY), (n, m))
        out[0, max(m - 2, 3) :] = 0
        return torch.from_numpy(out)

    def video(which: int) -> Tensor:
        n, g, h, w = sizes[which]
        return noise(which, n, 3, 4 * g - 3, 4 * h, 4 * w).clamp(-1, 1)

    def tubelets(which: int) -> tuple[Tensor, ...]:
        n, s = lengths[which][0], tubelet_counts[which]
        rng = np.random.default_rng(which)
        run = rng.integers(1, patchify.MAX_RUN + 1, (n, s))
        run[0, max(s - 3, 1) :] = 0
        position, extent = rng.integers(0, 5, (n, s, 3)), rng.integers(5, 9, (n, 3))
        return noise(which, n, s, TUBELET).clamp(-1, 1), *map(torch.from_numpy, (position, run, extent))

    def read(which: int, width: int) -> Tensor:
        return noise(which, lengths[which][0], tubelet_counts[which], width)

    clips, width, packs, length, texts, states = map(_dim, ("clips", "text_width", "packs", "length", "texts", "states"))
    batch, groups, rows, columns, tubes = map(_dim, ("batch", "groups", "rows", "columns", "tubes"))
    words, prompt = (torch.export.Dim(name, min=1, max=config.text.max_tokens) for name in ("words", "prompt"))
    packed, of_state = {0: packs, 1: length}, {0: states}
    dit_dims = {
        "tokens": packed,
        "clip": packed,
        "state": packed,
        "position": packed,
        "time": of_state,
        "extent": of_state,
        "pooled": of_state,
        "text": {0: clips, 1: width},
        "text_index": {0: packs, 1: texts},
        "text_clip": {0: packs, 1: texts},
    }
    text_dims = {"ids": {0: batch, 1: words}}
    tubelet_dims = {"tokens": {0: batch, 1: tubes}, "position": {0: batch, 1: tubes}, "run": {0: batch, 1: tubes}}

    def refiner_inputs(which: int) -> tuple[Tensor, ...]:
        prompt = ids((which + 2) % 7)[:1].repeat(lengths[which][0], 1)
        return ids(which), noise(which, *prompt.shape, config.refiner.width), prompt

    return {
        "text_encoder": Spec(("states", "pooled"), text_dims, lambda k: (ids(k),)),
        "dit": Spec(("velocity",), dit_dims, lambda k: dit_inputs(config, k)),
        "vae_encoder": Spec(
            ("latent",), {"video": {0: batch, 2: 4 * groups - 3, 3: 4 * rows, 4: 4 * columns}}, lambda k: (video(k),)
        ),
        "vae_decoder": Spec(
            ("video",),
            {"latent": {0: batch, 2: groups, 3: rows, 4: columns}},
            lambda k: (noise(k, sizes[k][0], z, *sizes[k][1:]),),
        ),
        "caption_encoder": Spec(("states",), {**tubelet_dims, "extent": {0: batch}}, tubelets),
        "caption_decoder": Spec(
            ("logits",),
            {**text_dims, "states": {0: batch, 1: tubes}, "run": {0: batch, 1: tubes}},
            lambda k: (ids(k), read(k, config.captioner.width), tubelets(k)[2]),
        ),
        "refine_encoder": Spec(("states",), text_dims, lambda k: (ids(k),)),
        "refine_decoder": Spec(
            ("logits",), {**text_dims, "states": {0: batch, 1: prompt}, "prompt": {0: batch, 1: prompt}}, refiner_inputs
        ),
    }


def largest_difference(path: Path, module: nn.Module, spec: Spec) -> float:
    """The largest absolute difference between ONNX Runtime and torch, over the inputs of all `CHECKS`."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for which in range(CHECKS):
        inputs = spec.example(which)
        with torch.inference_mode():
            expected = module(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
        for a, b in zip(session.run(None, feed), expected, strict=True):
            worst = max(worst, float(np.abs(a - b.numpy()).max()))
    return worst


def export_component(module: nn.Module, spec: Spec, path: Path) -> float:
    """Export and check one graph; returns the largest difference from torch. Rounds the module's weights to half precision.

    Raises ReferenceModelError for a difference above `TOLERANCE`; then nothing is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.onnx")
    module.eval()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())
    program = torch.onnx.export(
        module,
        spec.example(0),
        dynamo=True,
        opset_version=OPSET,
        optimize=False,
        input_names=list(spec.dynamic),
        output_names=list(spec.outputs),
        dynamic_shapes=spec.dynamic,
        verbose=False,
        custom_translation_table=graph.TRANSLATIONS,
    )
    assert program is not None
    weights = set(module.state_dict())
    graph.tidy(program.model, weights)
    program.save(partial)
    graph.store_halves(partial, weights)
    worst = largest_difference(partial, module, spec)
    if not worst <= TOLERANCE:
        partial.unlink()
        raise ReferenceModelError(
            f"{path}: ONNX Runtime differs from torch by {worst:.2e}; at most {TOLERANCE:.0e} is "
            "accepted, so nothing was written"
        )
    os.replace(partial, path)
    return worst


def trained_networks(config: ModelConfig, folder: Path, denoiser_file: str) -> dict[str, nn.Module]:
    """The networks by component with the weights of a training folder. Raises ReferenceModelError for a missing file."""
    modules = build(config)
    sources = {
        "dit": (denoiser_file, "dit."),
        "text_encoder": (denoiser_file, "text."),
        "vae_encoder": ("vae-final.pt", ""),
        "caption_encoder": ("captioner.pt", "encoder."),
        "caption_decoder": ("captioner.pt", "decoder."),
        "refine_encoder": ("refiner.pt", "encoder."),
        "refine_decoder": ("refiner.pt", "decoder."),
    }
    for name, (file, prefix) in sources.items():
        if not (folder / file).exists():
            raise ReferenceModelError(f"{folder / file} does not exist: run the earlier stages of the training first")
        state = load_tensors(folder / file)
        state = state.get("ema", state)  # of a training that is still going on
        weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        module = modules[name]
        target = module.vae if isinstance(module, VAEEncoder) else module
        load_weights(target, weights, folder / file)
    return modules


def export_all(config: ModelConfig, folder: Path, out: Path) -> dict[str, dict[str, float]]:
    """Export the ladder of a training folder, `early`, `middle` and `base`, and `base-int8`, into `out`.

    A training that continues a checkpoint has `base` and `base-int8` only. The networks that they share (VAE, recaptioner,
    refiner) are written once, into `out/shared`; the world CLIP goes to `out/clip`. Returns the largest difference from
    torch of each graph.
    """
    t, networks = config.train, specs(config)
    ladder = {"base": 1.0}
    if not (folder / START).exists():  # a training that continues a checkpoint has no first steps of its own
        ladder = {"early": t.early_fraction, "middle": t.middle_fraction, **ladder}
    worst: dict[str, dict[str, float]] = {}
    common: dict[str, float] = {}
    for name, share in ladder.items():
        modules = trained_networks(config, folder, "dit.pt" if name == "base" else f"dit-{name}.pt")
        files = {part: f"{part}/model.onnx" if part in OWN else f"../shared/{part}/model.onnx" for part in COMPONENTS}
        for part in COMPONENTS:
            if part not in OWN and part not in common:
                common[part] = export_component(modules[part], networks[part], out / name / files[part])
        worst[name] = {p: export_component(modules[p], networks[p], out / name / files[p]) for p in OWN} | common
        steps = max(int(t.dit_steps * share), 1)
        record = {"dit_steps_done": steps, "largest_difference_from_torch": worst[name]}
        if (folder / ORIGIN).exists():
            origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
            if (folder / START).exists():
                record |= {"dit_steps_done": steps + origin["made"]["dit_steps_done"], "goes_on_from": origin}
            else:
                record |= {"all_but_the_dit_from": origin}
        write_checkpoint(config, out / name, files, how_made(folder) | record)
    write_int8(config, out / "base", files, modules["dit"], how_made(folder))
    if (folder / "clip.pt").exists():
        clip.export(folder, out / "clip")
    return worst


def export_snapshot(config: ModelConfig, folder: Path, out: Path) -> int:
    """Export the averaged weights of a training that is still going on into `out/now`; returns its step.

    The other networks are finished: they are exported into `out/shared` the first time only.
    """
    state_file = "dit.train.pt"
    modules, networks = trained_networks(config, folder, state_file), specs(config)
    step = int(load_tensors(folder / state_file)["step"])
    files = {part: f"{part}/model.onnx" if part in OWN else f"../shared/{part}/model.onnx" for part in COMPONENTS}
    for part in COMPONENTS:
        target = out / "now" / files[part]
        if part in OWN or not target.exists():
            export_component(modules[part], networks[part], target)
    write_checkpoint(config, out / "now", files, how_made(folder) | {"dit_steps_done": step})
    return step


def export_again(checkpoint: str, out: Path, int8: bool = False) -> dict[str, float]:
    """Export a checkpoint's own weights once more, with the graphs of the code as it is now, into `out/NAME`.

    Files that it shares with other checkpoints keep their place beside it (`out/shared`). With `int8` also `out/NAME-int8`.
    Returns the largest difference from torch of each graph.
    """
    source = resolve(checkpoint)
    backend = load_backend(checkpoint, "torch")
    assert isinstance(backend, TorchBackend)
    config, networks, target = backend.config, specs(backend.config), out / source.name
    record = read_checkpoint(source)
    files, made = record.names, record.made
    worst = {part: export_component(backend.modules[part], networks[part], target / files[part]) for part in COMPONENTS}
    now = {"torch": torch.__version__, "onnx_opset": OPSET, "largest_difference_from_torch": worst}
    write_checkpoint(config, target, files, made | now)
    if int8:
        provenance = {k: v for k, v in made.items() if k != "largest_difference_from_torch"}
        write_int8(config, target, files, backend.modules["dit"], provenance | {"torch": torch.__version__})
    return worst


def write_int8(config: ModelConfig, exact: Path, files: dict[str, str], dit: nn.Module, made: dict[str, Any]) -> None:
    """A checkpoint beside `exact` whose DiT computes its products in int8; the other networks are the same files."""
    target = exact.with_name(f"{exact.name}-int8")
    small = target / "dit/model.onnx"
    graph.quantize(exact / files["dit"], small)
    difference = largest_difference(small, dit, specs(config)["dit"])  # not small
    same = {part: file if file.startswith("../") else f"../{exact.name}/{file}" for part, file in files.items()}
    record = {
        "quantized": "dynamic int8, products of the DiT with weights",
        "quantized_from": read_checkpoint(exact).content_hash,
        "dit_difference_from_torch": difference,
    }
    write_checkpoint(config, target, same | {"dit": "dit/model.onnx"}, made | record)


def how_made(folder: Path) -> dict[str, Any]:
    """The record of a training folder for checkpoint.json: command, seconds per stage, machine, versions."""
    log = folder / "stages.jsonl"
    stages = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n") if line] if log.exists() else []
    seconds: dict[str, float] = {}
    for row in stages:
        seconds[row["stage"]] = round(seconds.get(row["stage"], 0.0) + row["seconds"], 1)
    return {
        "command": "python -m reference_model train",
        "stage_seconds": seconds,
        "machine": sorted({row.get("machine", machine()) for row in stages}),
        "torch": torch.__version__,
        "onnx_opset": OPSET,
        "weights": "rounded to half precision, computed in single",
    }


def write_checkpoint(config: ModelConfig, target: Path, files: dict[str, str], made: dict[str, Any]) -> None:
    """Write config.json and checkpoint.json: the file of each component, and how they were made."""
    config.save(target / CONFIG)
    write_record(target, files, made)
