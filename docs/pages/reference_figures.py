"""Figures of a checkpoint that need no judge. Every function prints nothing and returns plain numbers."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference_model.config import ModelConfig, TrainConfig
from reference_model.networks.refiner import refine
from reference_model.packing import patchify
from reference_model.packing.patchify import PACKINGS
from reference_model.sampling.pipeline import Pipeline, Request
from reference_model.training.denoising import Denoiser, denoising_loss
from reference_model.training.loop import fit
from reference_model.training.mixture import LENGTHS, LEVELS, Mixture
from reference_model.world import FactsError, WorldClip, describe, make_clip, parse, sample_facts, sample_level
from reference_model.world.facts import BACKGROUNDS

FRESH = 0xF2E5  # a stream of its own: no training clip is drawn from it
SIZES = TrainConfig().sizes


def fresh_clips(count: int, frames: tuple[int, ...] = (17,)) -> Iterator[WorldClip]:
    """World clips of all sizes that no network has seen."""
    for i in range(count):
        rng = np.random.default_rng([FRESH, i])
        while True:
            try:
                yield make_clip(sample_facts(rng), *SIZES[i % len(SIZES)], frames[i // len(SIZES) % len(frames)], rng)
                break
            except FactsError:
                continue


def vae_psnr(pipeline: Pipeline, clips: int = 200) -> dict[str, float]:
    """PSNR in dB over all pixels of all clips, and over pixels weighted by how much of them an object covers."""
    errors, covered, foreground, pixels = 0.0, 0.0, 0.0, 0
    for clip in fresh_clips(clips):
        error = np.square((pipeline.reconstruct(clip.frames).astype(float) - clip.frames) / 255).mean(-1)  # (T, H, W)
        weight = clip.coverage / 255
        errors, pixels = errors + error.sum(), pixels + error.size
        foreground, covered = foreground + (error * weight).sum(), covered + weight.sum()
    return {"psnr": float(-10 * np.log10(errors / pixels)), "psnr_foreground": float(-10 * np.log10(foreground / covered))}


def captioner_slots(pipeline: Pipeline, clips: int = 400) -> dict[str, Any]:
    """Precision, recall and F1 of the recaptioner's slots against the exact facts, overall and by kind of slot."""
    fresh = list(fresh_clips(clips, (17, 17, 17, 9)))
    texts = pipeline.caption([c.frames for c in fresh])
    read, true, both = Counter[str](), Counter[str](), Counter[str]()
    for clip, text in zip(fresh, texts, strict=True):
        slots_read, facts = parse(text).slots(), describe(clip.scene.facts, clip.scene, clip.trajectory.events).slots()
        for counter, slots in ((read, slots_read), (true, facts), (both, slots_read & facts)):
            counter.update(s[1] if len(s) == 3 else s[0] for s in slots)
    by_kind = {kind: round(2 * both[kind] / (read[kind] + true[kind]), 4) for kind in sorted(true | read)}
    precision, recall = both.total() / read.total(), both.total() / true.total()
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall), "by_kind": by_kind}


def refiner_facts(pipeline: Pipeline, prompts: int = 500) -> dict[str, float]:
    """What the refiner does to prompts: facts that its drafts keep, before and after the rule that guards them.

    `background_distance` is the total variation between the backgrounds that it fills in and those of the world, which
    are equally likely.
    """
    rng = np.random.default_rng([FRESH, 1])
    texts = [describe(sample_facts(rng)).at(sample_level(rng)).text() for _ in range(prompts)]
    seeds = list(range(prompts))
    drafts = pipeline.refiner.draft(texts, seeds)
    refined = refine(pipeline.refiner, texts, seeds)
    stated = [parse(a).slots() for a in texts]
    before = sum(len(s & parse(d).slots()) for s, d in zip(stated, drafts, strict=True))
    after = sum(len(s & parse(r).slots()) for s, r in zip(stated, refined, strict=True))
    filled = Counter(parse(r).background or "" for a, r in zip(texts, refined, strict=True) if not parse(a).background)
    total = max(sum(filled.values()), 1)
    return {
        "facts_kept": before / sum(map(len, stated)),
        "facts_kept_guarded": after / sum(map(len, stated)),
        "drafts_used": float(np.mean([d == r for d, r in zip(drafts, refined, strict=True)])),
        "facts_added": float(np.mean([len(parse(r).slots()) - len(s) for r, s in zip(refined, stated, strict=True)])),
        "background_distance": 0.5
        * sum(abs(filled[b] / total - (1 / len(BACKGROUNDS) if b else 0)) for b in ("", *BACKGROUNDS)),
    }


def kept_share(threshold: float, clips: int = 200) -> dict[str, float]:
    """Share of tubelets that similar-token dropping keeps, by size, at 17 frames."""
    kept: dict[str, list[float]] = {}
    for clip in fresh_clips(clips):
        size = f"{clip.frames.shape[2]}x{clip.frames.shape[1]}"
        kept.setdefault(size, []).append(float((patchify.runs(clip.frames, threshold) > 0).mean()))
    return {size: float(np.mean(v)) for size, v in kept.items()}


