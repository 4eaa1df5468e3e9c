"""CLIP image and text towers through open_clip: a pretrained tag, a local folder, or the shipped `world` model."""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image

from sora_eval.features.clip_folder import check_folder, encoded, read_tokenizer
from sora_eval.features.view import Array
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, WeightsError, line_of
from sora_eval.util.pickles import weights_only
from sora_eval.util.visible import say
from sora_eval.util.weights import sha256_file, world_clip

Floats = npt.NDArray[np.float32]

# One error message states the failure; the hub's log of every retry does not help.
logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)


class ClipModel:
    """One open_clip model with its own image transform and tokenizer, on the CPU, in evaluation mode.

    `spec` is `world`, `ARCHITECTURE:PRETRAINED` (a tag of open_clip or a weights file), or a folder in open_clip's
    format (`open_clip_config.json` and weights; a `tokenizer.json` in it takes the place of the BPE tokenizer).
    Raises WeightsError where it cannot be loaded.
    """

    def __init__(self, spec: str) -> None:
        folder = world_clip() if spec == "world" else Path(spec)
        try:
            with weights_only():
                identity = self._open(spec, folder)
        except WeightsError:
            raise
        except Exception as error:  # a damaged file raises whatever its reader raises
            raise WeightsError(
                f"CLIP model {spec!r} could not be loaded ({line_of(error)}). Without a network, give a local folder "
                "or ARCHITECTURE:FILE as the metric's 'model'"
            ) from error
        self.model.eval()
        self.context_length = int(self.model.context_length)
        tokenizer = folder / "tokenizer.json"
        self._words = read_tokenizer(tokenizer, self.model, self.context_length) if tokenizer.is_file() else None
        self._bpe = None if self._words else self._tokenizer(spec, folder)
        name = "world" if spec == "world" else Path(spec).name if folder.is_dir() else spec.replace("/", "_")
        self.signature = f"open_clip:{name}|weights:{identity}"

    def _open(self, spec: str, folder: Path) -> str:
        """Load the model and its transform; returns a hash of the weights."""
        if spec == "world" or folder.is_dir():
            check_folder(spec, folder)
            self.model, self.transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
            weights = [p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".pt")]
            return sha256_file(sorted(weights)[0])[:12]
        architecture, _, pretrained = spec.partition(":")
        if architecture not in open_clip.list_models() or not pretrained:
            raise WeightsError(
                f"CLIP model {spec!r} is neither 'world', a folder in open_clip's format, nor "
                "ARCHITECTURE:PRETRAINED such as 'ViT-B-32:laion2b_s34b_b79k'"
            )
        if not Path(pretrained).is_file():
            say(f"loading CLIP {spec}; it is fetched from the model hub if it is not cached", err=True)
        self.model, self.transform = open_clip.create_model_from_pretrained(architecture, pretrained)
        return sha256_file(Path(pretrained))[:12] if Path(pretrained).is_file() else _state_hash(self.model)

    def _tokenizer(self, spec: str, folder: Path) -> Any:
        """open_clip's own tokenizer of the model, with its context and cleaning. Raises WeightsError."""
        name = f"local-dir:{folder}" if folder.is_dir() else spec.partition(":")[0]
        try:
            return open_clip.get_tokenizer(name, context_length=self.context_length)
        except Exception as error:
            raise WeightsError(f"CLIP model {spec!r}: its tokenizer could not be loaded ({line_of(error)})") from error

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than the model's context."""
        if self._words is not None:
            return bool(encoded(self._words, text).overflowing)
        assert self._bpe is not None
        double = 2 * self.context_length
        padding = self._bpe([""], context_length=double)[0, -1]
        return bool((self._bpe([text], context_length=double)[0, self.context_length :] != padding).any())

    @torch.inference_mode()
    def embed_images(self, frames: npt.NDArray[np.uint8]) -> Floats:
        """Unit vectors (n, D) of frames (n, H, W, 3); one frame at a time, so no batch size can change them."""
        out = [self.model.encode_image(self.transform(Image.fromarray(f))[None], normalize=True)[0] for f in frames]
        return torch.stack(out).float().numpy()

    @torch.inference_mode()
    def embed_text(self, text: str) -> Floats:
        """Unit vector (D,) of a prompt; tokens beyond the context are cut and the end token stays, as in open_clip.

        Raises Undefined when the closed vocabulary of a word tokenizer lacks a word.
        """
        length = self.context_length
        if self._words is None:
            assert self._bpe is not None
            ids = self._bpe([text])
        else:
            encoding = encoded(self._words, text)
            unknown = [text[a:b] for t, (a, b) in zip(encoding.ids, encoding.offsets, strict=True) if t == 0]
            if unknown:
                words = ", ".join(dict.fromkeys(unknown))
                raise Undefined(f"the model's closed vocabulary lacks: {words}; choose another CLIP model")
            ids = torch.tensor([encoding.ids + [0] * (length - len(encoding.ids))])
        vector: Floats = self.model.encode_text(ids, normalize=True)[0].float().numpy()
        return vector


