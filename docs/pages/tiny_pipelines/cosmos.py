"""NVIDIA's Cosmos: world models 1, 2, 2.5 and 3.

The safety checker is not saved: it is a package of its own with gigabytes of weights. Whoever opens one of these passes
`safety_checker=`, as with the released checkpoints.
"""

from __future__ import annotations

from typing import Any

import diffusers
import transformers

from docs.pages.tiny_pipelines import parts


class Anything:
    """Stands in for the safety checker while a pipeline is built: what is asked for is allowed."""

    def to(self, device: Any) -> Anything:
        return self

    def check_text_safety(self, text: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def _transformer(in_channels: int, **config: Any) -> Any:
    shape = {
        "out_channels": 16,
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 1,
        "mlp_ratio": 2,
        "text_embed_dim": parts.TEXT,
        "adaln_lora_dim": 4,
        "max_size": (16, 32, 32),
        "rope_scale": (1.0, 1.0, 1.0),
    }
    return diffusers.CosmosTransformer3DModel(in_channels=in_channels, **shape | config)


def _world(pipeline_class: Any, transformer: Any, vae: Any, scheduler: Any, **text: Any) -> Any:
    text = text or {"text_encoder": parts.t5(), "tokenizer": parts.t5_tokenizer()}
    pipeline = pipeline_class(transformer=transformer, vae=vae, scheduler=scheduler, safety_checker=Anything(), **text)
    pipeline.register_modules(safety_checker=None)
    return pipeline


def _vae() -> Any:
    narrow = {"encoder_block_out_channels": (8, 8, 8, 8), "decode_block_out_channels": (8, 8, 8, 8)}
    means, spreads = [0.0] * 16 * 16, [1.0] * 16 * 16  # per channel and latent frame
    return diffusers.AutoencoderKLCosmos(
        **narrow, attention_resolutions=(8,), resolution=64, num_layers=1, latents_mean=means, latents_std=spreads
    )


def _euler() -> Any:
    return diffusers.EDMEulerScheduler(sigma_max=80.0, sigma_data=1.0, prediction_type="epsilon")


def predict25() -> Any:
    config = transformers.Qwen2_5_VLConfig(
        text_config=parts.QWEN, vision_config=parts.QWEN_VISION | {"out_hidden_size": parts.TEXT}
    )
    layers = parts.QWEN["num_hidden_layers"]
    transformer = _transformer(
        17,
        text_embed_dim=parts.TEXT,
        extra_pos_embed_type=None,
        use_crossattn_projection=True,
        crossattn_proj_in_channels=parts.TEXT * layers,
        encoder_hidden_states_channels=parts.TEXT,
    )
    return _world(
        diffusers.Cosmos2_5_PredictBasePipeline,
        transformer,
        parts.wan_vae(),
        diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=parts.chat_tokenizer(),
    )


def omni() -> Any:
    transformer = diffusers.Cosmos3OmniTransformer(
        head_dim=12,
        hidden_size=24,
        intermediate_size=24,
        latent_channel=16,
        latent_patch_size=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_hidden_layers=1,
        patch_latent_dim=16,
        rope_axes_dim=[2, 2, 2],
        vocab_size=parts.VOCABULARY,
    )
    return diffusers.Cosmos3OmniPipeline(
        transformer=transformer,
        text_tokenizer=parts.chat_tokenizer(),
        vae=parts.wan_vae(),
        scheduler=diffusers.UniPCMultistepScheduler(),
        enable_safety_checker=False,
    )


PIPELINES = {
    "CosmosTextToWorldPipeline": lambda: _world(diffusers.CosmosTextToWorldPipeline, _transformer(16), _vae(), _euler()),
    "CosmosVideoToWorldPipeline": lambda: _world(diffusers.CosmosVideoToWorldPipeline, _transformer(17), _vae(), _euler()),
    "Cosmos2VideoToWorldPipeline": lambda: _world(
        diffusers.Cosmos2VideoToWorldPipeline,
        _transformer(17, extra_pos_embed_type=None),
        parts.wan_vae(),
        parts.flow(use_karras_sigmas=True),
    ),
    "Cosmos2_5_PredictBasePipeline": predict25,
    "Cosmos3OmniPipeline": omni,
}
