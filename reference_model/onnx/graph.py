"""The form of an exported graph: operators that ONNX Runtime computes in one kernel each, and weights in half precision.

A denoising step is many small products, so the nodes between them count. torch's exporter breaks attention, norms without
weights and splits into several nodes each; here each is written with few nodes, of standard operators only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript import opset20 as op
from onnxscript import optimizer

from reference_model.sampling.backends import HALF

# The score of a blocked place. ONNX Runtime's softmax turns -1e9 into a subnormal number, and arithmetic with these takes four
# times as long; this gives a weight that is normal and adds nothing in single precision: QK-norm keeps the scores of the
# shipped weights within +-27.
UNSEEN = -50.0
EVERYTHING = 1 << 30  # elements: no weight is too large to be folded


def _attention(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    assert attn_mask is not None
    assert not any((dropout_p, is_causal, scale, enable_gqa))
    root = op.Constant(value_float=q.shape[-1] ** -0.5)
    scores = op.Mul(op.MatMul(q, op.Transpose(k, perm=[0, 1, 3, 2])), root)
    seen = op.Clip(op.Add(scores, attn_mask), op.Constant(value_float=UNSEEN))
    return op.MatMul(op.Softmax(seen, axis=-1), v)


def _layer_norm(
    x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: bool = True
) -> Any:
    if weight is None:
        weight = op.Constant(value=onnx.numpy_helper.from_array(np.ones(tuple(shape), np.float32)))
    normed, *_ = op.LayerNormalization(x, weight, bias, axis=-len(shape), epsilon=eps)
    return normed


def _split(x: Any, size: int, dim: int = 0) -> Any:
    return op.Split(x, axis=dim, num_outputs=-(-x.shape[dim] // size))


TRANSLATIONS: dict[Any, Any] = {
    torch.ops.aten.scaled_dot_product_attention.default: _attention,
    torch.ops.aten.layer_norm.default: _layer_norm,
    torch.ops.aten.split.Tensor: _split,
}


def tidy(model: ir.Model, weights: set[str]) -> None:
    """Fold constants in place; nodes that read the named `weights` stay, so that these keep their values and names."""

    def may_fold(node: ir.Node) -> bool | None:
        return False if any(i is not None and i.name in weights for i in node.inputs) else None

    optimizer.fold_constants(model, should_fold=may_fold)
    clean = (
        passes.LiftConstantsToInitializersPass(),
        passes.RemoveUnusedNodesPass(),
        passes.CommonSubexpressionEliminationPass(),
    )
    for step in clean:
        step(model)


def store_halves(path: Path, names: set[str]) -> None:
    """Store the named fp32 weights of an ONNX file in half precision, with a cast to fp32: half the size, fp32 arithmetic."""
    model = without_traces(onnx.load(path))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name in names and tensor.data_type == onnx.TensorProto.FLOAT:
            value = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            casts.append(onnx.helper.make_node("Cast", [tensor.name + HALF], [tensor.name], to=onnx.TensorProto.FLOAT))
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name + HALF))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.save(model, path)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's metadata in place: stack traces, which hold paths of the machine. Returns the model."""
    for node in model.graph.node:
        del node.metadata_props[:]
    for named in (*model.graph.input, *model.graph.output, *model.graph.initializer, *model.graph.value_info):
        del named.metadata_props[:]
    del model.metadata_props[:]
    return model