def _state_hash(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


@cache
def _load(spec: str) -> ClipModel | TimmModel | WeightsError:
    try:
        return TimmModel(spec) if spec.startswith("timm:") else ClipModel(spec)
    except WeightsError as error:
        return error  # cached too, since an unreachable hub takes long to fail


def load(spec: str) -> ClipModel | TimmModel:
    """A model by its spec; loaded once per process. Raises WeightsError."""
    model = _load(spec)
    if isinstance(model, WeightsError):
        raise model
    return model


class TimmModel:
    """An image network of timm with its own transform; `spec` is `timm:NAME` or `timm:NAME:FILE`. Raises WeightsError."""

    def __init__(self, spec: str) -> None:
        import timm
        from timm.data.config import resolve_data_config
        from timm.data.transforms_factory import create_transform

        _, name, *file = spec.split(":", 2)
        if name not in timm.list_models() and name not in timm.list_pretrained():
            raise WeightsError(f"image network {spec!r}: timm has no model {name!r}")
        try:
            overlay: dict[str, Any] = {"pretrained_cfg_overlay": {"file": file[0]}} if file else {}
            with weights_only():
                self.model = timm.create_model(name, pretrained=True, num_classes=0, **overlay).eval()
        except Exception as error:  # a damaged file raises whatever its reader raises
            raise WeightsError(
                f"image network {spec!r} could not be loaded ({line_of(error)}); "
                + ("the file should hold weights of that model" if file else "without a network, give timm:NAME:FILE")
            ) from error
        settings = resolve_data_config({}, model=self.model)  # type: ignore[no-untyped-call]
        self.transform = create_transform(**settings)
        identity = sha256_file(Path(file[0]))[:12] if file else _state_hash(self.model)
        self.signature = f"timm:{name}|weights:{identity}"

    @torch.inference_mode()
    def embed_images(self, frames: npt.NDArray[np.uint8]) -> Floats:
        """Unit vectors (n, D) of frames (n, H, W, 3); one frame at a time, so no batch size can change them."""
        out = [self.model(self.transform(Image.fromarray(f))[None])[0] for f in frames]
        return torch.nn.functional.normalize(torch.stack(out).float(), dim=-1).numpy()


ALL_FRAMES = 0


class FrameEmbeddings:
    """Unit vectors (n, D) of at most `frames` frames, evenly spaced from the first to the last; 0 takes every frame.

    The network is a CLIP's image tower (`ClipModel`) or one of timm's (`timm:NAME`, `timm:NAME:FILE`).
    """

    cached = True

    def __init__(self, spec: str, frames: int) -> None:
        self.spec, self.frames = spec, frames
        self.signature = f"{self.model.signature}|frames:{f'{frames}-even' if frames else 'all'}"

    @property
    def model(self) -> ClipModel | TimmModel:
        """The network, by its spec: a pickled metric carries the spec and not the weights."""
        return load(self.spec)

    def __call__(self, clip: Clip) -> Array:
        count = min(self.frames or clip.num_frames, clip.num_frames)
        places = np.unique(np.linspace(0, clip.num_frames - 1, count).round().astype(int))
        return self.model.embed_images(clip.frames[places])
