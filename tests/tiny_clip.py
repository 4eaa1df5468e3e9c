"""A CLIP and an image network with random weights, for suites whose networks are fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from safetensors.torch import save_file


def save_clip(folder: Path, **text: Any) -> Path:
    """A CLIP in open_clip's format, without a tokenizer.json; `text` changes the settings of its text tower."""
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8}
    sizes = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    sizes |= {k: v for k, v in text.items() if k in sizes}
    built = open_clip.model.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=sizes)
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in built.state_dict().items()}, folder / "open_clip_model.safetensors")
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": sizes | text}
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    return folder


def save_vit(file: Path) -> str:
    """Weights of timm's smallest ViT in a file; returns the network's name in a suite."""
    torch.save(timm.create_model("test_vit").state_dict(), file)
    return f"timm:test_vit:{file}"
