"""Image networks of timm, with its weights or a file of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F

from sora_eval.features.device import device
from sora_eval.features.image_batches import embedded
from sora_eval.features.weights_file import Part, best_part, check_shapes, mismatch, state_hash
from sora_eval.util.errors import WeightsError, line_of
from sora_eval.util.hub import hub_or_cache, hub_problem
from sora_eval.util.pickles import weights_only


class TimmModel:
    """An image network of timm with its own transform; `spec` is `timm:NAME` or `timm:NAME:FILE`.

    A file holds all of the network's weights, with or without a classifier, which is taken off. Raises WeightsError.
    """

    def __init__(self, spec: str) -> None:
        import timm
        from timm.data.config import resolve_data_config
        from timm.data.transforms_factory import create_transform

        _, name, *file = spec.split(":", 2)
        if name not in timm.list_models() and name not in timm.list_pretrained():
            raise WeightsError(f"image network {spec!r}: timm has no model {name!r}")
        try:
            with weights_only(), hub_or_cache():
                if file:
                    self.model = _from_file(name, Path(file[0])).eval()
                else:
                    self.model = timm.create_model(name, pretrained=True, num_classes=0).eval()
        except WeightsError as error:
            raise WeightsError(f"image network {spec!r}: {error}") from error
        except Exception as error:  # a damaged file raises whatever its reader raises
            why = line_of(error) if file else hub_problem() or line_of(error)
            remedy = "" if file else "; without a network, give timm:NAME:FILE"
            raise WeightsError(f"image network {spec!r} could not be loaded ({why}){remedy}") from error
        settings = resolve_data_config({}, model=self.model)  # type: ignore[no-untyped-call]
        self.transform = create_transform(**settings)
        self.signature = f"timm:{name}|weights:{state_hash(self.model)}"
        self.model.to(device())

    def embed_images(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Unit vectors (n, D) of frames (n, H, W, 3)."""
        return embedded(lambda pixels: F.normalize(self.model(pixels).float(), dim=-1), self.transform, frames)


def _from_file(name: str, path: Path) -> Any:
    """The network with all of its weights from a file. Raises WeightsError.

    timm loads what fits and leaves the rest random, unless the network and its settings have equally many classes.
    """
    import timm

    bare: Any = timm.create_model(name, pretrained=False, num_classes=0)
    expected = bare.state_dict()
    part = best_part(path, expected)
    check_shapes(path, part, expected, name)
    for classes in dict.fromkeys([*_classes(bare, part), bare.pretrained_cfg.get("num_classes") or 0, 0]):
        source = {"state_dict": dict(part.state), "num_classes": classes, "label_offset": 0, "source": ""}
        try:
            model: Any = timm.create_model(name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=source)
        except Exception:  # timm's conversions of foreign names raise whatever they meet
            continue
        model.reset_classifier(0)
        return model
    raise mismatch(path, part, expected, name)


def _classes(bare: Any, part: Part) -> list[int]:
    """The number of classes of the classifiers in the file, by the names that timm gives them."""
    names = bare.pretrained_cfg.get("classifier") or ()
    weights = [f"{name}.weight" for name in ([names] if isinstance(names, str) else names)]
    return [len(part.state[weight]) for weight in weights if weight in part.state]
