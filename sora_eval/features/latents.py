"""The latent of a clip under a video encoder in ONNX: that of the reference VAE, or any from a file.

Contract: one input (1, 3, T, H, W) float32 in [-1, 1], and the latent as the first output, of any shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sora_eval.features.device import evaluation, run_session
from sora_eval.features.graph_file import onnx_network
from sora_eval.features.view import Array
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, line_of
from sora_eval.util.weights import sha256_file, world_encoder

if TYPE_CHECKING:
    import onnxruntime as ort

WORLD = "world"
SIDE, STRIDE = 8, 4  # what the reference VAE takes: sides of 8 n px, 1 + 4 n frames
CONTRACT = "expected an ONNX file with one input (1, 3, T, H, W) float32 in [-1, 1], whose first output is the latent"


class Latents:
    """The latent (D,) of one clip, flattened. `encoder` is `world`, the shipped VAE of the reference model, or an ONNX file.

    The reference VAE sees the clip cut to sides of 8 n px and 1 + 4 n frames, a file the clip as it is. Raises WeightsError.
    """

    cached = True

    def __init__(self, encoder: str = WORLD) -> None:
        self._encoder = encoder
        self._open()
        kind = "world-vae|cut:8px-1+4n" if encoder == WORLD else "encoder:file"
        self.signature = f"{kind}|weights:{sha256_file(self._path())[:12]}|fp32"

    def _path(self) -> Path:
        return world_encoder() if self._encoder == WORLD else Path(self._encoder)

    def _open(self) -> ort.InferenceSession:
        return onnx_network(self._path(), "encoder", CONTRACT, lambda shape: len(shape) == 5)

    def __call__(self, clip: Clip) -> Array:
        import torch

        frames = clip.frames
        if self._encoder == WORLD:
            height, width = (side // SIDE * SIDE for side in (clip.height, clip.width))
            if not height or not width:
                raise Undefined(f"{clip.width}x{clip.height} px; the reference VAE needs at least {SIDE}x{SIDE}")
            frames = frames[: (clip.num_frames - 1) // STRIDE * STRIDE + 1, :height, :width]
        video = np.ascontiguousarray(frames.transpose(3, 0, 1, 2)[None], np.float32) / np.float32(127.5) - np.float32(1)
        session = self._open()
        try:
            with evaluation() as where:
                latent = run_session(session, torch.as_tensor(video).to(where))
        except Exception as error:  # what a foreign graph raises is its own
            shape = "x".join(map(str, (clip.width, clip.height, clip.num_frames)))
            raise Undefined(f"the encoder takes no clip of {shape}: {line_of(error, -1)}") from error
        if not np.isfinite(latent).all():
            raise Undefined("the encoder gave NaN or infinite values")
        return np.asarray(latent, np.float32).ravel()
