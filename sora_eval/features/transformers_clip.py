"""CLIP in the folder of a transformers model: `config.json`, `model.safetensors`, the image preprocessor and the tokenizer."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sora_eval.features.clip_folder import check_sizes
from sora_eval.features.device import device, evaluation
from sora_eval.features.image_batches import embedded
from sora_eval.features.weights_file import state_hash
from sora_eval.util.errors import WeightsError, line_of
from sora_eval.util.hub import quietly
from sora_eval.util.sealed import digest_of, read_json

CONFIG, WEIGHTS, PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
TOKENIZERS = ("tokenizer.json", "vocab.json")  # one of them
Floats = npt.NDArray[np.float32]


def is_transformers_folder(folder: Path) -> bool:
    """Whether a folder holds a model of transformers, by its config."""
    return (folder / CONFIG).is_file()


class TransformersClip:
    """A CLIP of transformers with its own image preprocessor and tokenizer, in evaluation mode.

    Raises WeightsError for a folder of another model, without weights, or whose weights do not fit; ImportError never: without
    transformers the message says how to install it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = self._config()
        try:
            import transformers
        except ImportError as error:
            raise WeightsError(f"{folder} is a CLIP of transformers: install it with pip install 'sora_eval[clip]'") from error
        try:
            transformers.utils.logging.disable_progress_bar()
            with quietly():
                self.model, report = transformers.CLIPModel.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
                )
        except Exception as error:  # a damaged file raises whatever its reader raises
            raise WeightsError(f"the CLIP in {folder} could not be loaded ({line_of(error)})") from error
        faults = [(kind, sorted(map(str, report[f"{kind}_keys"]))) for kind in ("missing", "mismatched", "unexpected")]
        if said := [f"{len(keys)} {kind} ({keys[0]}{', ...' if keys[1:] else ''})" for kind, keys in faults if keys]:
            raise WeightsError(f"{folder / WEIGHTS} does not hold the weights of its {CONFIG}: {'; '.join(said)}")
        self.model.eval()
        self.context_length = int(self.model.config.text_config.max_position_embeddings)
        self._images = self._preprocessor(transformers, int(config["vision_config"].get("image_size", 224)))
        preprocessing = "" if (folder / PREPROCESSOR).is_file() else "|preprocessing:assumed"
        settings = digest_of({"preprocessing": self._images.to_dict(), "tokenizer": self._tokenizer_files()})[:8]
        self.signature = f"transformers:clip|weights:{state_hash(self.model)}|settings:{settings}{preprocessing}"
        self.model.to(device())

    def _config(self) -> dict[str, Any]:
        path = self._folder / CONFIG
        try:
            config = read_json(path)
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path} is no config of a CLIP: {line_of(error)}") from error
        kind = config.get("model_type") if isinstance(config, dict) else None
        if kind != "clip" or not all(isinstance(config.get(part), dict) for part in ("vision_config", "text_config")):
            raise WeightsError(
                f"{path} is of a model of the type {kind!r}; expected 'clip', with vision_config and text_config"
            )
        check_sizes(path, config)
        if not (self._folder / WEIGHTS).is_file():
            raise WeightsError(f"{self._folder} has no {WEIGHTS}")
        return dict(config)

    def _preprocessor(self, transformers: Any, size: int) -> Any:
        """The folder's own, or CLIP's at the size of the network; by PIL, as when the published scores were made."""
        kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
        if not (self._folder / PREPROCESSOR).is_file():
            return kind(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
        try:
            return kind.from_pretrained(self._folder, local_files_only=True)
        except Exception as error:
            raise WeightsError(f"{self._folder / PREPROCESSOR} is no preprocessor of a CLIP: {line_of(error)}") from error

    def _tokenizer_files(self) -> str:
        return "".join(
            p.read_text("utf-8", "replace") for n in (*TOKENIZERS, "merges.txt") if (p := self._folder / n).is_file()
        )

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        if not any((self._folder / name).is_file() for name in TOKENIZERS):
            raise WeightsError(
                f"{self._folder} has no tokenizer; copy {' or '.join(TOKENIZERS)} (with merges.txt) from the model's repository"
            )
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            largest = max(tokenizer.get_vocab().values())
        except Exception as error:
            raise WeightsError(f"the tokenizer in {self._folder} could not be loaded ({line_of(error)})") from error
        if largest >= (known := int(self.model.config.text_config.vocab_size)):
            raise WeightsError(f"the tokenizer in {self._folder} has the token {largest}, and the network knows {known}")
        return tokenizer

    def check_text(self) -> None:
        """Raises WeightsError where there is no tokenizer, or one of another model."""
        self._tokenizer  # noqa: B018

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than the model's context."""
        return len(self._tokenizer(text, verbose=False)["input_ids"]) > self.context_length

    def embed_images(self, frames: npt.NDArray[np.uint8]) -> Floats:
        """Unit vectors (n, D) of frames (n, H, W, 3)."""
        return embedded(self._encode, lambda image: self._images(images=image, return_tensors="pt")["pixel_values"][0], frames)

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return _unit(self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output))

    def embed_text(self, text: str) -> Floats:
        """Unit vector (D,) of a prompt; tokens beyond the context are cut and the end token stays."""
        tokens = self._tokenizer(text, truncation=True, max_length=self.context_length, return_tensors="pt")
        with evaluation() as where:
            ids, mask = tokens["input_ids"].to(where), tokens["attention_mask"].to(where)
            hidden = self.model.text_model(input_ids=ids, attention_mask=mask)
            vector: Floats = _unit(self.model.text_projection(hidden.pooler_output))[0].cpu().numpy()
        return vector


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors.float(), dim=-1)
