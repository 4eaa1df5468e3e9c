"""All sizes of the model in one place, as strict records: an unknown key is an error, never ignored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from reference_model.errors import ReferenceModelError

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
MOST_BYTES = 1 << 20  # of a config file

# Sizes beyond any use are errors, found before memory is asked for.
Width = Annotated[int, Field(ge=1, le=1 << 13)]
Part = Annotated[int, Field(ge=0, le=1 << 13)]  # of a width
Channels = Annotated[int, Field(ge=1, le=1 << 10)]
Depth = Annotated[int, Field(ge=1, le=1 << 8)]
Tokens = Annotated[int, Field(ge=1, le=1 << 20)]


class ConfigError(ReferenceModelError):
    """A config file or an override that cannot be used."""


@dataclass(frozen=True, config=STRICT)
class VAEConfig:
    """4 frames x 4x4 px become one latent site of `latent_channels` values."""

    width: Width = 48
    latent_channels: Channels = 8
    blocks: Depth = 2
    kl_weight: float = 1e-3  # noise then costs about 1e-3 of a loss of 3e-2, and latents carry no texture for nothing


@dataclass(frozen=True, config=STRICT)
class TextConfig:
    """A transformer over words: `width` of a state, layers, heads, and the longest prompt in tokens."""

    width: Width = 128
    depth: Depth = 3
    heads: Depth = 4
    max_tokens: Tokens = 48


@dataclass(frozen=True, config=STRICT)
class DiTConfig:
    """The diffusion transformer and its packs."""

    width: Width = 128
    depth: Depth = 8
    heads: Depth = 4
    rope_split: tuple[Part, Part, Part] = (8, 12, 12)  # of the head width, for t, y, x
    rope_base: float = 100.0
    pack_tokens: Tokens = 256
    channels: Channels = 8  # of the latent
    skip: bool = False  # the network predicts the part of the velocity that its input does not; see flow.skip


@dataclass(frozen=True, config=STRICT)
class CaptionerConfig:
    """The recaptioner: encoder and decoder of one width and depth."""

    width: Width = 128
    depth: Depth = 3  # of the encoder, and of the decoder
    heads: Depth = 4
    max_tokens: Tokens = 48
    drop_threshold: float = 8.0  # grey levels within which a tubelet is dropped


@dataclass(frozen=True, config=STRICT)
class RefinerConfig(TextConfig):
    """The prompt refiner: encoder and decoder of one width and depth."""

    width: Width = 96
    depth: Depth = 2


@dataclass(frozen=True, config=STRICT)
class SamplingConfig:
    """Defaults of generation; docs/reference_training.md says how those of the shipped checkpoints were chosen."""

    num_inference_steps: Tokens = 20
    guidance_scale: float = 3.0
    time_shift: float = 3.0  # 1 is none; see flow.shift_times
    guidance_times: tuple[float, float] = (0.0, 1.0)  # guidance acts between these; 1 is noise


@dataclass(frozen=True, config=STRICT)
class TrainConfig:
    """Clips, and steps, batches and learning rates of every stage."""

    seed: int = 0
    clips: int = 16000
    sizes: tuple[tuple[int, int], ...] = ((32, 32), (24, 40), (40, 24), (48, 48))  # height x width
    frames: int = 17
    counts: tuple[float, float, float] = (0.6, 0.3, 0.1)  # probability of 1, 2 and 3 objects
    crossing: float = 0.0  # share of the clips of several objects that are drawn until two of them meet
    vae_steps: int = 4600
    vae_batch: int = 8
    vae_lr: float = 1.5e-3
    labelled: float = 0.3  # share of the clips whose facts are known; the recaptioner writes for the others
    captioner_steps: int = 1600
    captioner_batch: int = 32
    captioner_lr: float = 1e-3
    refiner_steps: int = 1200
    refiner_batch: int = 64
    refiner_lr: float = 1.5e-3
    dit_steps: int = 5000
    dit_packs: int = 8
    dit_lr: float = 1e-3
    early_fraction: float = 0.1
    middle_fraction: float = 0.4
    logit_normal: bool = True  # times of training; off is uniform
    time_shift: float = 3.0  # of the logit-normal times
    object_weight: float = 4.0  # of the loss at tokens that hold an object: backgrounds are most of a clip
    object_times: tuple[float, float] = (0.4, 0.8)  # the weight is whole up to the first time, and 1 from the second
    bf16: bool = False  # the DiT's steps in bf16 autocast; weights, averages, optimiser and loss stay in fp32
    continued: float = 0.15  # share of clips whose first latent frames are given
    drop_rate: float = 0.0  # share of clips trained without their repeated tokens, falling to 0 by the middle
    text_dropout: float = 0.1
    ema_decay: float = 0.999
    clip_steps: int = 450
    clip_batch: int = 128
    clip_lr: float = 1e-3
    save_every: int = 250


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """The whole configuration: one table per network, sampling and training."""

    vae: VAEConfig = field(default_factory=VAEConfig)
    text: TextConfig = field(default_factory=TextConfig)
    dit: DiTConfig = field(default_factory=DiTConfig)
    captioner: CaptionerConfig = field(default_factory=CaptionerConfig)
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def save(self, path: Path) -> None:
        """Write the config as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(
        vae=VAEConfig(width=8, blocks=1),
        text=TextConfig(width=32, depth=1, heads=2),
        dit=DiTConfig(width=32, depth=2, heads=2, rope_split=(4, 6, 6), pack_tokens=128, skip=True),
        captioner=CaptionerConfig(width=32, depth=1, heads=2),
        refiner=RefinerConfig(width=32, depth=1, heads=2),
        sampling=SamplingConfig(num_inference_steps=4),
        train=TrainConfig(
            clips=16,
            vae_steps=20,
            vae_batch=2,
            captioner_steps=10,
            captioner_batch=4,
            refiner_steps=10,
            refiner_batch=8,
            dit_steps=20,
            dit_packs=2,
            bf16=True,
            clip_steps=4,
            clip_batch=8,
            save_every=5,
        ),
    ),
    "base": ModelConfig(),
    "long": ModelConfig(
        dit=DiTConfig(pack_tokens=320, skip=True),
        sampling=SamplingConfig(guidance_scale=5.0, guidance_times=(0.6, 1.0)),
        train=TrainConfig(
            seed=11,
            clips=28700,
            sizes=((32, 32), (24, 40), (40, 24), (48, 48), (64, 64)),
            counts=(0.45, 0.33, 0.22),
            crossing=0.15,
            labelled=0.9,
            dit_steps=20000,
            dit_packs=10,
            time_shift=5.0,
            ema_decay=0.9995,
            bf16=True,
            save_every=100,
        ),
    ),
    "large": ModelConfig(
        vae=VAEConfig(width=96),
        text=TextConfig(width=384, depth=6, heads=12),
        dit=DiTConfig(width=384, depth=12, heads=12, pack_tokens=1024),
        captioner=CaptionerConfig(width=256, depth=6, heads=8),
        train=TrainConfig(
            clips=100000,
            vae_steps=30000,
            vae_batch=32,
            captioner_steps=20000,
            dit_steps=80000,
            dit_packs=16,
            dit_lr=5e-4,
        ),
    ),
}


