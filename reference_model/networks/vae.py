"""Causal video VAE: 4 frames x 4x4 px to one latent site, T = 1 + 4k frames to 1 + k latent frames.

Pixel-unshuffle comes first, so nothing runs at full resolution, and each group of four frames is one step of time.
A block sees the present and the previous group only: no clip is changed by what comes after it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import VAEConfig
from reference_model.packing.shapes import SPACE_STRIDE, TIME_STRIDE


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the channels of (N, C, H, W); statistics over time would leak the future."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6) * self.gain


class CausalBlock(nn.Module):
    """Residual block of 2-D convolutions; the first sees `[x_t, x_{t-1}]`, with zeros before the first group."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(channels), RMSNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.past = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, batch: int) -> Tensor:
        """(B*G, C, H, W) to the same shape; the G groups of a clip are consecutive."""
        h = F.silu(self.norm1(x))
        groups = h.unflatten(0, (batch, -1))  # type: ignore[no-untyped-call]  # (B, G, C, H, W)
        past = torch.cat([torch.zeros_like(groups[:, :1]), groups[:, :-1]], 1).flatten(0, 1)
        h = F.silu(self.norm2(self.conv1(h) + self.past(past)))
        out: Tensor = x + self.conv2(h)
        return out


class VAE(nn.Module):
    """Encoder and decoder over normalised latents: `latent_mean` and `latent_std` are stored with the weights."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        wide, deep, z = config.width, 2 * config.width, config.latent_channels
        pixels = 3 * TIME_STRIDE * 4  # one group of four frames, unshuffled by 2
        self.enc_in = nn.Conv2d(pixels, wide, 3, padding=1)
        self.enc_high = nn.ModuleList(CausalBlock(wide) for _ in range(config.blocks))
        self.enc_down = nn.Conv2d(wide * 4, deep, 1)
        self.enc_low = nn.ModuleList(CausalBlock(deep) for _ in range(config.blocks))
        self.enc_out = nn.Conv2d(deep, 2 * z, 1)
        self.dec_in = nn.Conv2d(z, deep, 3, padding=1)
        self.dec_low = nn.ModuleList(CausalBlock(deep) for _ in range(config.blocks))
        self.dec_up = nn.Conv2d(deep, wide * 4, 1)
        self.dec_high = nn.ModuleList(CausalBlock(wide) for _ in range(config.blocks))
        self.dec_out = nn.Conv2d(wide, pixels, 3, padding=1)
        self.register_buffer("latent_mean", torch.zeros(z, 1, 1, 1))
        self.register_buffer("latent_std", torch.ones(z, 1, 1, 1))
        for block in [*self.enc_high, *self.enc_low, *self.dec_low, *self.dec_high]:
            nn.init.zeros_(block.conv2.weight)

    def moments(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the raw latent, each (B, z, 1+k, H/4, W/4), of a video (B, 3, 1+4k, H, W)."""
        batch, _, frames, height, width = video.shape
        first = video[:, :, :1]
        x = torch.cat([first, first, first, video], 2)  # (B, 3, 4G, H, W)
        groups = (frames + 3) // TIME_STRIDE
        x = x.permute(0, 2, 1, 3, 4).reshape(batch * groups, TIME_STRIDE * 3, height, width)
        x = self.enc_in(F.pixel_unshuffle(x, 2))  # (B*G, W1, H/2, W/2)
        for block in self.enc_high:
            x = block(x, batch)
        x = self.enc_down(F.pixel_unshuffle(x, 2))  # (B*G, W2, H/4, W/4)
        for block in self.enc_low:
            x = block(x, batch)
        x = self.enc_out(x).unflatten(0, (batch, groups)).permute(0, 2, 1, 3, 4)  # (B, 2z, G, H/4, W/4)
        mean, logvar = x.chunk(2, 1)
        return mean, logvar.clamp(-20.0, 10.0)

    def encode(self, video: Tensor) -> Tensor:
        """Normalised latent (B, z, 1+k, H/4, W/4) of a video (B, 3, 1+4k, H, W) in [-1, 1]; the mean, no sampling."""
        return (self.moments(video)[0] - self.latent_mean) / self.latent_std

    def decode_raw(self, latent: Tensor) -> Tensor:
        """Video (B, 3, 1+4k, H, W), about [-1, 1], of a raw latent (B, z, 1+k, H/4, W/4)."""
        batch, _, groups, height, width = latent.shape
        x = self.dec_in(latent.permute(0, 2, 1, 3, 4).reshape(batch * groups, -1, height, width))
        for block in self.dec_low:
            x = block(x, batch)
        x = F.pixel_shuffle(self.dec_up(x), 2)
        for block in self.dec_high:
            x = block(x, batch)
        x = F.pixel_shuffle(self.dec_out(x), 2)  # (B*G, 4*3, H, W)
        x = x.reshape(batch, groups * TIME_STRIDE, 3, height * SPACE_STRIDE, width * SPACE_STRIDE)
        return x.permute(0, 2, 1, 3, 4)[:, :, TIME_STRIDE - 1 :]

    def decode(self, latent: Tensor) -> Tensor:
        """Video (B, 3, 1+4k, H, W) of a normalised latent (B, z, 1+k, H/4, W/4); the inverse of `encode` up to its loss."""
        return self.decode_raw(latent * self.latent_std + self.latent_mean)


def vae_loss(vae: VAE, video: Tensor, coverage: Tensor, noise: Tensor) -> tuple[Tensor, dict[str, float]]:
    """mean(w (|d| + 2 d^2)) + 0.5 mean(w |grad d|) + kl_weight KL, and its parts: loss, psnr, psnr_fg (dB on objects), kl.

    d is the pixel error; the weight w is 1, up to 7 on and next to objects: without it small objects vanish first.
    `video` (B, 3, T, H, W) in [-1, 1], `coverage` (B, 1, T, H, W) in [0, 1], `noise` like the latent.
    """
    mean, logvar = vae.moments(video)
    mean, logvar = mean.float(), logvar.float()
    out = vae.decode_raw(mean + noise * torch.exp(0.5 * logvar)).float()
    weight = 1.0 + 6.0 * F.max_pool3d(coverage, (1, 3, 3), 1, (0, 1, 1))
    diff = out - video
    pixels = ((diff.abs() + 2.0 * diff.square()) * weight).mean()
    gradients = (diff.diff(dim=-1).abs() * weight[..., 1:]).mean() + (diff.diff(dim=-2).abs() * weight[..., 1:, :]).mean()
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
    loss = pixels + 0.5 * gradients + vae.config.kl_weight * kl
    with torch.no_grad():
        mse = (out.clamp(-1, 1) - video).square() / 4  # on [0, 1]
        psnr = -10 * torch.log10(mse.mean())
        foreground = (mse * coverage).sum() / (3 * coverage.sum()).clamp(min=1e-6)
    kl_now = float(kl.detach())
    return loss, {"loss": loss.item(), "psnr": float(psnr), "psnr_fg": float(-10 * torch.log10(foreground)), "kl": kl_now}
