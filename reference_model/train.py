"""Training as one pipeline: collect -> caption -> refine -> compress -> train (packs) -> clip -> export.

Every stage can be stopped and started again; what is finished is not done twice.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from reference_model import backends, captioner, data, flow, patchify, refiner
from reference_model.components import build
from reference_model.config import ModelConfig, load_config
from reference_model.dit import DiT
from reference_model.errors import ReferenceModelError
from reference_model.loop import Threads, fit, load_tensors, save_atomic
from reference_model.mixture import LENGTHS, Drawn, Mixture, load_captions
from reference_model.text import TextEncoder, tokenize
from reference_model.vae import VAE, vae_loss
from reference_model.world import sample_level
from reference_model.world.symmetry import random_twin

START = "dit-start.pt"  # weights that the DiT goes on from
ORIGIN = "origin.json"  # how the checkpoint that a training goes on from was made


class Denoiser(nn.Module):
    """The DiT and the text encoder that is trained with it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit, config.text)


def train(config: ModelConfig, folder: Path, stages: tuple[str, ...] | None = None, *, shared: bool = False) -> None:
    """Run the stages that are not finished yet in `folder`; on a `shared` machine the DiT's with `Threads`."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "config.json"
    if config_file.exists() and load_config(config_file) != config:
        raise ReferenceModelError(
            f"{config_file} differs from the configuration asked for; use the same one, or another --out folder"
        )
    config.save(config_file)
    console = Console(stderr=True)
    for stage in stages or STAGES:
        started = time.perf_counter()
        console.print(f"[bold]{stage}[/bold]")
        if stage == "train":
            _train(config, folder, Threads(torch.get_num_threads()) if shared else None)
        else:
            _RUN[stage](config, folder)
        with (folder / "stages.jsonl").open("a") as log:
            row = {"stage": stage, "seconds": round(time.perf_counter() - started, 1), "machine": machine()}
            log.write(json.dumps(row) + "\n")


def start_from(checkpoint: str, folder: Path, *, new_dit: bool = False) -> None:
    """Prepare a training that goes on from a finished checkpoint.

    Its VAE, recaptioner and refiner count as trained; the DiT and its text encoder start from its weights. The other rungs
    of its ladder stay what they are: only `base` and `base-int8` are exported. With `new_dit` the DiT and the text encoder
    start from nothing, on the latents of that VAE, and the whole ladder is made anew.
    """
    source = backends.resolve(checkpoint)
    files = backends.component_files(source)
    parts = {
        "vae.pt": {"vae_encoder": "", "vae_decoder": ""},
        "captioner.pt": {"caption_encoder": "encoder.", "caption_decoder": "decoder."},
        "refiner.pt": {"refine_encoder": "encoder.", "refine_decoder": "decoder."},
        START: {"dit": "dit.", "text_encoder": "text."},
    }
    if new_dit:
        del parts[START]
    folder.mkdir(parents=True, exist_ok=True)
    for name, components in parts.items():
        state: dict[str, Tensor] = {}
        for component, prefix in components.items():
            weights = backends.weights_of(files[component])
            known = build(load_config(source / "config.json"))[component].state_dict()
            state |= {prefix + k.removeprefix("vae."): torch.from_numpy(weights[k]) for k in known if k in weights}
        save_atomic(state, folder / name)
    made = json.loads((source / "checkpoint.json").read_text())["made"]
    sizes = load_config(source / "config.json").train.sizes
    (folder / ORIGIN).write_text(json.dumps({"checkpoint": source.name, "sizes": sizes, "made": made}, indent=2) + "\n")


def machine() -> str:
    """The kind of machine that trains, in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, CPU"


def _collect(config: ModelConfig, folder: Path) -> None:
    total = config.train.clips
    bar = track(data.collect(config.train, folder / "data"), "clips", total=total, console=Console(stderr=True))
    for _ in bar:
        pass


def captioned_sizes(config: ModelConfig, folder: Path) -> list[data.Size]:
    """The sizes that the recaptioner was trained on; of others it says too much that is wrong."""
    if not (folder / ORIGIN).exists():
        return list(config.train.sizes)
    return [(height, width) for height, width in json.loads((folder / ORIGIN).read_text())["sizes"]]


def labelled_rows(config: ModelConfig, clips: data.SizeData) -> int:
    """The first rows of a size are those whose facts are known."""
    return max(int(config.train.labelled * len(clips)), 1)


