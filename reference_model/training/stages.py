"""The stages of a training, one function each. Their results stay in the working folder; a finished stage does nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor

from reference_model.config import ModelConfig
from reference_model.networks import captioner, refiner
from reference_model.networks.text import tokenize
from reference_model.networks.vae import VAE, vae_loss
from reference_model.packing import patchify
from reference_model.training import data
from reference_model.training.denoising import Denoiser, denoising_loss
from reference_model.training.folder import ORIGIN, START, load_vae
from reference_model.training.loop import Threads, fit, load_tensors, save_atomic
from reference_model.training.mixture import LENGTHS, Mixture, load_captions
from reference_model.world import sample_level
from reference_model.world.symmetry import random_twin


def collect(config: ModelConfig, folder: Path) -> None:
    """Render the training clips."""
    total = config.train.clips
    bar = track(data.collect(config.train, folder / "data"), "clips", total=total, console=Console(stderr=True))
    for _ in bar:
        pass


def captioned_sizes(config: ModelConfig, folder: Path) -> list[data.Size]:
    """The sizes (height, width) that the recaptioner was trained on; its captions of others hold too many errors."""
    if not (folder / ORIGIN).exists():
        return list(config.train.sizes)
    return [(height, width) for height, width in json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["sizes"]]


def labelled_rows(config: ModelConfig, clips: data.SizeData) -> int:
    """Number of clips of a size, the first ones, whose facts are known."""
    return max(int(config.train.labelled * len(clips)), 1)


def caption(config: ModelConfig, folder: Path) -> None:
    """Train the recaptioner on the labelled clips, then caption the others with it."""
    t = config.train
    torch.manual_seed(t.seed + 5)
    model = captioner.Captioner(config.captioner)
    sets = data.load(t, folder / "data")

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        clips = sets[rng.integers(len(sets))]
        frames = 1 + 4 * int(rng.choice(5, p=LENGTHS))
        rows = rng.integers(0, labelled_rows(config, clips), t.captioner_batch)
        twins = [random_twin(clips.video[r, :frames], clips.records[r].description(frames), rng) for r in rows]
        texts = [description.at("dense", still=frames == 1).text() for _, description in twins]
        videos = [video for video, _ in twins]
        # A generator's pixels are never exact: some batches are noisy, and then hardly anything is dropped.
        if rng.random() < 0.25:
            strength = rng.uniform(0, 6)
            videos = [np.clip(v + rng.normal(0, strength, v.shape), 0, 255).astype(np.uint8) for v in videos]
        tokens, position, run, extent = map(torch.from_numpy, captioner.prepare(videos, config.captioner.drop_threshold))
        ids = torch.from_numpy(tokenize(texts, config.captioner.max_tokens)[0])
        logits = model.decoder(ids[:, :-1], model.encoder(tokens, position, run, extent), run)
        loss, accuracy = next_word_loss(logits, ids)
        share = float((run > 0).sum()) / sum(patchify.tokens_of(patchify.grid_of(*v.shape[:3])) for v in videos)
        return loss, {"loss": loss.item(), "accuracy": accuracy, "kept": share, "tokens": float((run > 0).sum())}

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
        captions = [r.description(t.frames).text() for r in clips.records[:first]]
        parts = range(first, len(clips), 256)
        for begin in track(parts, f"captions {clips.size[0]}x{clips.size[1]}", console=Console(stderr=True)):
            captions += captioner.caption_clips(
                run, list(clips.video[begin : begin + 256]), config.captioner.drop_threshold, config.captioner.max_tokens
            )
        partial = target.with_suffix(".part")
        partial.write_text("".join(json.dumps(text) + "\n" for text in captions), encoding="utf-8")
        partial.rename(target)


def next_word_loss(logits: Tensor, ids: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy (nats) of each next word for logits (N, M-1, V) and ids (N, M), and its accuracy; without padding."""
    target = ids[:, 1:]
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0)
    right = ((logits.argmax(-1) == target) & (target != 0)).sum() / (target != 0).sum()
    return loss, float(right)


def refine(config: ModelConfig, folder: Path) -> None:
    """Train the prompt refiner on the captions: words of any level in, dense words out."""
    t = config.train
    torch.manual_seed(t.seed + 6)
    model = refiner.RefinerNetwork(config.refiner)
    width = config.refiner.max_tokens
    descriptions = [d for clips in data.load(t, folder / "data") for d in load_captions(folder, clips) if d.objects]

    def step(_: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        dense = [descriptions[i] for i in rng.integers(0, len(descriptions), t.refiner_batch)]
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


def compress(config: ModelConfig, folder: Path) -> None:
    """Train the VAE and encode all clips with it."""
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


def train(config: ModelConfig, folder: Path, threads: Threads | None = None) -> None:
    """Train the DiT with its text encoder; checkpoints `early` and `middle` are stored on the way."""
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
