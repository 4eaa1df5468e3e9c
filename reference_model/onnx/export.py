"""Trained weights to ONNX, one `model.onnx` per component, each checked against torch on shapes it was not traced with."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from reference_model.config import ModelConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.components import VAEEncoder, build
from reference_model.onnx import graph, int8
from reference_model.onnx.specs import CHECKS, Spec, specs
from reference_model.sampling.backends import TorchBackend, load_backend
from reference_model.sampling.checkpoint import COMPONENTS, CONFIG, read_checkpoint, resolve, write_record
from reference_model.training import world_clip as clip
from reference_model.training.folder import ORIGIN, START, machine
from reference_model.training.log import tokens_until, train_seconds
from reference_model.training.loop import load_tensors, load_weights

OPSET = 20
TOLERANCE = 1e-4  # largest difference from torch, on outputs of order one
OWN = ("text_encoder", "dit")  # what checkpoints of one training do not share


def largest_difference(path: Path, module: nn.Module, spec: Spec) -> float:
    """The largest absolute difference between ONNX Runtime and torch, over the inputs of all `CHECKS`."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for which in range(CHECKS):
        inputs = spec.example(which)
        with torch.inference_mode():
            expected = module(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for a, b in zip(session.run(None, spec.feed(which)), expected, strict=True):
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
        record: dict[str, Any] = {"dit_steps_done": steps, "dit_tokens": tokens_until(folder, steps)}
        record["largest_difference_from_torch"] = worst[name]
        if (folder / ORIGIN).exists():
            origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
            if (folder / START).exists():
                record |= {"dit_steps_done": steps + origin["made"]["dit_steps_done"], "goes_on_from": origin}
            else:
                record |= {"all_but_the_dit_from": origin}
        write_checkpoint(config, out / name, files, how_made(folder) | record)
    del record["largest_difference_from_torch"]
    write_int8(config, out / "base", files, how_made(folder) | record)
    if (folder / "clip.pt").exists():
        clip.export(folder, out / "clip")
    return worst


def export_snapshot(config: ModelConfig, folder: Path, out: Path) -> int:
    """Export the averaged weights of a training, finished or still going on, into `out/now`; returns its step.

    The other networks are finished: they are exported into `out/shared` the first time only.
    """
    done = (folder / "dit.pt").exists()
    state_file = "dit.pt" if done else "dit.train.pt"
    modules, networks = trained_networks(config, folder, state_file), specs(config)
    step = config.train.dit_steps if done else int(load_tensors(folder / state_file)["step"])
    files = {part: f"{part}/model.onnx" if part in OWN else f"../shared/{part}/model.onnx" for part in COMPONENTS}
    for part in COMPONENTS:
        target = out / "now" / files[part]
        if part in OWN or not target.exists():
            export_component(modules[part], networks[part], target)
    write_checkpoint(config, out / "now", files, how_made(folder) | {"dit_steps_done": step})
    return step


def export_again(checkpoint: str, out: Path, with_int8: bool = False, own: bool = False) -> dict[str, float]:
    """Export a checkpoint's own weights once more, with the graphs of the code as it is now, into `out/NAME`.

    Files that it shares with other checkpoints keep their place beside it (`out/shared`); with `own` they are copied as they
    are. With `with_int8` also `out/NAME-int8`. Returns the largest difference from torch of each graph that was exported.
    """
    source = resolve(checkpoint)
    backend = load_backend(checkpoint, "torch")
    assert isinstance(backend, TorchBackend)
    config, networks, target = backend.config, specs(backend.config), out / source.name
    record = read_checkpoint(source)
    files, made = record.names, record.made
    worst = {}
    for part in COMPONENTS:
        if own and part not in OWN:
            (target / files[part]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(record.checked(part), target / files[part])
        else:
            worst[part] = export_component(backend.modules[part], networks[part], target / files[part])
    differences = made.get("largest_difference_from_torch", {}) | worst
    now: dict[str, Any] = {"weights_of": record.weights_hash, "torch": torch.__version__, "onnx_opset": OPSET}
    now["largest_difference_from_torch"] = differences
    write_checkpoint(config, target, files, made | now)
    if with_int8:
        provenance = {k: v for k, v in (made | now).items() if k != "largest_difference_from_torch"}
        write_int8(config, target, files, provenance)
    return worst


def write_int8(config: ModelConfig, exact: Path, files: dict[str, str], made: dict[str, Any]) -> None:
    """A checkpoint beside `exact` whose networks of `int8.NEAR` compute in int8; the other networks are the same files."""
    target, networks = exact.with_name(f"{exact.name}-int8"), specs(config)
    feeds = {
        part: [
            dict(zip(networks[part].dynamic, (x.numpy() for x in networks[part].example(k)), strict=True))
            for k in range(CHECKS)
        ]
        for part in OWN
    }
    errors = int8.write_networks({part: exact / file for part, file in files.items()}, target, config, feeds)
    near = [part for part, error in errors.items() if error <= int8.NEAR[part]]
    same = {part: file if file.startswith("../") else f"../{exact.name}/{file}" for part, file in files.items()}
    record = {
        "quantized": f"int8: {', '.join(near)}; products by the range at run time, convolutions by that of world clips",
        "quantized_from": read_checkpoint(exact).content_hash,
        "relative_error": errors,  # of one that is beyond its limit too: that one is exact
    }
    write_checkpoint(config, target, same | {part: f"{part}/model.onnx" for part in near}, made | record)


def how_made(folder: Path) -> dict[str, Any]:
    """The record of a training folder for checkpoint.json: command, seconds per stage, machine, versions."""
    log = folder / "stages.jsonl"
    stages = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n") if line] if log.exists() else []
    seconds: dict[str, float] = {}
    for row in stages:
        seconds[row["stage"]] = round(seconds.get(row["stage"], 0.0) + row["seconds"], 1)
    if "train" in seconds:  # the stage's own row counts from its last start
        seconds["train"] = round(train_seconds(folder), 1)
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
