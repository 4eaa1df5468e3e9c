"""The backends of the networks: ONNX Runtime, or torch with the weights of the same ONNX files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from reference_model.config import ModelConfig, load_config
from reference_model.errors import ReferenceModelError, is_out_of_memory
from reference_model.sampling.checkpoint import CONFIG, Checkpoint, CheckpointError, read_checkpoint, resolve

if TYPE_CHECKING:
    import onnxruntime as ort

HALF = ".half"  # suffix of the names of weights in half precision
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

Step = Callable[..., npt.NDArray[np.float32]]


class Backend(Protocol):
    """The networks of a checkpoint, numpy in and out. Shapes are in the docstrings of the networks' classes."""

    config: ModelConfig
    device: str
    threads: int

    @property
    def provider(self) -> str:
        """What computes: ONNX Runtime's execution provider, or torch eager or compile."""
        ...

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        """The outputs of one evaluation of one of `COMPONENTS`."""
        ...

    def bind(self, component: str, inputs: Sequence[npt.NDArray[Any]], moving: Sequence[int]) -> Step:
        """A component with one output, for many evaluations: its inputs move to the device once.

        The step takes new values of the `moving` inputs (indices; shapes stay) and returns a new array.
        """
        ...

    def synchronise(self) -> None:
        """Wait until the device is idle."""
        ...


def load_backend(checkpoint: str, kind: str, device: str = "cpu", threads: int = 0) -> Backend:
    """Open a checkpoint with `kind` onnx, torch or compile. 0 `threads` are one per core (of torch, its own default).

    Raises CheckpointError for a checkpoint that cannot be used, ReferenceModelError for an absent device or unknown kind.
    """
    folder = resolve(checkpoint)
    record, config = read_checkpoint(folder), load_config(folder / CONFIG)
    record.check(CONFIG, folder / CONFIG)
    split_device(device)
    if kind == "onnx":
        return OnnxBackend(record, config, device, threads)
    if kind in ("torch", "compile"):
        return TorchBackend(record, config, device, threads, compiled=kind == "compile")
    raise ReferenceModelError(f"backend {kind!r} is not known; expected 'onnx', 'torch' or 'compile'")


def split_device(device: str) -> tuple[str, int]:
    """Kind and number of a device. Raises ReferenceModelError for an unknown one.

    >>> split_device("cuda"), split_device("cuda:1")
    (('cuda', 0), ('cuda', 1))
    """
    kind, colon, number = device.partition(":")
    if kind not in PROVIDERS or (colon and (kind == "cpu" or not (number.isascii() and number.isdigit()))):
        raise ReferenceModelError(f"device {device!r} is not known; expected cpu, cuda or cuda:N")
    return kind, int(number or 0)


