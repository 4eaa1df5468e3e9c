"""Where the networks of metrics run: one device per process, chosen before a network is opened.

Code that runs a network asks here for its torch device or its ONNX Runtime session, and nowhere else; it is the same code on
every device. Values are those of float32: TF32, which GPUs take by default, is off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import DeviceError, is_out_of_memory
from sora_eval.util.processes import session_threads
from sora_eval.util.stages import stage

if TYPE_CHECKING:
    import onnxruntime as ort
    import torch

CPU = "cpu"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}  # of ONNX Runtime

# Clips that a video network is given at a time, at most. On 2 cores a clip of a batch takes I3D as long as alone: 0.65 s of
# processor time at 17 frames, in batches of 1, 4 and 8.
CLIPS = {"cpu": 1, "cuda": 16}

Item = TypeVar("Item")
_device = CPU


def device() -> str:
    """The device of the networks of this process: `cpu`, or `cuda:N`."""
    return _device


@contextmanager
def networks_on(name: str | None) -> Iterator[None]:
    """Networks that are asked inside run on this device: `cpu`, `cuda` or `cuda:N`; None leaves it.

    Raises DeviceError for one that is unknown or absent, before anything is opened.
    """
    global _device  # noqa: PLW0603
    before, _device = _device, _device if name is None else present(name)
    try:
        yield
    finally:
        _device = before


def use(name: str) -> None:
    """The same until the process ends, of a worker: its parent gives a device that is there."""
    global _device  # noqa: PLW0603
    _device = name


def present(name: str) -> str:
    """The device by its full name. Raises DeviceError where it is unknown, or where torch or ONNX Runtime cannot use it."""
    match = re.fullmatch(r"(cpu|cuda)(?::(\d{1,4}))?", name)
    if match is None or (match[1] == CPU and match[2]):
        raise DeviceError(f"device {name!r} is not known; expected cpu, cuda or cuda:N")
    if match[1] == CPU:
        return CPU
    import onnxruntime as ort
    import torch

    number, there = int(match[2] or 0), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= there:
        found = f"{there}, cuda:0{f' to cuda:{there - 1}' * (there > 1)}" if there else "none"
        raise DeviceError(f"device {name!r} was asked for; GPUs that torch finds: {found}. On this machine take --device cpu")
    if PROVIDERS["cuda"] not in ort.get_available_providers():
        raise DeviceError(
            f"device {name!r} was asked for, but this onnxruntime offers only {', '.join(ort.get_available_providers())}; "
            "install onnxruntime-gpu in its place"
        )
    return f"cuda:{number}"


def where() -> dict[str, str]:
    """What run.json says of the networks: device, provider of ONNX Runtime, and the name of a GPU."""
    kind = _device.partition(":")[0]
    names = {"device": _device, "provider": PROVIDERS[kind]}
    if kind != CPU:
        import torch

        names["gpu"] = torch.cuda.get_device_name(_device)
    return names


def clips_at_a_time() -> int:
    """Clips that a video network is given at a time, at most; memory may allow fewer (`in_batches`)."""
    return CLIPS[_device.partition(":")[0]]


@contextmanager
def evaluation() -> Iterator[torch.device]:
    """Evaluation of a torch network on the device that is given, without gradients and in float32."""
    import torch

    precise = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with stage("network"), torch.inference_mode(), precise:
        yield torch.device(_device)


@contextmanager
def placed() -> Iterator[torch.device]:
    """The device for what prepares the input of a network, in any thread: the settings of `evaluation` are those of the
    process, and two threads would restore each other's."""
    import torch

    with torch.inference_mode():
        yield torch.device(_device)


def open_session(path: Path) -> ort.InferenceSession:
    """An ONNX Runtime session on the device. Raises DeviceError where it would run elsewhere, else what ONNX Runtime raises."""
    import onnxruntime as ort

    kind, _, number = _device.partition(":")
    options = ort.SessionOptions()
    options.intra_op_num_threads = session_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch and other workers share the machine
    options.log_severity_level = 4  # an invalid file is reported once, by the error of the caller
    provider: Any = PROVIDERS[kind]
    if kind != CPU:
        ort.preload_dlls()  # CUDA's libraries as torch's packages bring them
        provider = provider, {"device_id": number, "use_tf32": "0"}
    session = ort.InferenceSession(str(path), options, providers=[provider])
    if session.get_providers()[0] != PROVIDERS[kind]:
        raise DeviceError(f"device {_device!r} was asked for, but ONNX Runtime opens {path.name} on {session.get_providers()}")
    return session


def run_session(session: ort.InferenceSession, value: torch.Tensor) -> npt.NDArray[Any]:
    """The first output of a session of one float32 input, which stays where it is; the output comes to the host."""
    import torch

    value = value.contiguous()
    binding = session.io_binding()
    kind, number = value.device.type, value.device.index or 0
    binding.bind_input(session.get_inputs()[0].name, kind, number, np.float32, tuple(value.shape), value.data_ptr())
    binding.bind_output(session.get_outputs()[0].name, CPU)
    if kind != CPU:
        torch.cuda.synchronize(value.device)  # ONNX Runtime has a stream of its own
    with stage("network"):
        session.run_with_iobinding(binding)
    return np.asarray(binding.get_outputs()[0].numpy())


def in_batches(run: Callable[[Sequence[Item]], npt.NDArray[Any]], items: Sequence[Item], most: int) -> npt.NDArray[Any]:
    """The rows of `run` for all items, at most `most` at a time: half as many whenever memory runs out, down to one.

    >>> in_batches(lambda items: np.array(items) ** 2, [1, 2, 3], 2).tolist()
    [1, 4, 9]
    """
    rows: list[npt.NDArray[Any]] = []
    done = 0
    while done < len(items):
        try:
            rows.append(run(items[done : done + most]))
        except Exception as error:
            if most == 1 or not is_out_of_memory(error):
                raise
            most = (most + 1) // 2
            continue
        done += most
    return np.concatenate(rows)
