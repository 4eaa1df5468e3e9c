"""CLIP image and text towers through open_clip: a pretrained tag, a local folder, or the shipped `world` model."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from safetensors.torch import save_file

from sora_eval.features.clip_folder import CONFIG, check_folder, encoded, read_tokenizer, settings_hash
from sora_eval.features.device import device, evaluation
from sora_eval.features.image_batches import embedded
from sora_eval.features.timm_network import TimmModel
from sora_eval.features.transformers_clip import TransformersClip, is_transformers_folder
from sora_eval.features.view import Array
from sora_eval.features.weights_file import best_part, check_shapes, is_torchscript, mismatch, state_hash
from sora_eval.records.clip import Clip
from sora_eval.util.errors import Undefined, WeightsError, line_of, near, words_of
from sora_eval.util.hub import hub_or_cache, hub_problem, quietly
from sora_eval.util.pickles import weights_only
from sora_eval.util.visible import say
from sora_eval.util.weights import sha256_file, world_clip

Floats = npt.NDArray[np.float32]


class ImageText(Protocol):
    """A network of pictures and texts, on the device of the networks."""

    signature: str
    context_length: int

    def check_text(self) -> None:
        """Raises WeightsError where it cannot read texts."""

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than the model's context."""

    def embed_images(self, frames: npt.NDArray[np.uint8]) -> Floats:
        """Unit vectors (n, D) of frames (n, H, W, 3)."""

    def embed_text(self, text: str) -> Floats:
        """Unit vector (D,) of a text; tokens beyond the context are cut and the end token stays."""


class ClipModel:
    """One open_clip model with its own image transform and tokenizer, in evaluation mode.

    `spec` is `world`, `ARCHITECTURE:PRETRAINED` (a tag of open_clip or a weights file), or a folder in open_clip's
    format (`open_clip_config.json` and weights; a `tokenizer.json` in it takes the place of the BPE tokenizer).
    Raises WeightsError where it cannot be loaded.
    """

    def __init__(self, spec: str) -> None:
        folder = world_clip() if spec == "world" else Path(spec)
        try:
            with weights_only(), quietly():
                identity = self._open(spec, folder)
        except WeightsError:
            raise
        except Exception as error:  # a damaged file raises whatever its reader raises
            problem = "" if folder.is_dir() else hub_problem()
            remedy = ". Without a network, give a local folder or ARCHITECTURE:FILE as the metric's 'model'" if problem else ""
            raise WeightsError(f"CLIP model {spec!r} could not be loaded ({problem or words_of(error)}){remedy}") from error
        self.model.eval().to(device())
        self.context_length = int(self.model.context_length)
        tokenizer = folder / "tokenizer.json"
        self._words = read_tokenizer(tokenizer, self.model, self.context_length) if tokenizer.is_file() else None
        self._bpe = None if self._words else self._tokenizer(spec, folder)
        kind = "world" if spec == "world" else "folder" if folder.is_dir() else _kind(spec)
        self.signature = f"open_clip:{kind}|weights:{identity}"

    def _open(self, spec: str, folder: Path) -> str:
        """Load the model and its transform; returns the hash of its weights, and of a folder's settings."""
        if spec == "world" or folder.is_dir():
            check_folder(spec, folder)
            self.model, self.transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
            weights = [p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".pt")]
            identity = sha256_file(sorted(weights)[0])[:12]
            return identity if spec == "world" else f"{identity}|settings:{settings_hash(folder)}"
        architecture, _, pretrained = spec.partition(":")
        if architecture not in open_clip.list_models() or not pretrained:
            raise WeightsError(
                f"CLIP model {spec!r} is neither 'world', a folder of open_clip or transformers, nor "
                "ARCHITECTURE:PRETRAINED such as 'ViT-B-32:laion2b_s34b_b79k'"
            )
        if Path(pretrained).is_file():
            self.model, self.transform = _from_file(architecture, Path(pretrained))
        elif pretrained not in (tags := open_clip.list_pretrained_tags_by_model(architecture)):
            raise WeightsError(
                f"CLIP model {spec!r}: {pretrained!r} is neither a file nor a tag of open_clip{near(pretrained, tags)}"
            )
        else:
            say(f"loading CLIP {spec}; it is fetched from the model hub if it is not cached", err=True)
            with hub_or_cache():
                self.model, self.transform = open_clip.create_model_from_pretrained(architecture, pretrained)
        return state_hash(self.model)

    def _tokenizer(self, spec: str, folder: Path) -> Any:
        """open_clip's own tokenizer of the model, with its context and cleaning. Raises WeightsError."""
        name = f"local-dir:{folder}" if folder.is_dir() else spec.partition(":")[0]
        try:
            with hub_or_cache():
                return open_clip.get_tokenizer(name, context_length=self.context_length)
        except Exception as error:
            why = hub_problem() or line_of(error)
            raise WeightsError(f"CLIP model {spec!r}: its tokenizer could not be loaded ({why})") from error

    def check_text(self) -> None:
        """Its tokenizer was loaded with it."""

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than the model's context."""
        if self._words is not None:
            return bool(encoded(self._words, text).overflowing)
        assert self._bpe is not None
        double = 2 * self.context_length
        padding = self._bpe([""], context_length=double)[0, -1]
        return bool((self._bpe([text], context_length=double)[0, self.context_length :] != padding).any())

    def embed_images(self, frames: npt.NDArray[np.uint8]) -> Floats:
        """Unit vectors (n, D) of frames (n, H, W, 3)."""
        return embedded(partial(self.model.encode_image, normalize=True), self.transform, frames)

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
        with evaluation() as where:
            vector: Floats = self.model.encode_text(ids.to(where), normalize=True)[0].float().cpu().numpy()
        return vector