def _caption(config: ModelConfig, folder: Path) -> None:
    """Train the recaptioner on the labelled clips, then let it write for the others."""
    t = config.train
    torch.manual_seed(t.seed + 5)
    model = captioner.Captioner(config.captioner)
    sets = data.load(t, folder / "data")

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        clips = sets[rng.integers(len(sets))]
        frames = 1 + 4 * int(rng.choice(5, p=LENGTHS))
        rows = rng.integers(0, labelled_rows(config, clips), t.captioner_batch)
        twins = [random_twin(clips.video[r, :frames], clips.records[r].description(frames), rng) for r in rows]
        texts = [told.at("dense", still=frames == 1).text() for _, told in twins]
        videos = [video for video, _ in twins]
        # A generator's pixels are never exact: some batches are noisy, and then hardly anything is dropped.
        if rng.random() < 0.25:
            strength = rng.uniform(0, 6)
            videos = [np.clip(v + rng.normal(0, strength, v.shape), 0, 255).astype(np.uint8) for v in videos]
        tokens, position, run, extent = map(torch.from_numpy, captioner.prepare(videos, config.captioner.drop_threshold))
        ids = torch.from_numpy(tokenize(texts, config.captioner.max_tokens)[0])
        logits = model.decoder(ids[:, :-1], model.encoder(tokens, position, run, extent), run)
        loss, accuracy = next_word_loss(logits, ids)
        kept = float((run > 0).sum()) / sum(patchify.tokens_of(patchify.grid_of(*v.shape[:3])) for v in videos)
        return loss, {"loss": loss.item(), "accuracy": accuracy, "kept": kept, "tokens": float((run > 0).sum())}

    fit(
        "captioner",
        model,
        step,
        steps=t.captioner_steps,
        lr=t.captioner_lr,
        folder=folder,
        seed=t.seed + 5,
        save_every=t.save_every,
        ema_decay=t.ema_decay,
    )
    run = captioner.as_run({"caption_encoder": model.eval().encoder, "caption_decoder": model.decoder})
    for clips in sets:
        target = data.caption_file(folder / "data", clips.size)
        if target.exists():
            continue
        first = labelled_rows(config, clips) if clips.size in captioned_sizes(config, folder) else len(clips)
        told = [r.description(t.frames).text() for r in clips.records[:first]]
        parts = range(first, len(clips), 256)
        for begin in track(parts, f"captions {clips.size[0]}x{clips.size[1]}", console=Console(stderr=True)):
            told += captioner.caption_clips(
                run, list(clips.video[begin : begin + 256]), config.captioner.drop_threshold, config.captioner.max_tokens
            )
        partial = target.with_suffix(".part")
        partial.write_text("".join(json.dumps(text) + "\n" for text in told))
        partial.rename(target)