def padding(capacity: int, clips: int = 4000) -> dict[str, dict[str, float]]:
    """Padding and mask overhead of the training mix, with single images and without, and of padding to the longest."""
    rng = np.random.default_rng([FRESH, 2])
    area = np.array([1 / (h * w) for h, w in SIZES])
    out = {}
    for name, first in (("with images", 0), ("without images", 1)):
        weights = np.array(LENGTHS[first:]) / sum(LENGTHS[first:])
        grids = [
            (int(rng.choice(len(weights), p=weights)) + 1 + first, *(side // 8 for side in SIZES[s]))
            for s in rng.choice(len(SIZES), clips, p=area / area.sum())
        ]
        sizes = [patchify.tokens_of(g) for g in grids]
        groups = patchify.best_fit(sizes, capacity)
        used = sum(sizes)
        squares = sum(n * n for n in sizes)
        out[name] = {
            "padding": 1 - used / (len(groups) * capacity),
            "mask_overhead": 1 - squares / (len(groups) * capacity**2),
            "padding_to_longest": 1 - used / (max(sizes) * clips),
        }
    return out


def mixed_requests(count: int, steps: int | None = None) -> list[Request]:
    """Clips and images of all sizes and lengths, in an order that mixes them."""
    rng = np.random.default_rng([FRESH, 3])
    shapes = list(product(SIZES, (1, 5, 9, 13, 17)))
    out = []
    for i in range(count):
        (height, width), frames = shapes[i * 7 % len(shapes)]
        text = describe(sample_facts(rng)).at("medium", still=frames == 1).text()
        out.append(Request(text, width, height, frames, i, steps))
    return out


def serving(pipeline: Pipeline, count: int = 40, steps: int = 6, rounds: int = 3) -> dict[str, dict[str, float]]:
    """Clips/s and tokens/s of one mixed list under every way of batching; rounds alternate between the ways."""
    requests = mixed_requests(count, steps)
    tokens = sum(patchify.tokens_of(r.grid) for r in requests)
    pipeline.generate(requests)  # warm-up
    seconds: dict[str, list[float]] = {p: [] for p in PACKINGS}
    for _ in range(rounds):
        for packing in PACKINGS:
            started = time.perf_counter()
            pipeline.generate(requests, packing)
            seconds[packing].append(time.perf_counter() - started)
    best = {p: float(np.median(s)) for p, s in seconds.items()}
    return {p: {"clips_per_s": count / s, "tokens_per_s": tokens / s} for p, s in best.items()}


def parity(checkpoint: str, count: int = 10) -> float:
    """Share of the pixels of whole clips of both backends that are within one grey level."""
    requests = mixed_requests(count)
    a, b = (Pipeline.load(checkpoint, backend).generate(requests) for backend in ("onnx", "torch"))
    near = [np.abs(x.frames.astype(int) - y.frames) <= 1 for x, y in zip(a, b, strict=True)]
    return float(np.concatenate([n.reshape(-1) for n in near]).mean())


def generation_seconds(checkpoint: str, backend: str, repeats: int = 5) -> float:
    """Median seconds of one call that makes four clips of 32x32x17. Call it in a process of its own."""
    pipeline = Pipeline.load(checkpoint, backend)
    requests = [Request("a red circle falls on a black background", seed=i) for i in range(4)]
    pipeline.generate(requests)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        pipeline.generate(requests)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


@dataclass(frozen=True)
class Change:
    """One thing of the DiT's training: keys of its config, or how often words are short, medium and dense."""

    train: dict[str, Any] = field(default_factory=dict)
    levels: tuple[float, float, float] = LEVELS


ABLATIONS = {
    "recipe": Change(),
    "uniform times": Change({"logit_normal": False}),
    "times not shifted": Change({"time_shift": 1.0}),
    "similar tokens dropped": Change({"drop_rate": 0.5}),
    "short words only": Change(levels=(1.0, 0.0, 0.0)),
    "refined (dense) words only": Change(levels=(0.0, 0.0, 1.0)),
}


def ablation(config: ModelConfig, data: Path, name: str, steps: int, out: Path) -> dict[str, float]:
    """A short training of the DiT with one thing changed, and its velocity error on the same draws of training clips for all.

    The error is the mean squared velocity error of the flow at uniform times, on clips with nothing dropped: over all
    tokens, and over those that hold an object as the recipe weighs them. Clips, noise and times are the same for all; words
    are of the levels that were trained on.
    """
    change = ABLATIONS[name]
    short = replace(config.train, dit_steps=steps, **change.train)
    varied = replace(config, train=short)
    torch.manual_seed(config.train.seed + 1)
    model, mixture = Denoiser(varied), replace(Mixture.load(varied, data), levels=change.levels)
    tokens, started = 0.0, time.perf_counter()

    def step(now: int, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        nonlocal tokens
        loss, values = denoising_loss(varied, model, mixture, rng, short.drop_rate * max(0.0, 1 - now / (0.4 * steps)))
        tokens += values["tokens"]
        return loss, values

    shutil.rmtree(out, ignore_errors=True)  # a finished training would be taken for this one
    fit(
        "dit",
        model,
        step,
        steps=steps,
        lr=short.dit_lr,
        folder=out,
        seed=config.train.seed + 1,
        save_every=10**9,
        ema_decay=0.98,  # a short training forgets faster
    )
    seconds = time.perf_counter() - started
    result = {"steps": float(steps), "tokens_per_s": tokens / seconds}
    for label, weight in (("velocity_error", 1.0), ("velocity_error_objects", config.train.object_weight)):
        judge = replace(config.train, logit_normal=False, object_weight=weight, object_times=(1.0, 1.0), bf16=False)
        same = replace(config, train=judge)
        judged = replace(mixture, config=same)
        with torch.inference_mode():
            losses = [denoising_loss(same, model, judged, np.random.default_rng([FRESH, i]))[0] for i in range(24)]
        result[label] = float(torch.stack(losses).mean())
    return result
