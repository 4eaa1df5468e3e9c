"""Any video network in place of I3D: an ONNX or a TorchScript file, named in the signature by its hash.

Contract: input (N, 3, T, 224, 224) float32 in [-1, 1], as a protocol of `features.fvd_protocols` prepares it; output (N, D).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sora_eval.features.device import device, evaluation, open_session, run_session
from sora_eval.features.fvd_protocols import CLIP_FRAMES, SIDE
from sora_eval.features.graph_file import load_torchscript
from sora_eval.util.errors import DeviceError, Undefined, WeightsError, line_of
from sora_eval.util.weights import sha256_file

Run = Callable[[Tensor], npt.NDArray[Any]]

CONTRACT = f"expected a network from (N, 3, T, {SIDE}, {SIDE}) float32 to (N, D)"


class NetworkFile:
    """A video network in a file, opened once per process and checked against the contract then. Raises WeightsError."""

    def __init__(self, path: str) -> None:
        self.path = path
        run, self.width = _network(path)
        del run
        self.signature = f"network:file|weights:{sha256_file(Path(path))[:12]}|fp32"

    def __call__(self, video: Tensor) -> npt.NDArray[np.float32]:
        """Vectors (N, D) of videos (N, 3, T, 224, 224). Raises Undefined for a length that the network does not take."""
        run, width = _network(self.path)
        try:
            out = run(video)
        except Exception as error:  # what a foreign graph raises is its own
            raise Undefined(
                f"the network {Path(self.path).name} takes no clip of {video.shape[2]} frames: {line_of(error, -1)}"
            ) from error
        if out.shape != (len(video), width):
            raise Undefined(f"the network {Path(self.path).name} gave {out.shape}, expected ({len(video)}, {width})")
        if not np.isfinite(out).all():
            raise Undefined(f"the network {Path(self.path).name} gave NaN or infinite features")
        return np.asarray(out, np.float32)


@cache
def _open_result(path: str, _device: str) -> tuple[Run, int] | WeightsError:
    try:
        return _open(Path(path))
    except WeightsError as error:
        return error


def _network(path: str) -> tuple[Run, int]:
    result = _open_result(path, device())
    if isinstance(result, WeightsError):
        raise result
    return result


def _open(path: Path) -> tuple[Run, int]:
    """The network as a function, and D. Raises WeightsError for a file that is no network or breaks the contract."""
    if not path.is_file():
        raise WeightsError(f"network {str(path)!r} does not exist; {CONTRACT}, in an ONNX or a TorchScript file")
    try:
        run, frames = _open_onnx(path) if path.suffix == ".onnx" else _open_torchscript(path)
    except (DeviceError, WeightsError):
        raise
    except Exception as error:  # damaged files raise whatever their reader raises
        kind = "ONNX" if path.suffix == ".onnx" else "TorchScript (files that end in .onnx are read as ONNX)"
        raise WeightsError(f"network {str(path)!r} cannot be read as {kind}: {line_of(error, -1)}; {CONTRACT}") from error
    # Two unlike clips reveal a network that takes no batch or pools over it.
    probe = [torch.full((1, 3, frames, SIDE, SIDE), v, device=device()) for v in (-1.0, 1.0)]
    try:
        out = np.concatenate([run(p) for p in probe])
    except Exception as error:
        raise WeightsError(
            f"network {str(path)!r} fails on a clip of (1, 3, {frames}, {SIDE}, {SIDE}): {line_of(error, -1)}; {CONTRACT}"
        ) from error
    if out.ndim != 2 or len(out) != 2 or not np.issubdtype(out.dtype, np.floating) or not np.isfinite(out).all():
        raise WeightsError(
            f"network {str(path)!r} gives {out.dtype} {out.shape} for two clips of {frames} frames; {CONTRACT}, finite"
        )
    return run, int(out.shape[1])


def _open_onnx(path: Path) -> tuple[Run, int]:
    session = open_session(path)
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    if len(inputs) != 1 or len(shape) != 5 or inputs[0].type != "tensor(float)":
        signature = ", ".join(f"{i.name}: {i.type}{i.shape}" for i in inputs) or "no input"
        raise WeightsError(f"network {str(path)!r} takes {signature}; {CONTRACT}")
    return partial(run_session, session), shape[2] if isinstance(shape[2], int) else CLIP_FRAMES


def _open_torchscript(path: Path) -> tuple[Run, int]:
    module = load_torchscript(path, device())

    def run(video: Tensor) -> npt.NDArray[Any]:
        with evaluation():
            out = module(video)
        if not isinstance(out, Tensor):
            raise TypeError(f"its output is {type(out).__name__}, not one tensor")
        return np.asarray(out.float().cpu().numpy())

    return run, CLIP_FRAMES