def next_word_loss(logits: Tensor, ids: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy of each next word, and the share that is right; padding does not count."""
    target = ids[:, 1:]
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0)
    right = ((logits.argmax(-1) == target) & (target != 0)).sum() / (target != 0).sum()
    return loss, float(right)


def _refine(config: ModelConfig, folder: Path) -> None:
    """Train the prompt refiner on the captions: words of any level in, dense words out."""
    t = config.train
    torch.manual_seed(t.seed + 6)
    model = refiner.RefinerNetwork(config.refiner)
    width = config.refiner.max_tokens
    told = [d for clips in data.load(t, folder / "data") for d in load_captions(folder, clips) if d.objects]

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        dense = [told[i] for i in rng.integers(0, len(told), t.refiner_batch)]
        short = tokenize([d.at(sample_level(rng), still=rng.random() < 0.15).text() for d in dense], width)[0]
        ids, prompt = torch.from_numpy(tokenize([d.text() for d in dense], width)[0]), torch.from_numpy(short)
        loss, accuracy = next_word_loss(model.decoder(ids[:, :-1], model.encoder(prompt), prompt), ids)
        return loss, {"loss": loss.item(), "accuracy": accuracy}

    fit(
        "refiner",
        model,
        step,
        steps=t.refiner_steps,
        lr=t.refiner_lr,
        folder=folder,
        seed=t.seed + 6,
        save_every=t.save_every,
        ema_decay=t.ema_decay,
    )


def _compress(config: ModelConfig, folder: Path) -> None:
    _vae(config, folder)
    _latents(config, folder)


def _vae(config: ModelConfig, folder: Path) -> None:
    torch.manual_seed(config.train.seed)
    vae = VAE(config.vae).to(memory_format=torch.channels_last)  # 1.3x on CPU
    if (folder / "vae.pt").exists():
        return
    sets = data.load(config.train, folder / "data")
    t = config.train

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        clips = sets[rng.integers(len(sets))]
        # Short clips need no steps of their own: the network is causal, so a long clip trains its prefixes too.
        frames = t.frames - 4 * int(rng.choice(3, p=(0.5, 0.25, 0.25)))
        rows = np.sort(rng.integers(0, len(clips), t.vae_batch))
        first = int(rng.integers(0, t.frames - frames + 1))
        video = to_video(clips.video[rows, first : first + frames])
        cover = torch.from_numpy(clips.coverage[rows, first : first + frames]).float()[:, None] / 255  # (B, 1, T, H, W)
        height, width = clips.size
        noise = torch.randn(t.vae_batch, config.vae.latent_channels, 1 + (frames - 1) // 4, height // 4, width // 4)
        with torch.autocast("cpu", torch.bfloat16):  # 1.3x; its rounding is at 50 dB, far below what compression loses
            return vae_loss(vae, video, cover, noise)

    fit("vae", vae, step, steps=t.vae_steps, lr=t.vae_lr, folder=folder, seed=t.seed, save_every=t.save_every)


def to_video(frames: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 (..., T, H, W, 3) to (..., 3, T, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).float().div(127.5).sub(1.0).movedim(-1, -4)


def load_vae(config: ModelConfig, folder: Path) -> VAE:
    """The trained VAE, with the latent statistics once `latents` has run."""
    vae = VAE(config.vae)
    path = folder / ("vae-final.pt" if (folder / "vae-final.pt").exists() else "vae.pt")
    if not path.exists():
        raise ReferenceModelError(f"{path} does not exist: run the stage 'compress' first")
    vae.load_state_dict(torch.load(path, weights_only=True))
    return vae.eval()


def _latents(config: ModelConfig, folder: Path) -> None:
    """Encode all clips once. Prefixes of a clip need no pass of their own: the VAE is causal."""
    if (folder / "vae-final.pt").exists():
        return
    vae = load_vae(config, folder).to(memory_format=torch.channels_last)
    sets = data.load(config.train, folder / "data")
    raw: list[Tensor] = []
    noise: list[Tensor] = []
    with torch.inference_mode():
        for clips in sets:
            starts = range(0, len(clips), 32)
            bar = track(starts, f"latents {clips.size[0]}x{clips.size[1]}", console=Console(stderr=True))
            moments = [vae.moments(to_video(clips.video[i : i + 32])) for i in bar]
            raw.append(torch.cat([mean for mean, _ in moments]))
            noise.append(torch.stack([logvar.exp().mean((0, 2, 3, 4)) for _, logvar in moments]).mean(0))  # (z,)
        if not (folder / ORIGIN).exists():  # the statistics of a VAE that came trained are its own
            flat = torch.cat([r.movedim(1, 0).flatten(1) for r in raw], 1)  # (z, everything)
            vae.latent_mean.copy_(flat.mean(1).view(-1, 1, 1, 1))
            # With the posterior's own variance: a channel that carries nothing must not be blown up to unit size.
            vae.latent_std.copy_((flat.var(1) + torch.stack(noise).mean(0)).sqrt().view(-1, 1, 1, 1))
        for clips, latent in zip(sets, raw, strict=True):
            normal = (latent - vae.latent_mean) / vae.latent_std
            np.save(folder / "data" / f"{clips.size[0]}x{clips.size[1]}.latent.npy", normal.numpy())
    save_atomic({k: v.contiguous() for k, v in vae.state_dict().items()}, folder / "vae-final.pt")


def _train(config: ModelConfig, folder: Path, threads: Threads | None = None) -> None:
    t = config.train
    torch.manual_seed(t.seed + 1)
    model, mixture = Denoiser(config), Mixture.load(config, folder)
    if (folder / START).exists():
        model.load_state_dict(load_tensors(folder / START))
    marks = {"early": max(int(t.dit_steps * t.early_fraction), 1), "middle": max(int(t.dit_steps * t.middle_fraction), 1)}

    def step(now: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        drop = t.drop_rate * max(0.0, 1.0 - now / marks["middle"])
        return denoising_loss(config, model, mixture, rng, drop)

    fit(
        "dit",
        model,
        step,
        steps=t.dit_steps,
        lr=t.dit_lr,
        folder=folder,
        seed=t.seed + 1,
        save_every=t.save_every,
        ema_decay=t.ema_decay,
        keep_at=marks,
        threads=threads,
    )


def denoising_loss(
    config: ModelConfig, model: Denoiser, mixture: Mixture, rng: np.random.Generator, drop: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """Velocity error of one batch of packs: weighted mean over a clip's tokens, then over clips.

    Tokens that hold an object weigh more, but only at times at which the noisy clip shows where it is. Nearer to noise the
    best answer is a mean over all places that it may be at, and a weight on where it is would draw it at too many.
    """
    t, capacity = config.train, config.dit.pack_tokens
    drawn: list[Drawn] = []
    # Enough clips to fill the packs; the few that open one pack too many are left for another step.
    while sum(len(d.tokens) for d in drawn) < capacity * t.dit_packs:
        drawn.append(mixture.draw(rng, drop))
    kept = patchify.best_fit([len(d.tokens) for d in drawn], capacity)[: t.dit_packs]
    drawn = [drawn[c] for group in kept for c in group]
    cuts = np.cumsum([0, *map(len, kept)])
    groups = [list(range(a, b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    ids, lengths = tokenize([d.prompt for d in drawn], config.text.max_tokens)
    known = [d.known for d in drawn]
    packs = patchify.pack([d.position for d in drawn], lengths.tolist(), ids.shape[1], groups, capacity, known)
    uniform = not t.logit_normal
    times = rng.random(len(drawn), np.float32) if uniform else flow.logit_normal_times(rng, len(drawn), t.time_shift)
    noise = [rng.standard_normal(d.tokens.shape, dtype=np.float32) for d in drawn]
    noisy = [
        np.concatenate([d.tokens[: d.known], ((1 - s) * d.tokens + s * e)[d.known :]])
        for d, e, s in zip(drawn, noise, times, strict=True)
    ]
    target = [e - d.tokens for d, e in zip(drawn, noise, strict=True)]
    grids = np.array([d.grid for d in drawn], np.int64)[packs.state_clip]

    with torch.autocast("cpu", torch.bfloat16, enabled=t.bf16):
        text, pooled = model.text(torch.from_numpy(ids))
        out = model.dit(
            *map(torch.from_numpy, (packs.gather(noisy), packs.clip, packs.state, packs.position, packs.times(times), grids)),
            pooled[torch.from_numpy(packs.state_clip)],
            text,
            torch.from_numpy(packs.text_index),
            torch.from_numpy(packs.text_clip),
        )
    error = (out.float() - torch.from_numpy(packs.gather(target))).square().mean(-1, keepdim=True)
    whole, gone = t.object_times
    share = np.clip((gone - times) / max(gone - whole, 1e-6), 0.0, 1.0)
    weights = [d.weight(1 + (t.object_weight - 1) * s) for d, s in zip(drawn, share, strict=True)]
    loss = (error * torch.from_numpy(packs.gather([w / np.float32(len(drawn)) for w in weights]))).sum()
    with torch.no_grad():
        per_clip = np.array([float((e * w).sum()) for e, w in zip(packs.scatter(error.numpy()), weights, strict=True)])
        at = [(times >= i / 4) & (times < (i + 1) / 4) for i in range(4)]
        bins = {f"t{i}": float(per_clip[chosen].mean()) for i, chosen in enumerate(at) if chosen.any()}
    return loss, {
        "loss": loss.item(),
        **bins,
        "padding": packs.padding,
        "mask_overhead": packs.mask_overhead,
        "tokens": float(sum(len(d.tokens) for d in drawn)),
        "clips": float(len(drawn)),
    }


def _clip(config: ModelConfig, folder: Path) -> None:
    from reference_model import clip

    clip.train(config, folder)


def _export(config: ModelConfig, folder: Path) -> None:
    from reference_model import export

    export.export_all(config, folder, folder / "checkpoints")


_RUN: dict[str, Callable[[ModelConfig, Path], None]] = {
    "collect": _collect,
    "caption": _caption,
    "refine": _refine,
    "compress": _compress,
    "train": _train,
    "clip": _clip,
    "export": _export,
}
STAGES = tuple(_RUN)
