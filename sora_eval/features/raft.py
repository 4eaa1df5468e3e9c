"""Optical flow by torchvision's RAFT (Teed & Deng 2020), with its own weights or a file of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.features.weights_file import best_part, mismatch
from sora_eval.util.errors import WeightsError, line_of, words_of
from sora_eval.util.hub import problem_of, quietly
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
    from torchvision.models import optical_flow

    build = getattr(optical_flow, KINDS[kind])
    if not weights:
        try:
            return _pinned(kind, build)
        except Exception as error:  # a damaged file raises whatever its reader raises
            raise WeightsError(
                f"torchvision's weights of {KINDS[kind]} could not be loaded ({line_of(error)}). Without a network, give a "
                "file of them as the metric's 'flow_weights'"
            ) from error
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(f"flow_weights = {weights!r} does not exist; expected a state dict of torchvision's {KINDS[kind]}")
    module = build(weights=None)
    expected = module.state_dict()
    try:
        part = best_part(path, expected)
        if not part.fits(expected):
            raise mismatch(path, part, expected, KINDS[kind])
        module.load_state_dict(part.state)
    except Exception as error:  # sizes that differ where the numbers of values do not
        raise WeightsError(
            f"flow_weights = {weights!r} is no state dict of torchvision's {KINDS[kind]}: {words_of(error)}"
        ) from error
    return module.eval()


def _identity(kind: str, weights: str) -> str:
    _network(kind, weights)
    if weights:
        return sha256_file(Path(weights))[:12]
    # torchvision's file names end in the first eight digits of their sha256, and it checks them.
    return _url(kind).rsplit("-", 1)[-1].removesuffix(".pth")


def _url(kind: str) -> str:
    from torchvision.models import optical_flow

    weights = {"raft": "Raft_Large_Weights", "raft_small": "Raft_Small_Weights"}[kind]
    return str(getattr(optical_flow, weights).DEFAULT.url)


def _pinned(kind: str, build: Any) -> Any:
    """The network with torchvision's weights, from its cache or from its server, if that answers. Raises OSError."""
    import torch

    url = _url(kind)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not cached.is_file() and (problem := problem_of(url)):
        raise OSError(problem)
    with quietly():
        return build(weights="DEFAULT").eval()
