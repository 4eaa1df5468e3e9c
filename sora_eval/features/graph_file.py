"""A network with its own code in a file, ONNX or TorchScript: whatever takes the stated inputs and gives the stated output."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sora_eval.features.device import device, evaluation, open_session
from sora_eval.util.errors import DeviceError, Undefined, WeightsError, line_of
from sora_eval.util.weights import sha256_file

if TYPE_CHECKING:
    import onnxruntime as ort

Floats = npt.NDArray[np.float32]


def onnx_network(path: Path, what: str, contract: str, fits: Callable[[Sequence[Any]], bool]) -> ort.InferenceSession:
    """The session of an ONNX file of one float32 input, opened once per process and device; `fits` judges the input's shape, in
    which a number that is left open is None. Raises WeightsError for another file, which names `what` it should be and the
    `contract`."""
    if not path.is_file():
        raise WeightsError(f"{what} {str(path)!r} does not exist; {contract}")
    try:
        session = _session(str(path), device())
    except DeviceError:
        raise
    except Exception as error:  # damaged files raise whatever ONNX Runtime raises
        raise WeightsError(f"{what} {str(path)!r} cannot be read as ONNX: {line_of(error, -1)}; {contract}") from error
    inputs = session.get_inputs()
    shapes = [[n if isinstance(n, int) else None for n in i.shape] for i in inputs]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not fits(shapes[0]):
        given = ", ".join(f"{i.name}: {i.type}{i.shape}" for i in inputs) or "no input"
        raise WeightsError(f"{what} {str(path)!r} takes {given}; {contract}")
    return session


@cache
def _session(path: str, _device: str) -> ort.InferenceSession:
    return open_session(Path(path))


class GraphFile:
    """A network of `contract`, in words; opened once per process and device. `hash` is of the file, 12 hex digits.

    It is given float32 arrays by position, as many as it takes; `inputs` is how many that may be. Raises WeightsError for a
    file that is none or takes another number.
    """

    def __init__(self, path: str, contract: str, inputs: tuple[int, ...] = (1,)) -> None:
        self.path, self.contract, self.inputs = path, contract, inputs
        self._network()
        self.hash = sha256_file(Path(path))[:12]

    def __call__(self, *values: Floats) -> Floats:
        """The first output, float32. Raises Undefined where it fails on these inputs or gives NaN."""
        run, taken = self._network()
        try:
            out = np.asarray(run(*values[:taken]), np.float32)
        except Exception as error:  # what a foreign graph raises is its own
            shapes = " and ".join("x".join(map(str, v.shape)) for v in values[:taken])
            raise Undefined(f"{Path(self.path).name} fails on {shapes}: {line_of(error, -1)}; {self.contract}") from error
        if not np.isfinite(out).all():
            raise Undefined(f"{Path(self.path).name} gave NaN or infinite values")
        return out

    def _network(self) -> tuple[Any, int]:
        opened = _open(self.path, device())
        if isinstance(opened, WeightsError):
            raise WeightsError(f"{opened}; {self.contract}")
        run, taken = opened
        if taken is not None and taken not in self.inputs:
            raise WeightsError(f"network {self.path!r} takes {taken} inputs; {self.contract}")
        return run, max(self.inputs) if taken is None else taken


@cache
def _open(path: str, where: str) -> tuple[Any, int | None] | WeightsError:
    """The network as a function, and how many inputs it takes, None where its file does not say."""
    if not Path(path).is_file():
        return WeightsError(f"network {path!r} does not exist")
    try:
        if path.endswith(".onnx"):
            session = _session(path, where)
            names = [i.name for i in session.get_inputs()]
            return lambda *values: session.run(None, dict(zip(names, values, strict=True)))[0], len(names)
        return _torchscript(path, where)
    except DeviceError:
        raise
    except Exception as error:  # damaged files raise whatever their reader raises
        kind = "ONNX" if path.endswith(".onnx") else "TorchScript (files that end in .onnx are read as ONNX)"
        return WeightsError(f"network {path!r} cannot be read as {kind}: {line_of(error, -1)}")


def load_torchscript(path: Path, where: str) -> Any:
    """The module of a TorchScript file on a device, for evaluation. Raises what torch raises."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript's end is announced; its files stay
        return torch.jit.load(str(path), map_location=where).eval()  # type: ignore[no-untyped-call]


def _torchscript(path: str, where: str) -> tuple[Any, int | None]:
    import torch

    module = load_torchscript(Path(path), where)

    def run(*values: Floats) -> Any:
        with evaluation() as place:
            return module(*(torch.from_numpy(np.ascontiguousarray(v)).to(place) for v in values)).float().cpu().numpy()

    return run, len(module.forward.schema.arguments) - 1