@cache
def _load(spec: str, _device: str) -> ImageText | TimmModel | WeightsError:
    try:
        if spec.startswith("timm:"):
            return TimmModel(spec)
        is_folder = spec != "world" and Path(spec).is_dir()
        if is_folder and is_transformers_folder(Path(spec)) and not (Path(spec) / CONFIG).is_file():
            return TransformersClip(Path(spec))
        return ClipModel(spec)
    except WeightsError as error:
        return error  # cached too, since an unreachable hub takes long to fail


def load(spec: str) -> ImageText | TimmModel:
    """A model by its spec; loaded once per process and device. Raises WeightsError."""
    model = _load(spec, device())
    if isinstance(model, WeightsError):
        raise model
    return model


def text_vector(spec: str, text: str) -> Floats:
    """Unit vector (D,) of a text in a model by its spec; embedded once per process, whatever asks. Raises Undefined."""
    return _text_vector(spec, text, device())


@cache
def _text_vector(spec: str, text: str, _device: str) -> Floats:
    model = load(spec)
    assert not isinstance(model, TimmModel)
    return model.embed_text(text)


def _from_file(architecture: str, path: Path) -> Any:
    """The model with all of its weights from a file, and its transform. Raises WeightsError.

    open_clip interpolates positions of another length, and knows no tables around the weights but `state_dict`.
    """
    foreign = "hf_model_name" in (open_clip.get_model_config(architecture) or {}).get("text_cfg", {})
    # The text tower of a foreign one is described on the hub; of the meta device are names and shapes alone.
    with hub_or_cache() if foreign else nullcontext(), torch.device("meta"):
        empty = open_clip.create_model(architecture, load_weights=False, pretrained_text=False, device="meta")
    expected = empty.state_dict()
    part = best_part(path, expected)
    check_shapes(path, part, expected, architecture)
    with tempfile.TemporaryDirectory() as folder:
        source = path
        if part.prefix or part.keys not in ((), ("state_dict",)) or is_torchscript(path):
            source = Path(folder) / "weights.safetensors"
            save_file({name: tensor.clone().contiguous() for name, tensor in part.state.items()}, source)
        try:
            return open_clip.create_model_from_pretrained(architecture, str(source))
        except Exception as error:  # conversions of foreign names raise whatever they meet
            raise mismatch(path, part, expected, architecture) from error


def _kind(spec: str) -> str:
    """A spec as signatures name it: without the path of a file, whose weights they hold."""
    architecture, _, pretrained = spec.partition(":")
    return architecture if Path(pretrained).is_file() else spec.replace("/", "_")


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
    def model(self) -> ImageText | TimmModel:
        """The network, by its spec: a pickled metric carries the spec and not the weights."""
        return load(self.spec)

    def __call__(self, clip: Clip) -> Array:
        count = min(self.frames or clip.num_frames, clip.num_frames)
        places = np.unique(np.linspace(0, clip.num_frames - 1, count).round().astype(int))
        # Of all frames no copy is made: beside the clip itself, one of minutes takes the memory of one batch.
        return self.model.embed_images(clip.frames if len(places) == clip.num_frames else clip.frames[places])
