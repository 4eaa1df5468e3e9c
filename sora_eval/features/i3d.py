"""I3D Kinetics-400 (Carreira & Zisserman 2017), the network of FVD (Unterthiner et al. 2018), in ONNX Runtime.

The feature is the 400 averaged logits, before the softmax. The torch module is the source of the export and its reference;
scoring runs the exported graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sora_eval.features.device import clips_at_a_time, device, evaluation, in_batches, open_session, placed, run_session
from sora_eval.features.fvd_protocols import BATCH_NORM_EPS, CLIP_FRAMES, FVD_PROTOCOLS, SIDE, FVDProtocol
from sora_eval.features.video_network import NetworkFile
from sora_eval.features.view import Array
from sora_eval.records.clip import Clip
from sora_eval.util.cache import derived_file
from sora_eval.util.errors import RefusedError, Undefined
from sora_eval.util.stages import stage
from sora_eval.util.weights import I3D_SHA256, cache_folder, load_i3d

Floats = npt.NDArray[np.float32]

MIN_FRAMES = 10  # fewer leave nothing for the average pool over two steps of time
FRAME_LIMIT = 300  # conv 1 alone needs 3.2 MB per frame


def build_i3d(arrays: Mapping[str, npt.NDArray[np.float32]], eps: float = BATCH_NORM_EPS) -> Any:
    """The network as a torch module, T >= 10: (N, 3, T, 224, 224) in [-1, 1] to logits (N, 400).

    `arrays` are the weights, `eps` is added to the variances of batch norm.
    """

    def same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
        """TensorFlow's SAME padding, the extra one at the end. Zeros serve the max-pools too: inputs are >= 0 there."""
        pads: list[Any] = []
        for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
            total = ((size + s - 1) // s - 1) * s + k - size
            pads += [total // 2, total - total // 2]
        return F.pad(x, pads)

    class Unit(nn.Module):
        """Convolution with its batch norm folded in, in float64, then ReLU."""

        def __init__(self, name: str, stride: int = 1) -> None:
            super().__init__()
            kernel = arrays[f"params/{name}/Conv_0/kernel"].astype(np.float64)  # (T, H, W, in, out)
            norm = f"{name}/BatchNorm_0"
            scale = 1.0 / np.sqrt(arrays[f"batch_stats/{norm}/var"].astype(np.float64).ravel() + eps)
            bias = arrays[f"params/{norm}/bias"].ravel() - arrays[f"batch_stats/{norm}/mean"].ravel() * scale
            self.kernel: tuple[int, int, int] = kernel.shape[:3]
            self.stride = (stride, stride, stride)
            self.conv = nn.Conv3d(kernel.shape[3], kernel.shape[4], self.kernel, self.stride)
            with torch.no_grad():
                self.conv.weight.copy_(torch.from_numpy((kernel * scale).transpose(4, 3, 0, 1, 2)))
                self.conv.bias.copy_(torch.from_numpy(bias))  # type: ignore[union-attr]
            if stride == 1:  # SAME is symmetric then, and the convolution can pad by itself
                self.conv.padding = tuple(k // 2 for k in self.kernel)
                self.conv._reversed_padding_repeated_twice = [k // 2 for k in reversed(self.kernel) for _ in range(2)]

        def forward(self, x: Tensor) -> Tensor:
            x = same(x, self.kernel, self.stride) if self.stride[0] > 1 else x
            return F.relu(self.conv(x))

    class Mixed(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()

            def units(branch: int) -> nn.Sequential:
                prefix = f"params/{name}/Branch_{branch}/"
                names = sorted({k.split("/")[3] for k in arrays if k.startswith(prefix)})
                return nn.Sequential(*(Unit(f"{name}/Branch_{branch}/{unit}") for unit in names))

            self.branches = nn.ModuleList(units(b) for b in range(4))

        def forward(self, x: Tensor) -> Tensor:
            pooled = F.max_pool3d(x, 3, 1, 1)
            return torch.cat([b(pooled if i == 3 else x) for i, b in enumerate(self.branches)], 1)

    class I3D(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = Unit("Conv3d_1a_7x7", 2)
            self.conv2b, self.conv2c = Unit("Conv3d_2b_1x1"), Unit("Conv3d_2c_3x3")
            self.mixed = nn.ModuleDict({n: Mixed(f"Mixed_{n}") for n in ["3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"]})
            head = arrays["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"]
            self.head = nn.Conv3d(head.shape[3], head.shape[4], 1)
            with torch.no_grad():
                self.head.weight.copy_(torch.from_numpy(head.transpose(4, 3, 0, 1, 2).copy()))
                self.head.bias.copy_(  # type: ignore[union-attr]
                    torch.from_numpy(arrays["params/Logits/Conv3d_0c_1x1/Conv_0/bias"].ravel().copy())
                )

        @staticmethod
        def pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
            return F.max_pool3d(same(x, kernel, stride), kernel, stride)

        def forward(self, video: Tensor) -> Tensor:
            x = self.pool(self.conv1(video), (1, 3, 3), (1, 2, 2))
            x = self.pool(self.conv2c(self.conv2b(x)), (1, 3, 3), (1, 2, 2))
            for name, unit in self.mixed.items():
                x = unit(x)
                if name == "3c":
                    x = self.pool(x, (3, 3, 3), (2, 2, 2))
                elif name == "4f":
                    x = self.pool(x, (2, 2, 2), (2, 2, 2))
            x = F.avg_pool3d(x, (2, 7, 7), 1)  # (N, 1024, T/8 - 1, 1, 1)
            logits: Tensor = self.head(x).mean((2, 3, 4))
            return logits

    return I3D().eval()


def onnx_path(eps: float = BATCH_NORM_EPS) -> Path:
    """The path of the exported graph in the cache; it is exported from the pinned weights where it is missing or damaged."""
    name = f"i3d-kinetics-400-{I3D_SHA256[:12]}{'' if eps == BATCH_NORM_EPS else f'-eps{eps:g}'}.onnx"
    return derived_file(cache_folder() / "weights" / name, lambda path: _export(path, eps))


def _export(path: Path, eps: float) -> None:
    module = build_i3d(load_i3d(), eps)
    dims = {"video": {0: torch.export.Dim("clips"), 2: torch.export.Dim("frames", min=MIN_FRAMES, max=4096)}}
    # Traced with 30 frames: 10 to 17 leave a single step after the average pool, which would be specialised.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, 3, 30, SIDE, SIDE),),
            str(path),
            dynamo=True,
            opset_version=20,
            input_names=["video"],
            output_names=["logits"],
            dynamic_shapes=dims,
            external_data=False,
            verbose=False,
        )


def session(eps: float = BATCH_NORM_EPS) -> ort.InferenceSession:
    """I3D in ONNX Runtime on the device of the networks; opened once per process. Raises DeviceError."""
    return _session(eps, device())


@cache
def _session(eps: float, _device: str) -> ort.InferenceSession:
    return open_session(onnx_path(eps))


def logits(video: Tensor | Floats, eps: float = BATCH_NORM_EPS) -> Floats:
    """Averaged logits (N, 400) of videos (N, 3, T >= 10, 224, 224) in [-1, 1]."""
    with evaluation() as where:
        return run_session(session(eps), torch.as_tensor(video).to(where))


@cache
def _bf16_module(eps: float, device: str) -> Any:
    return build_i3d(load_i3d(), eps).to(device, memory_format=torch.channels_last_3d)


def logits_bf16(video: Tensor | Floats, eps: float = BATCH_NORM_EPS) -> Floats:
    """`logits` under torch's bf16 autocast: faster, with errors of about 0.2 on logits of 8, so another metric."""
    with evaluation() as where, torch.autocast(where.type, torch.bfloat16):
        tensor = torch.as_tensor(video).to(where, memory_format=torch.channels_last_3d)
        out = _bf16_module(eps, device())(tensor)
    return np.asarray(out.float().cpu().numpy())


PRECISIONS: dict[str, Callable[[Tensor, float], Floats]] = {"fp32": logits, "bf16": logits_bf16}


class VideoFeatures:
    """The features (D,) of a set metric: a protocol of `features.fvd_protocols`, then I3D (D = 400) or a network from a file.

    `network` is a path (its contract is in `features.video_network`), or empty for I3D. Raises WeightsError or RefusedError.
    """

    cached = True

    def __init__(self, protocol: str = "original", precision: str = "fp32", network: str = "") -> None:
        self._name, self._precision = protocol, precision
        self._network = NetworkFile(network) if network else None
        if self._network and precision != "fp32":
            raise RefusedError(
                f"precision = {precision!r} is I3D's; a network from a file runs as it was exported, leave it out"
            )
        eps = self.protocol.batch_norm_eps
        i3d = f"i3d-k400-logits|weights:{I3D_SHA256[:12]}|{precision}" + (f"|eps:{eps:g}" if eps != BATCH_NORM_EPS else "")
        source = self._network.signature if self._network else i3d
        self.signature = f"{source}|protocol:{protocol}{self.protocol.window}"

    @property
    def protocol(self) -> FVDProtocol:
        """The protocol by its name."""
        return FVD_PROTOCOLS[self._name]

    def __call__(self, clip: Clip) -> Array:
        vector: Array = self.of_prepared([self.prepare(clip)])[0]
        return vector

    def prepare(self, clip: Clip) -> Tensor:
        """The network's input (1, 3, T, 224, 224) on its device. Raises Undefined."""
        if self.protocol.cuts and clip.num_frames != CLIP_FRAMES:  # `metrics.distribution` cuts longer clips
            raise Undefined(f"{clip.num_frames} frames; this protocol takes {CLIP_FRAMES}")
        if clip.num_frames > FRAME_LIMIT and not self.protocol.cuts:
            raise Undefined(f"{clip.num_frames} frames; a video network is given at most {FRAME_LIMIT}")
        if self._network is None and clip.num_frames < MIN_FRAMES:
            raise Undefined(f"{clip.num_frames} frames; I3D takes {MIN_FRAMES} to {FRAME_LIMIT}")
        with stage("resize"), placed() as where:
            return self.protocol.video(clip.frames, where)

    def of_prepared(self, videos: Sequence[Tensor]) -> Array:
        """Vectors (n, D) of inputs of one size, several at a time where memory allows. Raises Undefined."""
        return in_batches(self._run, videos, clips_at_a_time())

    def _run(self, videos: Sequence[Tensor]) -> Array:
        video = torch.cat(list(videos))
        if self._network is not None:
            return self._network(video)
        vectors: Array = PRECISIONS[self._precision](video, self.protocol.batch_norm_eps)
        return vectors
