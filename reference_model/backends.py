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

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CHECKPOINTS = Path(__file__).parent / "checkpoints"
COMPONENTS = ("text_encoder", "dit", "vae_encoder", "vae_decoder")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class CheckpointError(ReferenceModelError):
    """A checkpoint that is missing, incomplete or damaged."""


class Backend(Protocol):
    """The four networks, numpy in and out."""

    config: ModelConfig

    def encode_text(self, ids: Ints) -> tuple[Floats, Floats]:
        """Ids (N, M) to states (N, M, D) and pooled (N, D)."""
        ...

    def velocity(self, *inputs: npt.NDArray[Any]) -> Floats:
        """One evaluation of the DiT; inputs and output as in `dit.DiT`."""
        ...

    def encode(self, video: Floats) -> Floats:
        """Video (N, 3, T, H, W) in [-1, 1] to normalised latent."""
        ...

    def decode(self, latent: Floats) -> Floats:
        """The inverse of `encode`."""
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
    if kind == "onnx":
        return OnnxBackend(files, config, device, threads)
    if kind == "torch":
        return TorchBackend(files, config, device, threads)
    raise ReferenceModelError(f"backend {kind!r} is not known; expected 'onnx' or 'torch'")


class OnnxBackend:
    """ONNX Runtime. Asked for a device that is not there, it raises: never a silent fallback."""

    def __init__(self, files: dict[str, Path], config: ModelConfig, device: str = "cpu", threads: int = 0) -> None:
        self.config = config
        self.sessions = {name: open_session(path, device, threads) for name, path in files.items()}

    def _run(self, name: str, inputs: tuple[npt.NDArray[Any], ...]) -> list[Any]:
        session = self.sessions[name]
        return session.run(None, dict(zip((i.name for i in session.get_inputs()), inputs, strict=True)))

    def encode_text(self, ids: Ints) -> tuple[Floats, Floats]:
        states, pooled = self._run("text_encoder", (ids,))
        return states, pooled

    def velocity(self, *inputs: npt.NDArray[Any]) -> Floats:
        return self._run("dit", inputs)[0]

    def encode(self, video: Floats) -> Floats:
        return self._run("vae_encoder", (video,))[0]

    def decode(self, latent: Floats) -> Floats:
        return self._run("vae_decoder", (latent,))[0]


def open_session(path: Path, device: str, threads: int) -> ort.InferenceSession:
    """A session on one device, with an explicit number of threads."""
    if device not in PROVIDERS:
        raise ReferenceModelError(f"device {device!r} is not known; expected one of: {', '.join(PROVIDERS)}")
    if PROVIDERS[device] not in ort.get_available_providers():
        raise ReferenceModelError(
            f"device {device!r} was asked for, but this onnxruntime offers only {', '.join(ort.get_available_providers())}"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    # Idle threads that spin take the cores from torch in the same process.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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

        from reference_model.dit import DiT
        from reference_model.text import TextEncoder
        from reference_model.vae import VAE

        if device == "cuda" and not torch.cuda.is_available():
            raise ReferenceModelError("device 'cuda' was asked for, but torch finds no GPU")
        if threads:
            torch.set_num_threads(threads)
        self.config, self.device, self.torch = config, device, torch
        self.text, self.dit, self.vae = TextEncoder(config.text), DiT(config.dit, config.text), VAE(config.vae)
        vae_weights = {**weights_of(files["vae_encoder"]), **weights_of(files["vae_decoder"])}
        for module, weights in (
            (self.text, weights_of(files["text_encoder"])),
            (self.dit, weights_of(files["dit"])),
            (self.vae, vae_weights),
        ):
            module.load_state_dict({k: torch.from_numpy(weights[k]) for k in module.state_dict()})
            module.eval().to(device)

    def _call(self, function: Any, *inputs: npt.NDArray[Any]) -> Any:
        with self.torch.inference_mode():
            out = function(*(self.torch.from_numpy(i).to(self.device) for i in inputs))
            return tuple(o.cpu().numpy() for o in out) if isinstance(out, tuple) else out.cpu().numpy()

    def encode_text(self, ids: Ints) -> tuple[Floats, Floats]:
        return self._call(self.text, ids)

    def velocity(self, *inputs: npt.NDArray[Any]) -> Floats:
        return self._call(self.dit, *inputs)

    def encode(self, video: Floats) -> Floats:
        return self._call(self.vae.encode, video)

    def decode(self, latent: Floats) -> Floats:
        return self._call(self.vae.decode, latent)


def weights_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The named tensors inside an ONNX file, as writable arrays, under the names of the torch modules."""
    import onnx
    from onnx import numpy_helper

    return {t.name.removeprefix("vae."): numpy_helper.to_array(t).copy() for t in onnx.load(path).graph.initializer}
