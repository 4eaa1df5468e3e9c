"""Optical flow by torchvision's RAFT (Teed & Deng 2020), with its own weights or a file of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
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


def padded_flow(kind: str, weights: str, pair: tuple[Frame, Frame], updates: int) -> Floats:
    """Flow (H', W', 2) in px of one pair after so many updates, of frames padded on both sides as RAFT's authors do."""
    with evaluation() as where:
        frames = torch.from_numpy(np.array(pair)).to(where).permute(0, 3, 1, 2).float() / 127.5 - 1.0  # (2, 3, H, W)
        video = F.pad(frames, centred_padding(frames.shape[-2], frames.shape[-1], MULTIPLE), mode="replicate")
        last = _network(kind, weights, device())(video[:1], video[1:], num_flow_updates=updates)[-1]  # (1, 2, H', W')
    return np.ascontiguousarray(last[0].permute(1, 2, 0).float().cpu().numpy())


def centred_padding(height: int, width: int, multiple: int) -> list[int]:
    """Left, right, top and bottom px that bring a frame to multiples.

    >>> centred_padding(129, 136, 8)
    [0, 0, 3, 4]
    """
    down, right = -height % multiple, -width % multiple
    return [right // 2, right - right // 2, down // 2, down - down // 2]


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
        if not part.fits(expected) and of_authors(part.state).keys() == expected.keys():
            part = replace(part, prefix="", state=of_authors(part.state))
        if not part.fits(expected):
            raise mismatch(path, part, expected, KINDS[kind])
        module.load_state_dict(part.state)
    except Exception as error:  # sizes that differ where the numbers of values do not
        raise WeightsError(
            f"flow_weights = {weights!r} is no state dict of torchvision's {KINDS[kind]}: {words_of(error)}"
        ) from error
    return module.eval().to(device)


# Names of RAFT's authors (`raft-things.pth`, github.com/princeton-vl/RAFT), and torchvision's, whose network is the same.
_NAMES = {
    r"^module\.": "",
    r"^fnet\.": "feature_encoder.",
    r"^cnet\.": "context_encoder.",
    r"^(\w+_encoder)\.conv1\.": r"\1.convnormrelu.0.",
    r"^(\w+_encoder)\.norm1\.": r"\1.convnormrelu.1.",
    r"^(\w+_encoder)\.conv2\.": r"\1.conv.",
    r"^(\w+_encoder\.layer\d\.\d)\.conv(\d)\.": r"\1.convnormrelu\2.0.",
    r"^(\w+_encoder\.layer\d\.\d)\.norm([12])\.": r"\1.convnormrelu\2.1.",
    r"^update_block\.encoder\.convc(\d)": r"update_block.motion_encoder.convcorr\1.0",
    r"^update_block\.encoder\.convf(\d)": r"update_block.motion_encoder.convflow\1.0",
    r"^update_block\.encoder\.conv\.": "update_block.motion_encoder.conv.0.",
    r"^update_block\.gru\.conv([zrq])(\d)": r"update_block.recurrent_block.convgru\2.conv\1",
    r"^update_block\.mask\.0": "mask_predictor.convrelu.0",
    r"^update_block\.mask\.2": "mask_predictor.conv",
}


def of_authors(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of RAFT's authors under torchvision's names; other names stay."""
    named = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in _NAMES.items():
            name = re.sub(pattern, replacement, name)
        if ".norm3." not in name:  # the norm of a shortcut, which is there twice
            named[name] = value
    return named


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