class OnnxBackend:
    """ONNX Runtime. An absent device raises ReferenceModelError, with no silent fallback. Sessions open at first use."""

    def __init__(self, record: Checkpoint, config: ModelConfig, device: str = "cpu", threads: int = 0) -> None:
        self.config, self.record, self.device = config, record, device
        self.threads = threads or os.cpu_count() or 1
        self.sessions: dict[str, ort.InferenceSession] = {}
        self._session("dit")

    @property
    def provider(self) -> str:
        return str(self.sessions["dit"].get_providers()[0])

    def _session(self, component: str) -> ort.InferenceSession:
        if component not in self.sessions:
            path = self.record.checked(component)
            self.sessions[component] = open_session(path, self.device, self.threads)
        return self.sessions[component]

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        session = self._session(component)
        with self._errors_of(component):
            out: list[Any] = session.run(None, dict(zip((i.name for i in session.get_inputs()), inputs, strict=True)))
        return out

    @contextmanager
    def _errors_of(self, component: str) -> Iterator[None]:
        """Raises CheckpointError for a network that does not take what the configuration makes of a request."""
        try:
            yield
        except Exception as error:  # onnxruntime raises its own classes, not exported
            file = self.record.files[component]
            reason = " ".join(str(error).split())
            if is_out_of_memory(error):
                raise CheckpointError(f"{file}: out of memory ({reason}); ask for smaller or fewer clips at once") from error
            raise CheckpointError(f"{file} fails: {reason}; is it of the {CONFIG} beside its checkpoint.json?") from error

    def bind(self, component: str, inputs: Sequence[npt.NDArray[Any]], moving: Sequence[int]) -> Step:
        from onnxruntime import OrtValue

        session = self._session(component)
        binding, output = session.io_binding(), session.get_outputs()[0].name
        # On the CPU an OrtValue is the array's own memory: moving inputs are copied, so that the caller's array stays.
        buffers = [np.array(a) if i in moving else np.ascontiguousarray(a) for i, a in enumerate(inputs)]
        kind, number = split_device(self.device)
        values = [OrtValue.ortvalue_from_numpy(a, kind, number) for a in buffers]
        for place, value in zip(session.get_inputs(), values, strict=True):
            binding.bind_ortvalue_input(place.name, value)
        binding.bind_output(output, kind, number)
        outputs: list[Any] = []

        def step(*changed: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            for index, value in zip(moving, changed, strict=True):
                values[index].update_inplace(np.ascontiguousarray(value))
            with self._errors_of(component):
                session.run_with_iobinding(binding)
            if not outputs:  # the first evaluation allocates the output; the others write into the same buffer
                outputs.append(binding.get_outputs()[0])
                binding.bind_ortvalue_output(output, outputs[0])
            return np.array(outputs[0].numpy())

        return step

    def synchronise(self) -> None:
        """Nothing to wait for: every evaluation ends with its output on the host."""


def open_session(path: Path, device: str, threads: int) -> ort.InferenceSession:
    """A session on one device, with an explicit number of threads (0: one per core). Raises ReferenceModelError."""
    import onnxruntime as ort

    kind, number = split_device(device)
    if PROVIDERS[kind] not in ort.get_available_providers():
        raise ReferenceModelError(
            f"device {device!r} was asked for, but this onnxruntime offers only {', '.join(ort.get_available_providers())}"
        )
    if kind != "cpu" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA's libraries as torch's packages bring them
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    # A denoising step is hundreds of small kernels: threads spin between them, since waking them for each costs more.
    # Spinning takes the cores from torch in the same process, so the two are timed in separate processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")  # but not after the call
    try:
        place: dict[str, Any] = {} if kind == "cpu" else {"device_id": number}
        session = ort.InferenceSession(str(path), options, providers=[(PROVIDERS[kind], place)])
    except Exception as error:  # onnxruntime raises its own classes, not exported
        raise _not_opened(path, error) from error
    if PROVIDERS[kind] not in session.get_providers():
        raise ReferenceModelError(f"device {device!r} was asked for, but {path.name} runs on {session.get_providers()}")
    return session


class TorchBackend:
    """torch with the same weights, eager or `compiled`: the reference that ONNX is compared against."""

    def __init__(
        self, record: Checkpoint, config: ModelConfig, device: str = "cpu", threads: int = 0, compiled: bool = False
    ) -> None:
        import torch

        from reference_model.networks.components import build

        kind, number = split_device(device)
        if kind == "cuda" and number >= (there := torch.cuda.device_count() if torch.cuda.is_available() else 0):
            raise ReferenceModelError(
                f"device {device!r} was asked for, but torch finds {there or 'no'} GPU{'s' * (there > 1)}"
            )
        if threads:
            torch.set_num_threads(threads)
        if compiled and device == "cpu" and not any(map(shutil.which, ("g++", "clang++", os.environ.get("CXX", "c++")))):
            raise ReferenceModelError("backend 'compile' needs a C++ compiler; install g++ or use backend=torch")
        self.config, self.device, self.torch, self.threads = config, device, torch, torch.get_num_threads()
        self.provider = "torch compile" if compiled else "torch eager"
        weights = {name: weights_of(record.checked(name)) for name in record.files}
        weights["vae_encoder"] = weights["vae_decoder"] = {**weights["vae_encoder"], **weights["vae_decoder"]}
        try:
            with torch.device("meta"):  # shapes alone: a config may ask for more than any memory
                shapes = {name: module.state_dict() for name, module in build(config).items()}
        except Exception as error:  # sizes that do not go together
            raise CheckpointError(f"{CONFIG} of {record.folder} makes no network: {error}") from error
        for name, state in shapes.items():
            _check_weights(record.files[name], state, weights[name])
        self.modules = build(config)
        for name, module in self.modules.items():
            module.load_state_dict({k: torch.from_numpy(weights[name][k]) for k in module.state_dict()})
            module.eval().to(device)
            if compiled and name in ("dit", "vae_decoder"):
                module.compile()

    def run(self, component: str, *inputs: npt.NDArray[Any]) -> list[Any]:
        with self.torch.inference_mode():
            out = self.modules[component](*(self.torch.from_numpy(i).to(self.device) for i in inputs))
        return [o.cpu().numpy() for o in (out if isinstance(out, tuple) else (out,))]

    def bind(self, component: str, inputs: Sequence[npt.NDArray[Any]], moving: Sequence[int]) -> Step:
        values = [self.torch.from_numpy(i).to(self.device) for i in inputs]

        def step(*changed: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            for index, value in zip(moving, changed, strict=True):
                values[index] = self.torch.from_numpy(value).to(self.device)
            with self.torch.inference_mode():
                out: npt.NDArray[np.float32] = self.modules[component](*values).cpu().numpy()
            return out

        return step

    def synchronise(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()


def _not_opened(path: Path, error: Exception) -> CheckpointError:
    if is_out_of_memory(error):
        return CheckpointError(f"{path}: out of memory ({error})")
    return CheckpointError(f"{path} cannot be opened as ONNX ({error}); export it again or restore it")


def _check_weights(path: Path, expected: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raises CheckpointError unless a file holds all weights of a network, in their shapes."""
    missing = sorted(set(expected) - set(weights))
    if missing:
        raise CheckpointError(
            f"{path} does not hold the weights {', '.join(missing[:3])}, ...; a quantized checkpoint runs on backend 'onnx' "
            "only"
        )
    for name, tensor in expected.items():
        if tuple(tensor.shape) != weights[name].shape:
            raise CheckpointError(f"{path}: {name} is {weights[name].shape}; its {CONFIG} expects {tuple(tensor.shape)}")


def weights_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The weights of an ONNX file by the names of the torch modules, as writable arrays; half precision becomes fp32.

    Raises CheckpointError for a file that is none.
    """
    import onnx
    from onnx import numpy_helper

    out = {}
    try:
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            value = numpy_helper.to_array(tensor)
            half = tensor.name.endswith(HALF)
            out[tensor.name.removesuffix(HALF)] = value.astype(np.float32) if half else value.copy()
    except Exception as error:  # protobuf and numpy raise their own for a damaged file
        raise _not_opened(path, error) from error
    return out