def parse_config(text: str, where: str) -> ModelConfig:
    """A config from JSON. Raises ConfigError with the field and the nearest known key or the expected type; `where` is the
    source in its message."""
    try:
        return TypeAdapter(ModelConfig).validate_json(text)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem, where) for problem in error.errors(include_url=False))) from None


def _explain(problem: Any, where: str) -> str:
    if problem["type"] == "json_invalid":
        return f"{where} is not JSON: {problem['ctx']['error']}"
    *tables, key = map(str, problem["loc"]) if problem["loc"] else ("the file",)
    if problem["type"] == "unexpected_keyword_argument":
        table = getattr(ModelConfig(), tables[0]) if tables else ModelConfig()
        names = [f.name for f in fields(table)]
        near = get_close_matches(key, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(names)}"
        return f"{'.'.join([where, *tables])}: unknown key {key!r}{hint}"
    message = f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"{'.'.join([where, *tables, key])}: found {problem['input']!r:.60}, {message}"


def override(config: ModelConfig, settings: Sequence[str]) -> ModelConfig:
    """The config with `table.key=value` settings, values in JSON. Raises ConfigError for an unknown key or a wrong type.

    >>> override(ModelConfig(), ["train.dit_steps=100"]).train.dit_steps
    100
    """
    data = asdict(config)
    for setting in settings:
        place, equals, value = setting.partition("=")
        table, dot, key = place.partition(".")
        if not (equals and dot and isinstance(data.get(table), dict)):
            raise ConfigError(f"{setting!r} is not TABLE.KEY=VALUE with a table of: {', '.join(data)}")
        try:
            data[table][key] = json.loads(value)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{setting!r}: {value!r} is not a JSON value") from error
    return parse_config(json.dumps(data), "--set")


def load_config(path: Path) -> ModelConfig:
    """Read a config file written by `ModelConfig.save`. Raises ConfigError for a missing or invalid one."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} has {path.stat().st_size} bytes; expected at most {MOST_BYTES}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; a checkpoint folder holds config.json beside its weights") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return parse_config(text, str(path))
