"""The generators by kind: a table of the built-in ones, which loads none of them, and those of installed packages."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from sora_eval.records.capabilities import MOST_FRAMES, Capabilities
from sora_eval.registry.registry import Registry


@dataclass(frozen=True)
class GeneratorInfo:
    """A kind of generator, a line of `sora-eval list generators`; `target` names the function that opens one."""

    usage: str
    about: str
    target: str = field(repr=False)
    options: tuple[str, ...] = ()
    check: str = field(default="", repr=False)  # function that checks argument and options as text, before `target` is loaded
    capabilities: Capabilities | None = None  # of all generators of this kind that make clips; None: known once one is open
    facts: str = field(default="", repr=False)  # function that checks the facts of a prompt, of a kind that renders them
    free: bool = False  # whether it takes options beside `options`, and checks them itself
    several: str = field(default="", repr=False)  # function that gives an option per generator that one argument holds


_BUILT_IN = {
    "reference": GeneratorInfo(
        "reference[:CHECKPOINT][?backend=torch&steps=10&guidance=2&refine=true&first_frames=1&window=17]",
        "the reference model; shipped: base, base-int8, middle, early",
        "sora_eval.generators.reference:open_reference",
        ("backend", "device", "threads", "refine", "refine_model", "first_frames", "window", "steps", "guidance"),
        "sora_eval.generators.reference:check_reference",
        Capabilities(8, 4, 8.0, first_frames=(0, MOST_FRAMES)),
    ),
    "world": GeneratorInfo(
        "world",
        "the world itself: a perfect generator for prompts with facts (tracker floor)",
        "sora_eval.generators.reference:open_world",
        check="sora_eval.generators.reference:check_world",
        capabilities=Capabilities(fps=8.0, settings=None, first_frames=(0, MOST_FRAMES)),
        facts="sora_eval.generators.reference:check_facts",
    ),
    "vae": GeneratorInfo(
        "vae[:CHECKPOINT]",
        "the world through the reference VAE and back (VAE floor)",
        "sora_eval.generators.reference:open_vae",
        ("backend", "device", "threads"),
        "sora_eval.generators.reference:check_vae",
        Capabilities(8, 4, 8.0, settings=None, first_frames=(0, MOST_FRAMES)),
        "sora_eval.generators.reference:check_facts",
    ),
    "folder": GeneratorInfo(
        "folder:PATH[?layout=vbench&clips=frames&step=1000&fps=24&damaged=note]",
        "existing videos: a folder in one of many layouts, or a table of clips (csv, tsv, jsonl, json, parquet)",
        "sora_eval.generators.folder:open_folder",
        ("layout", "clips", "step", "fps", "damaged"),
        "sora_eval.generators.folder:check_folder",
        several="sora_eval.generators.folder:options_of_steps",
    ),
    "diffusers": GeneratorInfo(
        "diffusers:ID[?device=cuda&dtype=bf16&batch=4&guidance_scale_2=3]",
        "a video pipeline of diffusers: a folder, or a name on the hub; further options are keywords of its calls",
        "sora_eval.generators.diffusers.adapter:open_diffusers",
        ("device",),
        check="sora_eval.generators.diffusers.options:check_diffusers",
        free=True,
    ),
    "http": GeneratorInfo(
        "http://HOST/v1/videos[?model=NAME&route=sync&body=json&batch=4&key_env=VARIABLE]",
        "a service that speaks the video API of OpenAI, vLLM-Omni and SGLang, or JSON by a template",
        "sora_eval.generators.http.opening:open_http",
        check="sora_eval.generators.http.options:check_http",
        free=True,
    ),
    "https": GeneratorInfo(
        "https://HOST/v1/videos[?...]",
        "the same over TLS",
        "sora_eval.generators.http.opening:open_https",
        check="sora_eval.generators.http.options:check_https",
        free=True,
    ),
    "python": GeneratorInfo(
        "python:MODULE:NAME[?checkpoint=step_1000]",
        "your function, class or object: request -> frames, pictures or a file; options are its keywords",
        "sora_eval.generators.python:open_python",
        free=True,
    ),
}


def info_of_opener(kind: str, target: str, opener: Any) -> GeneratorInfo:
    """The record of a kind that a package adds: a function `open(argument, options) -> Generator`.

    Optional attributes of the function complete it: `usage`, `about`, `options` (their names) and `capabilities`. Raises
    ValueError if the opener is not callable, or an attribute has another type.
    """
    if not callable(opener):
        raise ValueError(f"expected a function (argument, options) that returns a generator, found {type(opener).__name__}")
    options = getattr(opener, "options", ())
    if isinstance(options, str) or not all(isinstance(o, str) for o in options):
        raise ValueError(f"its options = {options!r}; expected the names of its options")
    capabilities = getattr(opener, "capabilities", None)
    if capabilities is not None and not isinstance(capabilities, Capabilities):
        raise ValueError(f"its capabilities = {capabilities!r}; expected Capabilities of sora_eval.records.capabilities")
    about = getattr(opener, "about", "") or (inspect.getdoc(opener) or "").partition("\n")[0]
    usage = getattr(opener, "usage", f"{kind}[:ARGUMENT]")
    return GeneratorInfo(usage, about, target, tuple(options), capabilities=capabilities)


GENERATORS = Registry("generator", "sora_eval.generators", _BUILT_IN, info_of_opener)
