"""What VBench's networks see of a clip, as VBench prepares it: each takes its published weights from a file.

Source: github.com/Vchitect/VBench, `vbench/*.py` and `vbench/utils.py` (Huang et al. 2024). Frames are resized as tensors
without antialiasing there, which no transform of another library does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sora_eval.features import raft
from sora_eval.features.device import device, in_batches
from sora_eval.features.graph_file import GraphFile
from sora_eval.features.image_text import load
from sora_eval.features.timm_network import TimmModel
from sora_eval.features.view import Array
from sora_eval.features.weights_file import read_weights
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, WeightsError
from sora_eval.util.weights import sha256_file

SIDE = 224  # px, of DINO's short side and CLIP's square
FRAMES = 32  # at a time, at most
DINO, CLIP_B, CLIP_L = "vit_base_patch16_224.dino", "ViT-B-32-quickgelu", "ViT-L-14-quickgelu"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
RAFT_LEAST = 128  # px; below it the last level of RAFT's pyramid is one pixel wide
RAFT_UPDATES = 20
LONG_SIDE = 512  # px, of the frames that MUSIQ sees
INTERPOLATOR = (
    "expected AMT-S in an ONNX or TorchScript file: two frames (1, 3, H, W) float32 in [0, 1], sides of multiples of 16, and, "
    "where it takes a third input, the time 0.5 as (1, 1, 1, 1); the frame between them (1, 3, H, W)"
)
RATER = (
    "expected MUSIQ (SPAQ) in an ONNX or TorchScript file: a frame (1, 3, H, W) float32 in [0, 1], long side at most 512; one "
    "number, 0 to 100"
)


class DinoFrames:
    """Unit vectors (T, D) of all frames by DINO ViT-B/16 (`dino_vitbase16_pretrain.pth`), short side 224, no crop."""

    cached = True

    def __init__(self, file: str) -> None:
        self.file = file
        _dino(file, device())
        self.signature = f"dino-vitb16|weights:{_hash(file)}|short{SIDE}-bilinear|frames:all"

    def __call__(self, clip: Clip) -> Array:
        model = _dino(self.file, device())
        return in_batches(lambda part: _unit(_tokens(model, _pixels(part, "bilinear", IMAGENET))), list(clip.frames), FRAMES)


@cache
def _dino(file: str, _device: str) -> Any:
    return TimmModel(f"timm:{DINO}:{_file(file, 'DINO')}").model


def _tokens(model: Any, pixels: Tensor) -> Tensor:
    """DINO's class tokens (n, D) of pixels (n, 3, H, W) of any size.

    Positions are resampled as DINO does (by a factor, 0.1 patches too large, bicubic); timm resamples to a size, antialiased.
    """
    patches = model.patch_embed.proj(pixels)  # (n, D, h, w)
    positions, grid = model.pos_embed, patches.shape[-2:]
    side = round((positions.shape[1] - 1) ** 0.5)
    if grid != (side, side):
        table = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        factors = [(n + 0.1) / side for n in grid]
        table = F.interpolate(table, scale_factor=factors, mode="bicubic")
        positions = torch.cat([positions[:, :1], table.flatten(2).transpose(1, 2)], dim=1)
    tokens = torch.cat([model.cls_token.expand(len(pixels), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
    tokens = tokens + positions
    for block in model.blocks:
        tokens = block(tokens)
    out: Tensor = model.norm(tokens)[:, 0]
    return out


class ClipFrames:
    """Unit vectors (T, D) of all frames by an image tower of OpenAI's CLIP, short side 224, centre.

    `name` is open_clip's. The file is OpenAI's own (`ViT-B-32.pt`, `ViT-L-14.pt`) or a state dict of open_clip.
    """

    cached = True

    def __init__(self, name: str, file: str) -> None:
        self.spec = f"{name}:{_file(file, 'CLIP')}"
        load(self.spec)
        self.signature = f"openai-clip:{name}|weights:{_hash(file)}|short{SIDE}-bicubic-centre|frames:all"

    def __call__(self, clip: Clip) -> Array:
        model: Any = load(self.spec)
        run = model.model.encode_image
        return in_batches(lambda part: _unit(run(_pixels(part, "bicubic", OPENAI, crop=True))), list(clip.frames), FRAMES)


class RaftMotion:
    """Array (pairs,), px: mean of the largest 5 % of RAFT's flow from every round(fps / 8)-th frame to the next, at the clip's
    size, padding included. The file is `raft-things.pth` or torchvision's `raft_large`."""

    cached = True

    def __init__(self, file: str) -> None:
        self.file = _file(file, "RAFT")
        raft.signature("raft", self.file)
        self.signature = f"raft-motion|weights:{_hash(file)}|updates:{RAFT_UPDATES}|native-size|every-round(fps/8)|top5%"

    def __call__(self, clip: Clip) -> Array:
        if min(clip.height, clip.width) < RAFT_LEAST:
            raise Undefined(f"{clip.width}x{clip.height} px; RAFT has no value for sides below {RAFT_LEAST} px")
        frames = clip.frames[:: max(1, round(clip.fps / 8))]
        out = np.empty(max(len(frames) - 1, 0))
        for i, pair in enumerate(zip(frames[:-1], frames[1:], strict=True)):
            flow = raft.padded_flow("raft", self.file, pair, RAFT_UPDATES)
            size = np.hypot(flow[..., 0], flow[..., 1]).ravel()
            number = int(0.05 * size.size)
            out[i] = np.partition(size, -number)[-number:].mean(dtype=np.float64)
        return out


