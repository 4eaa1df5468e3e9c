"""Where the networks run: ONNX Runtime, or torch with the weights read out of the same ONNX files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from reference_model.config import ModelConfig, load_config
from reference_model.errors import ReferenceModelError

CHECKPOINTS = Path(__file__).parent / "checkpoints"
COMPONENTS = (
    "text_encoder",
    "dit",
    "vae_encoder",
    "vae_decoder",
    "caption_encoder",
    "caption_decoder",
    "refine_encoder",
    "refine_decoder",
)
HALF = ".half"  # end of the name of a weight that is stored in half precision
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class CheckpointError(ReferenceModelError):
    """A checkpoint that is missing, incomplete or damaged."""


class Backend(Protocol):
    """The networks of a checkpoint, numpy in and out. What they take and give is in the docstrings of their classes."""

    config: ModelConfig

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        """One evaluation of one of `COMPONENTS`."""
        ...


def shipped() -> list[str]:
    """Names of the checkpoints on board."""
    return sorted(p.parent.name for p in CHECKPOINTS.glob("*/checkpoint.json"))


def resolve(checkpoint: str) -> Path:
    """The folder of a shipped name or of a path."""
    for folder in (CHECKPOINTS / checkpoint, Path(checkpoint)):
        if (folder / "checkpoint.json").is_file():
            return folder
    raise CheckpointError(
        f"checkpoint {checkpoint!r} is neither shipped nor a folder with a checkpoint.json; shipped: "
        f"{', '.join(shipped()) or 'none'}; make one with 'python -m reference_model export'"
    )


def component_files(folder: Path) -> dict[str, Path]:
    """The ONNX file of each network; checkpoints of one training share their VAE."""
    try:
        names = json.loads((folder / "checkpoint.json").read_text())["components"]
        files = {name: (folder / names[name]).resolve() for name in COMPONENTS}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{folder / 'checkpoint.json'} should name the files of {', '.join(COMPONENTS)} under 'components': {error!r}"
        ) from error
    for name, file in files.items():
        if not file.is_file():
            raise CheckpointError(
                f"{name} of checkpoint {folder.name!r} is missing: {file} does not exist; export it again or restore the file"
            )
    return files


def load_backend(checkpoint: str, kind: str, device: str = "cpu", threads: int = 0) -> Backend:
    """Open a checkpoint. `threads` 0 means one a core."""
    folder = resolve(checkpoint)
    files, config = component_files(folder), load_config(folder / "config.json")
    if device not in PROVIDERS:
        raise ReferenceModelError(f"device {device!r} is not known; expected one of: {', '.join(PROVIDERS)}")
    if kind == "onnx":
        return OnnxBackend(files, config, device, threads)
    if kind == "torch":
        return TorchBackend(files, config, device, threads)
    raise ReferenceModelError(f"backend {kind!r} is not known; expected 'onnx' or 'torch'")


class OnnxBackend:
    """ONNX Runtime. Asked for a device that is not there, it raises: never a silent fallback. Sessions open when used."""

    def __init__(self, files: dict[str, Path], config: ModelConfig, device: str = "cpu", threads: int = 0) -> None:
        self.config, self.files, self.device, self.threads = config, files, device, threads
        self.sessions = {"dit": open_session(files["dit"], device, threads)}

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        if component not in self.sessions:
            self.sessions[component] = open_session(self.files[component], self.device, self.threads)
        session = self.sessions[component]
        return session.run(None, dict(zip((i.name for i in session.get_inputs()), inputs, strict=True)))


def open_session(path: Path, device: str, threads: int) -> ort.InferenceSession:
    """A session on one device, with an explicit number of threads."""
    if PROVIDERS[device] not in ort.get_available_providers():
        raise ReferenceModelError(
            f"device {device!r} was asked for, but this onnxruntime offers only {', '.join(ort.get_available_providers())}"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    # A denoising step is hundreds of small kernels: threads that were put to sleep would be woken for each, so they may
    # spin between them. That takes the cores from torch in the same process: time the two in processes of their own.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    try:
        session = ort.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
    except Exception as error:  # onnxruntime raises its own classes, not exported
        raise CheckpointError(f"{path} cannot be opened as ONNX ({error}); export it again or restore it") from error
    if PROVIDERS[device] not in session.get_providers():
        raise ReferenceModelError(f"device {device!r} was asked for, but {path.name} runs on {session.get_providers()}")
    return session


class TorchBackend:
    """torch eager, with the same weights: the reference that ONNX is compared against."""

    def __init__(self, files: dict[str, Path], config: ModelConfig, device: str = "cpu", threads: int = 0) -> None:
        import torch

        from reference_model.components import build

        if device == "cuda" and not torch.cuda.is_available():
            raise ReferenceModelError("device 'cuda' was asked for, but torch finds no GPU")
        if threads:
            torch.set_num_threads(threads)
        self.config, self.device, self.torch = config, device, torch
        self.modules = build(config)
        weights = {name: weights_of(path) for name, path in files.items()}
        weights["vae_encoder"] = weights["vae_decoder"] = {**weights["vae_encoder"], **weights["vae_decoder"]}
        for name, module in self.modules.items():
            missing = sorted(set(module.state_dict()) - set(weights[name]))
            if missing:
                raise CheckpointError(
                    f"{files[name]} does not hold the weights {', '.join(missing[:3])}, ...; a quantized checkpoint runs "
                    "on backend 'onnx' only"
                )
            module.load_state_dict({k: torch.from_numpy(weights[name][k]) for k in module.state_dict()})
            module.eval().to(device)

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        with self.torch.inference_mode():
            out = self.modules[component](*(self.torch.from_numpy(i).to(self.device) for i in inputs))
        return [o.cpu().numpy() for o in (out if isinstance(out, tuple) else (out,))]


def weights_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The named tensors inside an ONNX file, as writable arrays, under the names of the torch modules."""
    import onnx
    from onnx import numpy_helper

    out = {}
    for tensor in onnx.load(path).graph.initializer:
        value = numpy_helper.to_array(tensor)
        half = tensor.name.endswith(HALF)
        out[tensor.name.removesuffix(HALF)] = value.astype(np.float32) if half else value.copy()
    return out
