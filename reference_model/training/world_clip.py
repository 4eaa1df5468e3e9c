"""The `world` CLIP: open_clip's own model class, trained on frames and captions of the world.

It is shipped in open_clip's folder format (`open_clip_config.json`, `open_clip_model.safetensors`), with its word
tokenizer beside it, so `open_clip` loads it like any other local model.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.networks.text import VOCABULARY, tokenize, tokenizer
from reference_model.training import data
from reference_model.training.loop import fit, load_tensors, load_weights
from reference_model.world import sample_level

IMAGE = 48  # px; the longest world side, so that "longest" resizing only ever enlarges
MEAN, STD = (0.5, 0.5, 0.5), (0.35, 0.35, 0.35)
MODEL: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": IMAGE, "layers": 4, "width": 128, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 48, "vocab_size": len(VOCABULARY), "width": 128, "heads": 4, "layers": 3},
}
PREPROCESS: dict[str, Any] = {
    "mean": MEAN,
    "std": STD,
    "interpolation": "bicubic",
    "resize_mode": "longest",
    "fill_color": 0,
}


class ContrastiveModel(nn.Module):
    """open_clip's CLIP with its image transform."""

    def __init__(self) -> None:
        super().__init__()
        import open_clip

        self.clip = open_clip.CLIP(**MODEL)
        self.transform = open_clip.transform.image_transform_v2(
            open_clip.transform.PreprocessCfg(size=IMAGE, **PREPROCESS), is_train=False
        )

    def loss(self, images: Tensor, ids: Tensor, same: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Symmetric cross-entropy (CLIP) of images (B, 3, 48, 48) and ids (B, 48), and its values; pairs `same` (B, B), with
        equal captions, are no negatives."""
        image = F.normalize(self.clip.encode_image(images), dim=-1)
        text = F.normalize(self.clip.encode_text(ids), dim=-1)
        logits = self.clip.logit_scale.clamp(max=math.log(100)).exp() * image @ text.T
        blocked = logits.masked_fill(same & ~torch.eye(len(ids), dtype=torch.bool), -1e4)
        labels = torch.arange(len(ids))
        loss = (F.cross_entropy(blocked, labels) + F.cross_entropy(blocked.T, labels)) / 2
        accuracy = (blocked.argmax(1) == labels).float().mean()
        return loss, {"loss": loss.item(), "accuracy": accuracy.item()}


def train(config: ModelConfig, folder: Path) -> None:
    """Train on random frames; half of the captions describe a still picture, the others the clip."""
    from PIL import Image

    torch.manual_seed(config.train.seed + 2)
    model = ContrastiveModel()
    sets, t = data.load(config.train, folder / "data"), config.train

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        images, captions = [], []
        for _ in range(t.clip_batch):
            clips = sets[rng.integers(len(sets))]
            row, frame = int(rng.integers(len(clips))), int(rng.integers(t.frames))
            pixels = clips.video[row, frame]
            # A generator's colours are never exact: the tower must not hang on single grey levels.
            noisy = pixels + rng.normal(0, rng.uniform(0, 8), pixels.shape)
            images.append(model.transform(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))))
            description = clips.records[row].description(t.frames)
            captions.append(description.at(sample_level(rng), still=rng.random() < 0.5).text())
        ids = torch.from_numpy(tokenize(captions)[0])
        ids = F.pad(ids, (0, MODEL["text_cfg"]["context_length"] - ids.shape[1]))
        same = torch.tensor([[a == b for b in captions] for a in captions])
        return model.loss(torch.stack(images), ids, same)

    fit(
        "clip",
        model,
        step,
        steps=t.clip_steps,
        lr=t.clip_lr,
        folder=folder,
        seed=t.seed + 2,
        save_every=t.save_every,
        weight_decay=0.1,
    )


def export(folder: Path, out: Path) -> None:
    """Write the trained model of `folder` to `out` in open_clip's folder format."""
    from safetensors.torch import save_file

    model = ContrastiveModel()
    load_weights(model, load_tensors(folder / "clip.pt"), folder / "clip.pt")
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.clip.state_dict().items()}, out / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": {**PREPROCESS, "size": [IMAGE, IMAGE]}}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer().save(str(out / "tokenizer.json"))
