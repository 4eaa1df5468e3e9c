"""Optical flow by torchvision's RAFT (Teed & Deng 2020), with its own weights or a file of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import WeightsError, line_of
from sora_eval.util.weights import sha256_file

SHORT_MIN = 128  # px; RAFT halves an eighth of the frame three times
MULTIPLE = 8
KINDS = {"raft": "raft_large", "raft_small": "raft_small"}

Floats = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]


def signature(kind: str, weights: str = "") -> str:
    """The network's name and a hash of its weights. Raises WeightsError when they cannot be loaded."""
    return f"{KINDS[kind]}|weights:{_identity(kind, weights)}"


def flow(kind: str, weights: str, a: Frame, b: Frame) -> Floats:
    """Flow (H, W, 2) in px from frame `a` to `b`, (H, W, 3) uint8; sides of at least 128 px. Raises WeightsError."""
    import torch

    height, width = a.shape[:2]
    down, right = -height % MULTIPLE, -width % MULTIPLE
    # The last rows and columns repeat, as RAFT's own padding does.
    pair = np.stack([np.pad(f, ((0, down), (0, right), (0, 0)), mode="edge") for f in (a, b)])
    video = torch.from_numpy(pair).permute(0, 3, 1, 2).float() / 127.5 - 1.0  # (2, 3, H, W)
    with torch.inference_mode():
        last = _network(kind, weights)(video[:1], video[1:])[-1]  # (1, 2, H, W), after 12 iterations
    return np.ascontiguousarray(last[0, :, :height, :width].permute(1, 2, 0).float().numpy())


@cache
def _network(kind: str, weights: str) -> Any:
    import torch
    from safetensors.torch import load_file
    from torchvision.models import optical_flow

    build = getattr(optical_flow, KINDS[kind])
    if not weights:
        try:
            return build(weights="DEFAULT").eval()
        except Exception as error:  # a damaged file raises whatever its reader raises
            raise WeightsError(
                f"torchvision's weights of {KINDS[kind]} could not be loaded ({line_of(error)}). Without a network, give a "
                "file of them as the metric's 'flow_weights'"
            ) from error
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(f"flow_weights = {weights!r} does not exist; expected a state dict of torchvision's {KINDS[kind]}")
    module = build(weights=None)
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    except Exception as error:  # damaged files raise whatever their reader raises
        raise WeightsError(
            f"flow_weights = {weights!r} is no state dict of torchvision's {KINDS[kind]}: {line_of(error)}"
        ) from error
    return module.eval()


def _identity(kind: str, weights: str) -> str:
    _network(kind, weights)
    if weights:
        return sha256_file(Path(weights))[:12]
    from torchvision.models import optical_flow

    # torchvision's file names end in the first eight digits of their sha256, and it checks them.
    pinned = getattr(optical_flow, {"raft": "Raft_Large_Weights", "raft_small": "Raft_Small_Weights"}[kind]).DEFAULT
    return str(pinned.url).rsplit("-", 1)[-1].removesuffix(".pth")
