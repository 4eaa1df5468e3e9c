"""The paired metrics by name: of two clips of one case, in two runs. No suite declares them, since they change no run's rows:
they are computed where two runs are compared, and any gate may name an output of the built-in ones."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from sora_eval.registry.metric_info import MetricInfo, info_of_paired_class
from sora_eval.registry.metrics import check_options_of
from sora_eval.registry.registry import Registry
from sora_eval.registry.spec import split_spec
from sora_eval.util.errors import SuiteError, near

_BUILT_IN = {
    "fidelity.psnr": MetricInfo(
        "fidelity",
        "paired",
        "sora_eval.metrics.fidelity.pixels:PSNR",
        "peak signal-to-noise ratio of the frames, of the clip and of its worst frame",
        outputs=("fidelity.psnr", "fidelity.psnr.worst"),
    ),
    "fidelity.ssim": MetricInfo(
        "fidelity",
        "paired",
        "sora_eval.metrics.fidelity.pixels:SSIM",
        "structural similarity of the frames, mean and of the worst frame",
        outputs=("fidelity.ssim", "fidelity.ssim.worst"),
    ),
    "fidelity.features": MetricInfo(
        "fidelity",
        "paired",
        "sora_eval.metrics.fidelity.networks:FeatureFidelity",
        "1 - cosine of I3D logits, and of an image-text network's embeddings",
        {"model": "world", "frames": 8, "network": ""},
        outputs=("fidelity.features.video", "fidelity.features.image"),
    ),
    "fidelity.latent": MetricInfo(
        "fidelity",
        "paired",
        "sora_eval.metrics.fidelity.networks:LatentFidelity",
        "difference of the latents of a video encoder, the reference VAE's by default",
        {"encoder": "world"},
    ),
    "fidelity.flow": MetricInfo(
        "fidelity",
        "paired",
        "sora_eval.metrics.fidelity.motion:FlowFidelity",
        "end-point difference of optical flow",
        {"flow": "dis", "flow_weights": ""},
        choices={"flow": ("dis", "raft", "raft_small")},
    ),
}


PAIRED = Registry(
    "paired metric",
    "sora_eval.paired_metrics",
    _BUILT_IN,
    info_of_paired_class,
    hint=" (a class of your own is named MODULE:CLASS)",
    takes_targets=True,
)
CHEAP = ("fidelity.psnr", "fidelity.ssim")  # what every comparison computes: no network, milliseconds per pair
PAIRED_OUTPUTS = {output: name for name, info in _BUILT_IN.items() for output in info.outputs or (name,)}


def paired_specs(specs: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Options by paired metric, from specs `NAME[?option=value&...]`; `all` are the built-in ones.

    Raises RegistryError for an unknown metric, SuiteError for an option that it does not have or another value.

    >>> paired_specs(("fidelity.latent?encoder=vae.onnx",))
    {'fidelity.latent': {'encoder': 'vae.onnx'}}
    """
    names = [name for spec in specs for name in (_BUILT_IN if spec == "all" else (spec,))]
    return dict(map(_read_spec, dict.fromkeys(names)))


def _read_spec(spec: str) -> tuple[str, dict[str, Any]]:
    name, texts = split_spec(spec, "paired metric", SuiteError)
    info, options = PAIRED.info(name), dict[str, Any]()
    for key, text in texts.items():
        if key not in info.options:
            raise SuiteError(f"paired metric {spec!r}: {key!r} is not an option{near(key, list(info.options))}")
        kind = type(info.options[key])
        try:
            options[key] = TypeAdapter(kind).validate_python(text)
        except ValidationError:
            raise SuiteError(f"paired metric {spec!r}: {key} = {text!r}; expected {kind.__name__}") from None
    check_options_of(info, f"paired metric {name}: ", options)
    return name, options