class Interpolations:
    """Array ((T - 1) // 2,), 0..255: mean absolute difference of each odd frame and a network's interpolation of its
    neighbours, cut to bytes. VBench scales frames down by the memory of the GPU; here, as on a CPU there, none is."""

    cached = True

    def __init__(self, file: str) -> None:
        self.network = GraphFile(file, INTERPOLATOR, (2, 3))
        self.signature = f"interpolations|network:{self.network.hash}|scale:1|pad16"

    def __call__(self, clip: Clip) -> Array:
        if clip.num_frames < 3:
            raise Undefined(f"{clip.num_frames} frames; interpolation needs at least 3")
        half = np.full((1, 1, 1, 1), 0.5, np.float32)
        out = np.empty((clip.num_frames - 1) // 2)
        for i in range(len(out)):
            before, middle, after = clip.frames[2 * i : 2 * i + 3]
            video = torch.from_numpy(np.stack([before, after])).permute(0, 3, 1, 2).float() / 255
            padding = raft.centred_padding(clip.height, clip.width, 16)
            padded = F.pad(video, padding, mode="replicate").numpy()
            between = self.network(padded[:1], padded[1:], half)
            if between.shape != padded[:1].shape:
                raise Undefined(f"the interpolator gave {between.shape} for frames {padded[:1].shape}; {INTERPOLATOR}")
            left, _, top, _ = padding
            cut = between[0, :, top : top + clip.height, left : left + clip.width]
            pixels = np.clip(cut * 255, 0, 255).astype(np.uint8).transpose(1, 2, 0)
            out[i] = np.abs(pixels.astype(np.int16) - middle).mean()
        return out


class FrameRatings:
    """Array (T,): a network's rating of each frame, 0 to 100, long side brought to at most 512 px."""

    cached = True

    def __init__(self, file: str) -> None:
        self.network = GraphFile(file, RATER)
        self.signature = f"frame-ratings|network:{self.network.hash}|long{LONG_SIDE}-bilinear|frames:all"

    def __call__(self, clip: Clip) -> Array:
        scale = LONG_SIDE / max(clip.height, clip.width)
        out = np.empty(clip.num_frames)
        for i, frame in enumerate(clip.frames):
            pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
            if scale < 1:
                pixels = _resized(pixels, (int(scale * clip.height), int(scale * clip.width)), "bilinear")
            rating = self.network((pixels / 255).numpy())
            if rating.size != 1:
                raise Undefined(f"the rater gave {rating.shape} for a frame; {RATER}")
            out[i] = float(rating.reshape(()))
        return out


@cache
def aesthetic_head(file: str) -> tuple[npt.NDArray[np.float32], float, str]:
    """Weights (D,) and bias of LAION's linear head (`sa_0_4_vit_l_14_linear.pth`), and its file's hash. Raises WeightsError."""
    data = read_weights(Path(_file(file, "the aesthetic head")))
    shapes = {k: tuple(v.shape) for k, v in data.items() if isinstance(v, Tensor)}
    if set(shapes) != {"weight", "bias"} or len(shapes["weight"]) != 2 or shapes["weight"][0] != 1 or shapes["bias"] != (1,):
        raise WeightsError(f"{file} holds {len(shapes)} tensors; expected weight (1, 768) and bias (1,) of a linear layer")
    return data["weight"][0].float().numpy(), float(data["bias"]), _hash(file)


def _file(file: str, network: str) -> str:
    if not Path(file).is_file():
        raise WeightsError(f"{file!r} does not exist; expected the weights of {network}")
    return file


def _hash(file: str) -> str:
    return sha256_file(Path(file))[:12]


def _pixels(frames: Sequence[Any], mode: str, norm: Any, *, crop: bool = False) -> Tensor:
    """Standardised pixels (n, 3, h, w) of frames (H, W, 3), short side SIDE; on the device of the networks."""
    video = torch.from_numpy(np.stack(frames)).to(device()).permute(0, 3, 1, 2).float()
    height, width = video.shape[-2:]
    short = min(height, width)
    video = _resized(video, (int(SIDE * height / short), int(SIDE * width / short)), mode)
    if crop:
        top, left = (round((n - SIDE) / 2.0) for n in video.shape[-2:])
        video = video[..., top : top + SIDE, left : left + SIDE]
    mean, deviation = (torch.tensor(values, device=video.device).view(1, 3, 1, 1) for values in norm)
    return (video / 255 - mean) / deviation


def _resized(video: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    return video if size == tuple(video.shape[-2:]) else F.interpolate(video, size, mode=mode, align_corners=False)


def _unit(vectors: Tensor) -> npt.NDArray[np.float32]:
    return np.asarray(F.normalize(vectors.float(), dim=-1).detach().cpu().numpy())
