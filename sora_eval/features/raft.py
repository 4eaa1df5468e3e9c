"""Optical flow by torchvision's RAFT (Teed & Deng 2020), with its own weights or a file of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from sora_eval.features.device import device, evaluation, in_batches
from sora_eval.features.weights_file import best_part, mismatch
from sora_eval.util.errors import WeightsError, line_of, words_of
from sora_eval.util.hub import problem_of, quietly
from sora_eval.util.weights import sha256_file

SHORT_MIN = 128  # px; RAFT halves an eighth of the frame three times
MULTIPLE = 8
# Pairs at a time, at most. On a CPU several are no faster, and masks have thresholds that the last digit can pass.
PAIRS = {"cpu": 1, "cuda": 8}
KINDS = {"raft": "raft_large", "raft_small": "raft_small"}

Floats = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]


def signature(kind: str, weights: str = "") -> str:
    """The network's name and a hash of its weights. Raises WeightsError when they cannot be loaded."""
    return f"{KINDS[kind]}|weights:{_identity(kind, weights)}"


def flows(kind: str, weights: str, pairs: Sequence[tuple[Frame, Frame]]) -> Floats:
    """Flows (n, H, W, 2) in px from the first to the second frame of each pair, (H, W, 3) uint8 of one size; sides of at least
    128 px. Raises WeightsError."""
    return in_batches(partial(_flows, kind, weights), pairs, PAIRS.get(device().partition(":")[0], 1))


def _flows(kind: str, weights: str, pairs: Sequence[tuple[Frame, Frame]]) -> Floats:
    height, width = pairs[0][0].shape[:2]
    down, right = -height % MULTIPLE, -width % MULTIPLE
    with evaluation() as where:
        frames = torch.from_numpy(np.array(pairs)).to(where)  # (n, 2, H, W, 3)
        video = frames.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        # The last rows and columns repeat, as RAFT's own padding does.
        video = F.pad(video, (0, right, 0, down), mode="replicate")  # (2n, 3, H, W)
        last = _network(kind, weights, device())(video[::2], video[1::2])[-1]  # (n, 2, H, W), after 12 iterations
    return np.ascontiguousarray(last[:, :, :height, :width].permute(0, 2, 3, 1).float().cpu().numpy())


@cache
def _network(kind: str, weights: str, device: str) -> Any:
    from torchvision.models import optical_flow

    build = getattr(optical_flow, KINDS[kind])
    if not weights:
        try:
            return _pinned(kind, build).to(device)
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
    return module.eval().to(device)


def _identity(kind: str, weights: str) -> str:
    _network(kind, weights, device())
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
    url = _url(kind)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not cached.is_file() and (problem := problem_of(url)):
        raise OSError(problem)
    with quietly():
        return build(weights="DEFAULT").eval()
