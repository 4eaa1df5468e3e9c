"""Linear scores on embeddings of pictures, from a file in the format of LAION's aesthetic predictors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sora_eval.features.weights_file import read_weights
from sora_eval.util.errors import Undefined, WeightsError

Floats = npt.NDArray[np.floating]

EXPECTED = "expected 'weight' (1, D) and 'bias' (1,) of one linear layer, or LAION's 'layers.0' to 'layers.7'"
LAYERS = (0, 2, 4, 6, 7)  # of the improved predictor: dropout lies between them, and no activation, so they are one layer


class ScoreHead:
    """w . x + b of unit vectors (n, D), in float64. `identity` is a hash of w and b. Raises WeightsError."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsError(f"head {str(path)!r} does not exist; {EXPECTED}, in safetensors or a state dict of torch")
        state = read_weights(path)
        names = [(f"layers.{i}.weight", f"layers.{i}.bias") for i in LAYERS] if "layers.0.weight" in state else []
        names = names or [("weight", "bias")]
        if {*state} != {n for pair in names for n in pair} or not all(isinstance(v, torch.Tensor) for v in state.values()):
            found = ", ".join(sorted(map(str, state))[:4]) or "nothing"
            raise WeightsError(f"head {str(path)!r} holds {found}; {EXPECTED}")
        weight, bias = (np.asarray(state[n].double().numpy()) for n in names[0])
        try:
            for pair in names[1:]:
                w, b = (np.asarray(state[n].double().numpy()) for n in pair)
                weight, bias = w @ weight, w @ bias + b
            weight, bias = weight.reshape(1, -1)[0], bias.reshape(1)
        except ValueError as error:
            raise WeightsError(f"head {str(path)!r} has layers that do not fit each other; {EXPECTED}") from error
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()) or state[names[-1][0]].shape[0] != 1:
            raise WeightsError(f"head {str(path)!r} gives no one finite score; {EXPECTED}")
        self.path, self.weight, self.bias = path, weight, float(bias[0])
        self.identity = "linear-" + hashlib.sha256(weight.tobytes() + bias.tobytes()).hexdigest()[:12]

    def __call__(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """Scores (n,). Raises Undefined for vectors of another length."""
        if vectors.shape[1] != len(self.weight):
            raise Undefined(
                f"the head {self.path.name} is for vectors of {len(self.weight)} numbers, the model gives {vectors.shape[1]}; "
                "choose the model that it was made for"
            )
        return np.asarray(vectors.astype(np.float64) @ self.weight + self.bias)
