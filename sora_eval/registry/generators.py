"""The generators by kind. This table loads none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sora_eval.records.capabilities import Capabilities


@dataclass(frozen=True)
class GeneratorInfo:
    """One line of `sora-eval list generators`."""

    usage: str
    about: str
    target: str = field(repr=False)
    options: tuple[str, ...] = ()
    check: str = field(default="", repr=False)  # refuses an argument and options by their words, before `target` is loaded
    capabilities: Capabilities | None = None  # of all generators of this kind that make clips; None: known when it is open


GENERATORS: dict[str, GeneratorInfo] = {
    "reference": GeneratorInfo(
        "reference[:CHECKPOINT][?backend=torch&steps=10&guidance=2&refine=true&first_frames=1]",
        "the reference model; shipped: base, base-int8, middle, early",
        "reference:open_reference",
        ("backend", "device", "threads", "refine", "refine_model", "first_frames", "steps", "guidance"),
        "reference:check_reference",
        Capabilities(side=8, stride=4),
    ),
    "world": GeneratorInfo(
        "world",
        "the world itself: a perfect generator for prompts with facts (tracker floor)",
        "reference:open_world",
        check="reference:check_world",
        capabilities=Capabilities(),
    ),
    "vae": GeneratorInfo(
        "vae[:CHECKPOINT]",
        "the world through the reference VAE and back (VAE floor)",
        "reference:open_vae",
        ("backend", "device", "threads"),
        "reference:check_vae",
        Capabilities(side=8, stride=4),
    ),
    "folder": GeneratorInfo("folder:PATH", "real videos: a folder, or a manifest (csv, jsonl, parquet)", "folder:open_folder"),
    "diffusers": GeneratorInfo(
        "diffusers:ID[?device=cuda&dtype=bfloat16]",
        "a video pipeline of diffusers: a folder, or a name on the hub",
        "diffusers:open_diffusers",
        ("device", "dtype"),
    ),
    "python": GeneratorInfo(
        "python:MODULE:CALLABLE", "your function: request -> frames (T, H, W, 3) uint8", "python:open_python"
    ),
}
