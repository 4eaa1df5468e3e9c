"""Any network that scores pictures: an ONNX file, named in the signature by its hash.

Contract: input (N, 3, H, W) float32 in [0, 1], RGB; output (N,) or (N, 1), one score per picture. Where the file fixes H and W,
frames are resized to them with Pillow's bicubic filter, without regard to their aspect; else they come as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from sora_eval.features.device import device, in_batches, run_session
from sora_eval.features.graph_file import onnx_network
from sora_eval.features.view import Array
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, line_of
from sora_eval.util.weights import sha256_file

if TYPE_CHECKING:
    import onnxruntime as ort

AT_A_TIME = 8
CONTRACT = "expected an ONNX network from (N or 1, 3, H, W) float32 in [0, 1] to one score per picture"


def _fits(shape: Sequence[int | None]) -> bool:
    """Whether pictures of some batch, three channels, and sides that are both given or both open go in."""
    return len(shape) == 4 and shape[0] in (None, 1) and shape[1] in (None, 3) and (shape[2] is None) == (shape[3] is None)


def _session(path: str) -> ort.InferenceSession:
    return onnx_network(Path(path), "network", CONTRACT, _fits)


class FrameScores:
    """Scores (n,) of at most `frames` frames, evenly spaced from the first to the last. Raises WeightsError for a file
    that is no such network."""

    cached = True

    def __init__(self, path: str, frames: int) -> None:
        self.path, self.frames = path, frames
        *_, height, width = _session(path).get_inputs()[0].shape
        self.size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
        size = f"{width}x{height}-bicubic" if self.size else "as-is"
        self.signature = f"network:file|weights:{sha256_file(Path(path))[:12]}|rgb-0-1|size:{size}|frames:{frames}-even"

    def __call__(self, clip: Clip) -> Array:
        """Raises Undefined for a size that the network does not take, or scores that are none."""
        session = _session(self.path)
        places = np.unique(np.linspace(0, clip.num_frames - 1, min(self.frames, clip.num_frames)).round().astype(int))
        pictures = [self._pixels(clip.frames[i]) for i in places]
        most = 1 if isinstance(session.get_inputs()[0].shape[0], int) else AT_A_TIME

        def run(part: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
            batch = torch.from_numpy(np.stack(part)).to(device())
            out = run_session(session, batch)
            if out.size != len(batch):
                raise Undefined(f"the network {Path(self.path).name} gave {out.shape} for {len(batch)} pictures; {CONTRACT}")
            return np.asarray(out, np.float32).reshape(len(batch))

        try:
            scores = in_batches(run, pictures, most)
        except Undefined:
            raise
        except Exception as error:  # what a foreign graph raises is its own
            size = f"{clip.width}x{clip.height}"
            raise Undefined(f"the network {Path(self.path).name} takes no picture of {size}: {line_of(error, -1)}") from error
        if not np.isfinite(scores).all():
            raise Undefined(f"the network {Path(self.path).name} gave NaN or infinite scores")
        return scores

    def _pixels(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(3, H, W) in [0, 1]."""
        if self.size is not None and self.size != (frame.shape[1], frame.shape[0]):
            frame = np.asarray(Image.fromarray(frame).resize(self.size, Image.Resampling.BICUBIC))
        return np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32) / np.float32(255)
