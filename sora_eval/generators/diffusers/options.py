"""The options of a spec `diffusers:ID?...` that say how a pipeline is opened; others are keywords of its calls. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sora_eval.records.clip import LEAST_FPS, MOST_FPS
from sora_eval.registry.spec import value_of
from sora_eval.util.errors import GeneratorError

DTYPES = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
DEVICES = ("cpu", "cuda", "mps")
SWITCH = {"true": True, "false": False}
MOST_BATCH = 1024


@dataclass(frozen=True)
class PipelineOptions:
    """How a pipeline is opened; '' and None leave it to the library.

    `offload` is model or sequential. `lora` is a file, folder or name on the hub. `compile` compiles the denoiser, `tiling`
    decodes in tiles. `attention` is a backend of diffusers. `fps` states the rate of clips of a pipeline that takes none.
    `keywords` are of the pipeline's calls.
    """

    device: str = "cpu"
    dtype: str = "float32"
    vae_dtype: str = ""
    variant: str = ""
    revision: str = ""
    device_map: str = ""
    offload: str = ""
    scheduler: str = ""
    lora: str = ""
    attention: str = ""
    compile: bool = False
    tiling: bool = False
    batch: int = 1
    fps: float | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)


NAMES = tuple(name for name in PipelineOptions.__dataclass_fields__ if name != "keywords")


def _batch(text: str) -> int | None:
    return number if type(number := value_of(text)) is int and 1 <= number <= MOST_BATCH else None


def _rate(text: str) -> float | None:
    rate = value_of(text)
    return float(rate) if type(rate) in (int, float) and LEAST_FPS <= rate <= MOST_FPS else None


READ: dict[str, Callable[[str], Any]] = {  # None for a value that is none
    "device": lambda text: text if text.partition(":")[0] in DEVICES else None,
    "dtype": DTYPES.get,
    "vae_dtype": DTYPES.get,
    "offload": {"model": "model", "sequential": "sequential"}.get,
    "compile": SWITCH.get,
    "tiling": SWITCH.get,
    "batch": _batch,
    "fps": _rate,
}
EXPECTED = {
    "device": f"one of {', '.join(DEVICES)}, or cuda:1",
    "dtype": f"one of {', '.join(DTYPES)}",
    "vae_dtype": f"one of {', '.join(DTYPES)}",
    "offload": "model or sequential",
    "compile": "true or false",
    "tiling": "true or false",
    "batch": f"a whole number from 1 to {MOST_BATCH}",
    "fps": f"a number from {LEAST_FPS:g} to {MOST_FPS:g}",
}


def read_options(argument: str, options: Mapping[str, str]) -> PipelineOptions:
    """The options of a spec. Raises GeneratorError for a value that is none."""
    values: dict[str, Any] = {key: READ[key](text) if key in READ else text for key, text in options.items() if key in NAMES}
    for key, value in values.items():
        if value is None:
            raise GeneratorError(f"diffusers:{argument}: {key}={options[key]}; expected {EXPECTED[key]}")
    if "offload" in options and "device_map" in options:
        raise GeneratorError(f"diffusers:{argument}: offload and device_map both place the weights; give one of them")
    return PipelineOptions(**values, keywords={k: value_of(text) for k, text in options.items() if k not in NAMES})


def check_diffusers(argument: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for what is wrong with a spec whatever the pipeline is."""
    if not argument:
        raise GeneratorError("diffusers:ID needs a folder or the name of a pipeline on the hub")
    read_options(argument, options)
