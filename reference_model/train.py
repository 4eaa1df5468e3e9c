"""Training as one pipeline: collect -> vae -> latents -> dit (with text) -> tune -> focus -> clip. Stages restart."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from reference_model import data, flow, patchify
from reference_model.config import ModelConfig
from reference_model.dit import DiT
from reference_model.errors import ReferenceModelError
from reference_model.loop import fit, load_tensors, save_atomic
from reference_model.patchify import PIXELS
from reference_model.text import TextEncoder, tokenize
from reference_model.vae import VAE, vae_loss
from reference_model.world import Facts

STAGES = ("collect", "vae", "latents", "dit", "tune", "focus", "clip")
LENGTHS = (0.1, 0.1, 0.15, 0.15, 0.5)  # probability of 1, 5, 9, 13 and 17 frames
TUNE_LENGTHS = (0.05, 0.05, 0.05, 0.1, 0.75)


class Denoiser(nn.Module):
    """The DiT and the text encoder that is trained with it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit, config.text)


def train(config: ModelConfig, folder: Path, stages: tuple[str, ...] = STAGES) -> None:
    """Run the stages that are not finished yet in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "config.json"
    if config_file.exists():
        from reference_model.config import load_config

        if load_config(config_file) != config:
            raise ReferenceModelError(
                f"{config_file} differs from the configuration asked for; use the same one, or another --out folder"
            )
    config.save(config_file)
    console = Console(stderr=True)
    for stage in stages:
        started = time.perf_counter()
        console.print(f"[bold]{stage}[/bold]")
        _RUN[stage](config, folder)
        with (folder / "stages.jsonl").open("a") as log:
            log.write(json.dumps({"stage": stage, "seconds": round(time.perf_counter() - started, 1)}) + "\n")


def _collect(config: ModelConfig, folder: Path) -> None:
    total = config.train.clips
    bar = track(data.collect(config.train, folder / "data"), "clips", total=total, console=Console(stderr=True))
    for _ in bar:
        pass


def _vae(config: ModelConfig, folder: Path) -> None:
    torch.manual_seed(config.train.seed)
    vae = VAE(config.vae).to(memory_format=torch.channels_last)  # 1.3x on CPU
    if (folder / "vae.pt").exists():
        return
    sets = data.load(config.train, folder / "data")
    t = config.train

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        clips = sets[rng.integers(len(sets))]
        frames = 1 + 4 * int(rng.integers(0, (t.frames - 1) // 4 + 1))
        rows = np.sort(rng.integers(0, len(clips), t.vae_batch))
        first = int(rng.integers(0, t.frames - frames + 1))
        video = to_video(clips.video[rows, first : first + frames])
        cover = torch.from_numpy(clips.coverage[rows, first : first + frames]).float()[:, None] / 255  # (B, 1, T, H, W)
        height, width = clips.size
        noise = torch.randn(t.vae_batch, config.vae.latent_channels, 1 + (frames - 1) // 4, height // 4, width // 4)
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
        raise ReferenceModelError(f"{path} does not exist: run the stage 'vae' first")
    vae.load_state_dict(torch.load(path, weights_only=True))
    return vae.eval()


def _latents(config: ModelConfig, folder: Path) -> None:
    """Encode all clips once. Prefixes of a clip need no pass of their own: the VAE is causal."""
    if (folder / "vae-final.pt").exists():
        return
    vae = load_vae(config, folder).to(memory_format=torch.channels_last)
    sets = data.load(config.train, folder / "data")
    raw: list[Tensor] = []
    with torch.inference_mode():
        for clips in sets:
            starts = range(0, len(clips), 32)
            bar = track(starts, f"latents {clips.size[0]}x{clips.size[1]}", console=Console(stderr=True))
            raw.append(torch.cat([vae.moments(to_video(clips.video[i : i + 32]))[0] for i in bar]))
        flat = torch.cat([r.movedim(1, 0).flatten(1) for r in raw], 1)  # (z, everything)
        vae.latent_mean.copy_(flat.mean(1).view(-1, 1, 1, 1))
        vae.latent_std.copy_(flat.std(1).view(-1, 1, 1, 1))
        for clips, latent in zip(sets, raw, strict=True):
            normal = (latent - vae.latent_mean) / vae.latent_std
            np.save(folder / "data" / f"{clips.size[0]}x{clips.size[1]}.latent.npy", normal.numpy())
    save_atomic({k: v.contiguous() for k, v in vae.state_dict().items()}, folder / "vae-final.pt")


@dataclass(frozen=True)
class Mixture:
    """What a batch is drawn from: latents by size, the rows that may be drawn, and how likely each length is."""

    sets: list[data.SizeData]
    latents: list[npt.NDArray[np.float32]]
    rows: list[npt.NDArray[np.intp]]
    lengths: tuple[float, ...]
    object_weight: float = 1.0  # of tokens that hold an object, against 1 of the others

    def token_weights(self, which: int, row: int, groups: int) -> npt.NDArray[np.float32]:
        """Weights (n, 1) of a clip's tokens, adding up to 1: backgrounds are most of a clip and teach little of it."""
        cover = self.sets[which].coverage[row, : 4 * groups - 3]
        cover = np.concatenate([cover[:1].repeat(3, 0), cover])  # (4G, H, W)
        blocks = cover.reshape(groups, 4, cover.shape[1] // PIXELS, PIXELS, cover.shape[2] // PIXELS, PIXELS)
        weight = np.where(blocks.max((1, 3, 5)) > 0, self.object_weight, 1.0).astype(np.float32).reshape(-1, 1)
        return weight / weight.sum()

    @staticmethod
    def load(
        config: ModelConfig,
        folder: Path,
        lengths: tuple[float, ...],
        max_objects: int | None = None,
        object_weight: float = 1.0,
    ) -> Mixture:
        """All clips; with `max_objects` those of at most so many objects and without a bar."""
        sets = data.load(config.train, folder / "data")
        latents = [np.load(folder / "data" / f"{c.size[0]}x{c.size[1]}.latent.npy", mmap_mode="r") for c in sets]
        keep = [
            np.flatnonzero([max_objects is None or _is_simple(r.scene.facts, max_objects) for r in c.records]) for c in sets
        ]
        return Mixture(sets, latents, keep, lengths, object_weight)


def _is_simple(facts: Facts, max_objects: int) -> bool:
    return len(facts.objects) <= max_objects and not facts.occluder


def _dit(config: ModelConfig, folder: Path) -> None:
    t = config.train
    _fit_denoiser(config, folder, "dit", Mixture.load(config, folder, LENGTHS), None, t.dit_steps, t.dit_lr)


def _tune(config: ModelConfig, folder: Path) -> None:
    """Curriculum: the same network goes on with simpler and longer clips."""
    t = config.train
    mixture = Mixture.load(config, folder, TUNE_LENGTHS, t.tune_objects)
    _fit_denoiser(config, folder, "tune", mixture, "dit", t.tune_steps, t.tune_lr)


def _focus(config: ModelConfig, folder: Path) -> None:
    """Curriculum: the same clips, with an eye on what moves."""
    t = config.train
    mixture = Mixture.load(config, folder, TUNE_LENGTHS, t.tune_objects, t.focus_weight)
    _fit_denoiser(config, folder, "focus", mixture, "tune", t.focus_steps, t.tune_lr)


def _fit_denoiser(
    config: ModelConfig, folder: Path, name: str, mixture: Mixture, start: str | None, steps: int, lr: float
) -> None:
    t, seed = config.train, config.train.seed + {"dit": 1, "tune": 3, "focus": 4}[name]
    torch.manual_seed(seed)
    model = Denoiser(config)
    if start is not None:
        before = folder / f"{start}.pt"
        if not before.exists():
            raise ReferenceModelError(f"{before} does not exist: run the stage {start!r} first")
        model.load_state_dict(load_tensors(before))

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return denoising_loss(config, model, mixture, rng)

    fit(
        name,
        model,
        step,
        steps=steps,
        lr=lr,
        folder=folder,
        seed=seed,
        save_every=t.save_every,
        ema_decay=t.ema_decay,
        keep_at=max(int(steps * t.early_fraction), 1) if start is None else None,
    )


def denoising_loss(
    config: ModelConfig, model: Denoiser, mixture: Mixture, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Velocity error of one batch of packs: (weighted) mean over a clip's tokens, then over clips."""
    t, capacity = config.train, config.dit.pack_tokens
    values, weights, prompts, grids = [], [], [], []
    total = 0
    # Enough clips to fill the packs; the few that open one pack too many are left for another step.
    while total < capacity * t.dit_packs:
        which = int(rng.integers(len(mixture.sets)))
        row = int(rng.choice(mixture.rows[which]))
        groups = int(rng.choice(5, p=mixture.lengths)) + 1
        latent = mixture.latents[which][row, :, :groups]
        grids.append((groups, latent.shape[2] // 2, latent.shape[3] // 2))
        values.append(patchify.patchify(latent))
        weights.append(mixture.token_weights(which, row, groups))
        text = mixture.sets[which].records[row].caption(rng, 1 + 4 * (groups - 1))
        prompts.append("" if rng.random() < t.text_dropout else text)
        total += len(values[-1])
    kept = patchify.best_fit([len(v) for v in values], capacity)[: t.dit_packs]
    order = [c for group in kept for c in group]
    groups_of, start = [], 0
    for group in kept:
        groups_of.append(list(range(start, start + len(group))))
        start += len(group)
    values, weights = [values[c] for c in order], [weights[c] / np.float32(len(order)) for c in order]
    prompts, grids = [prompts[c] for c in order], [grids[c] for c in order]

    ids, lengths = tokenize(prompts, config.text.max_tokens)
    packs = patchify.pack(grids, lengths.tolist(), ids.shape[1], groups_of, pad_to=capacity)
    time_ = flow.logit_normal_times(rng, len(values))
    noise = [rng.standard_normal(v.shape, dtype=np.float32) for v in values]
    noisy = [(1 - s) * v + s * e for v, e, s in zip(values, noise, time_, strict=True)]
    target = [e - v for v, e in zip(values, noise, strict=True)]

    text, pooled = model.text(torch.from_numpy(ids))
    out = model.dit(
        *map(torch.from_numpy, (packs.gather(noisy), packs.clip, packs.position, time_, np.array(grids, np.int64))),
        text,
        pooled,
        torch.from_numpy(packs.text_index),
        torch.from_numpy(packs.text_clip),
    )
    error = F.mse_loss(out, torch.from_numpy(packs.gather(target)), reduction="none").mean(-1, keepdim=True)
    loss = (error * torch.from_numpy(packs.gather(weights))).sum()
    with torch.no_grad():
        per_token = error.squeeze(-1).numpy()
        token_time = np.where(packs.clip >= 0, time_[packs.clip], np.nan)
        bins = {
            f"t{i}": float(np.mean(per_token[(token_time >= i / 4) & (token_time < (i + 1) / 4)]))
            for i in range(4)
            if ((token_time >= i / 4) & (token_time < (i + 1) / 4)).any()
        }
    return loss, {"loss": loss.item(), "padding": packs.padding, "tokens": float((packs.clip >= 0).sum()), **bins}


def _clip(config: ModelConfig, folder: Path) -> None:
    from reference_model import clip

    clip.train(config, folder)


_RUN = {"collect": _collect, "vae": _vae, "latents": _latents, "dit": _dit, "tune": _tune, "focus": _focus, "clip": _clip}
