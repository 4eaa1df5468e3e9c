"""The generators by kind. This table loads none of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GeneratorInfo:
    """One line of `sora-eval list generators`."""

    usage: str
    about: str
    target: str = field(repr=False)


GENERATORS: dict[str, GeneratorInfo] = {
    "reference": GeneratorInfo(
        "reference[:CHECKPOINT][?backend=torch&steps=10&guidance=2&refine=true&first_frames=1]",
        "the reference model; shipped: base, base-int8, middle, early",
        "reference:open_reference",
    ),
    "world": GeneratorInfo(
        "world", "the world itself: a perfect generator for prompts with facts (tracker floor)", "reference:open_world"
    ),
    "vae": GeneratorInfo("vae[:CHECKPOINT]", "the world through the reference VAE and back (VAE floor)", "reference:open_vae"),
    "folder": GeneratorInfo("folder:PATH", "real videos: a folder, or a manifest (csv, jsonl, parquet)", "folder:open_folder"),
    "diffusers": GeneratorInfo(
        "diffusers:ID[?device=cuda&dtype=bfloat16]",
        "a video pipeline of diffusers: a folder, or a name on the hub",
        "diffusers:open_diffusers",
    ),
    "python": GeneratorInfo(
        "python:MODULE:CALLABLE", "your function: request -> frames (T, H, W, 3) uint8", "python:open_python"
    ),
}
