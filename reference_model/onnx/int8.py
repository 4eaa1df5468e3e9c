"""`NAME-int8`: a checkpoint whose text encoder, DiT and VAE decoder compute in int8, where that stays near the exact ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from onnxscript import optimizer

from reference_model.config import ModelConfig, TrainConfig
from reference_model.onnx.graph import EVERYTHING, without_traces
from reference_model.training.data import draw_clip

NEAR = {"text_encoder": 0.02, "dit": 0.1, "vae_decoder": 0.05}  # largest relative error of each that is accepted
CALIBRATION, CHECK = 16, 10  # clips

Feed = dict[str, npt.NDArray[Any]]


def quantize_products(source: Path, target: Path) -> None:
    """A copy of a graph whose products with weights are int8: weights per channel, activations by their range at run time."""
    prepared = _prepared(source, target)
    quantize_dynamic(prepared, target, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8, per_channel=True)
    onnx.save(without_traces(onnx.load(target)), target)


def quantize_convolutions(source: Path, target: Path, samples: Sequence[Feed]) -> None:
    """A copy of a graph whose convolutions are int8: weights per channel, activations by their range over the `samples`.

    A range that is fixed costs nothing at run time, and a clip's pixels do not depend on those beside it.
    """
    prepared = _prepared(source, target)
    quantize_static(
        prepared,
        target,
        _Samples(samples),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    onnx.save(without_traces(onnx.load(target)), target)


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Sequence[Feed]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Feed | None:
        return next(self._samples, None)


def _prepared(source: Path, target: Path) -> onnx.ModelProto:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Only plain initialisers are quantized: no cast and no slice of a weight may remain.
    folded = optimizer.optimize(
        onnx.load(source), input_size_limit=EVERYTHING, output_size_limit=EVERYTHING, onnx_shape_inference=False
    )
    del folded.graph.value_info[:]  # shapes from before the folding
    add_pre_process_metadata(folded)  # the quantizer warns without it
    return folded


def latents(encoder: Path, config: TrainConfig) -> Iterator[npt.NDArray[np.float32]]:
    """Normalised latents (1, z, G, H/4, W/4) of world clips of all sizes of a training, without end."""
    session = ort.InferenceSession(str(encoder), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng([config.seed, 0x18])
    while True:
        for size in config.sizes:
            video = draw_clip(config, size, rng).frames.astype(np.float32) / 127.5 - 1.0
            (latent,) = session.run(None, {"video": video.transpose(3, 0, 1, 2)[None]})
            yield latent


def relative_error(exact: Path, other: Path, feeds: Sequence[Feed]) -> float:
    """Root mean square of the difference of two graphs' outputs over that of the first's: the largest over the outputs."""
    a, b = (ort.InferenceSession(str(p), providers=["CPUExecutionProvider"]) for p in (exact, other))
    outputs = [list(zip(a.run(None, feed), b.run(None, feed), strict=True)) for feed in feeds]
    worst = 0.0
    for pairs in zip(*outputs, strict=True):
        error = sum(float(np.square(x - y).sum()) for x, y in pairs)
        worst = max(worst, (error / sum(float(np.square(x).sum()) for x, _ in pairs)) ** 0.5)
    return worst


def write_networks(exact: dict[str, Path], folder: Path, config: ModelConfig, feeds: dict[str, list[Feed]]) -> dict[str, float]:
    """int8 graphs of `exact` as `folder/NETWORK/model.onnx`; returns the relative error of each on the `feeds` of the others'.

    A network whose error is beyond `NEAR` is not written: the caller uses the exact one.
    """
    clips = latents(exact["vae_encoder"], config.train)
    calibration, check = ([{"latent": x} for x in islice(clips, n)] for n in (CALIBRATION, CHECK))
    errors = {}
    for network, limit in NEAR.items():
        target = folder / network / "model.onnx"
        if network == "vae_decoder":
            quantize_convolutions(exact[network], target, calibration)
        else:
            quantize_products(exact[network], target)
        errors[network] = relative_error(exact[network], target, check if network == "vae_decoder" else feeds[network])
        if not errors[network] <= limit:
            target.unlink()
            target.parent.rmdir()
    return errors
