"""Files of a network's weights: read without executing what is pickled in them, taken out of what trainers wrap around them,
and refused where they are another network's."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sora_eval.util.errors import WeightsError, line_of
from sora_eval.util.pickles import weights_only

State = dict[str, torch.Tensor]
MOST_DEPTH = 3  # tables around the weights
EVALUATED = ("teacher", "ema")  # of two sets of weights in one file, the one that its trainer evaluates
MOST_NAMED = 2  # tensors per fault of a message


@dataclass(frozen=True)
class Part:
    """Weights inside a file: the keys that lead to them, the beginning of their names, and the weights without it."""

    keys: tuple[str, ...]
    prefix: str
    state: State

    @property
    def place(self) -> str:
        """`teacher.backbone`; '' where the file holds the weights alone."""
        return ".".join((*self.keys, self.prefix)).strip(".")

    def fits(self, expected: Mapping[str, torch.Tensor]) -> bool:
        """Whether it holds the expected tensors, each of its shape, and no other."""
        return self.state.keys() == expected.keys() and self.in_common(expected) == len(expected)

    def in_common(self, expected: Mapping[str, torch.Tensor]) -> int:
        """How many of the expected tensors it holds, of that many numbers."""
        return sum(k in self.state and self.state[k].numel() == v.numel() for k, v in expected.items())


def read_weights(path: Path) -> dict[str, Any]:
    """The table of a file: safetensors, or a pickle of torch with tensors and plain values. Raises WeightsError."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        if is_torchscript(path):
            return _of_torchscript(path)
        with weights_only():
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its reader raises
        raise WeightsError(
            f"{path} cannot be read: {line_of(error)}; expected .safetensors, or a state dict of torch"
        ) from error
    if not isinstance(data, dict):
        raise WeightsError(f"{path} holds {type(data).__name__}; expected a table of tensors (a state dict)")
    return data


def is_torchscript(path: Path) -> bool:
    """Whether a file holds a network with its code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _of_torchscript(path: Path) -> dict[str, Any]:
    """The parameters and buffers of a network saved with its code, none of which is run; OpenAI's CLIP also keeps its sizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript's end is announced; its files stay
        module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return {k: v for k, v in module.state_dict().items() if k not in ("input_resolution", "context_length", "vocab_size")}


def best_part(path: Path, expected: Mapping[str, torch.Tensor]) -> Part:
    """The weights in a file that have most in common with the `expected` tensors, whatever tables and prefixes are around them;
    of equal ones, those that are evaluated (`teacher`, `ema`).

    Raises WeightsError for a file that cannot be read or holds none, and for several equally good ones.
    """
    parts = list(_parts(read_weights(path), expected))
    if not parts:
        raise WeightsError(f"{path} holds no tensors; expected a state dict of torch")
    most = max(part.in_common(expected) for part in parts)
    best = [part for part in parts if part.in_common(expected) == most]
    exact = [part for part in best if part.fits(expected)] or best
    evaluated = [part for part in exact if any(word in key for key in part.keys for word in EVALUATED)] or exact
    if most and len(evaluated) > 1:
        places = " and ".join(part.place or "its top" for part in evaluated)
        raise WeightsError(f"{path} holds weights of the network more than once, at {places}; save those to use alone")
    return evaluated[0]


def _parts(data: Mapping[str, Any], expected: Mapping[str, torch.Tensor], keys: tuple[str, ...] = ()) -> Iterator[Part]:
    state = {str(key): value for key, value in data.items() if isinstance(value, torch.Tensor)}
    if state:
        yield Part(keys, "", state)
        for prefix in sorted(_prefixes(state, expected)):
            yield Part(keys, prefix, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    if len(keys) < MOST_DEPTH:
        for key, value in data.items():
            if isinstance(value, Mapping):
                yield from _parts(value, expected, (*keys, str(key)))


def _prefixes(state: State, expected: Mapping[str, torch.Tensor]) -> set[str]:
    """What stands before the first of the expected names."""
    first = next(iter(expected), "")
    return {name.removesuffix(first) for name in state if name.endswith(f".{first}")}


def check_shapes(path: Path, part: Part, expected: Mapping[str, torch.Tensor], network: str) -> None:
    """Raises WeightsError where a tensor of the file has another number of values than that of the network: a library would
    interpolate it, or leave it random."""
    if any(k in part.state and part.state[k].numel() != v.numel() for k, v in expected.items()):
        raise mismatch(path, part, expected, network)


def mismatch(path: Path, part: Part, expected: Mapping[str, torch.Tensor], network: str) -> WeightsError:
    """The error of a file whose weights are not the network's: how many are missing, of another shape, and not known."""
    state = part.state
    faults = {
        "missing": [f"{k} {_shape(v)}" for k, v in expected.items() if k not in state],
        "of another shape": [
            f"{k} {_shape(state[k])}, expected {_shape(v)}"
            for k, v in expected.items()
            if k in state and state[k].shape != v.shape
        ],
        "not of it": [f"{k} {_shape(v)}" for k, v in state.items() if k not in expected],
    }
    counts = "; ".join(f"{len(names)} {fault} ({_some(names)})" for fault, names in faults.items() if names)
    place = f" at {part.place}" if part.place else ""
    return WeightsError(
        f"{path} does not hold the weights of {network}: found {len(state)} tensors{place}, expected {len(expected)}; {counts}"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def state_hash(model: torch.nn.Module) -> str:
    """sha256 of the names and values of a network's tensors, 12 hex digits: equal wherever the weights came from."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
