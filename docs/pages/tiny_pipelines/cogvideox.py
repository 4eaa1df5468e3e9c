"""CogVideoX and the others that pair a T5 encoder with a transformer of their own: Mochi, Allegro, Latte, EasyAnimate."""

from __future__ import annotations

from typing import Any

import diffusers
import transformers

from docs.pages.tiny_pipelines import parts

HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}


def _t5(**parts_of_the_class: Any) -> dict[str, Any]:
    return {"tokenizer": parts.t5_tokenizer(), "text_encoder": parts.t5(), **parts_of_the_class}


def _cogvideox(in_channels: int) -> dict[str, Any]:
    vae = diffusers.AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2
    )
    transformer = diffusers.CogVideoXTransformer3DModel(
        **HEADS,
        in_channels=in_channels,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=parts.TEXT,
        num_layers=1,
        sample_width=8,
        sample_height=8,
        sample_frames=9,
        use_rotary_positional_embeddings=True,
    )
    return _t5(vae=vae, transformer=transformer, scheduler=diffusers.CogVideoXDDIMScheduler())


def mochi() -> Any:
    shallow = {"block_out_channels": (32, 32, 32, 32)}
    vae = diffusers.AutoencoderKLMochi(
        **{f"{half}_{name}": value for half in ("encoder", "decoder") for name, value in shallow.items()},
        layers_per_block=(1, 1, 1, 1, 1),
    )
    transformer = diffusers.MochiTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        text_embed_dim=parts.TEXT,
        time_embed_dim=8,
        max_sequence_length=256,
    )
    return diffusers.MochiPipeline(**_t5(vae=vae, transformer=transformer, scheduler=parts.flow()))


def allegro() -> Any:
    vae = diffusers.AutoencoderKLAllegro(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2, sample_size=128
    )
    transformer = diffusers.AllegroTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=24,
        num_layers=1,
        cross_attention_dim=48,
        caption_channels=parts.TEXT,
        sample_height=16,
        sample_width=16,
        sample_frames=6,
    )
    scheduler = diffusers.EulerAncestralDiscreteScheduler()
    return diffusers.AllegroPipeline(**_t5(vae=vae, transformer=transformer, scheduler=scheduler))


def latte() -> Any:
    transformer = diffusers.LatteTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        cross_attention_dim=16,
        attention_bias=True,
        sample_size=8,
        patch_size=2,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        caption_channels=parts.TEXT,
        video_length=8,
    )
    return diffusers.LattePipeline(**_t5(vae=parts.sd_vae(), transformer=transformer, scheduler=diffusers.DDIMScheduler()))


def easyanimate() -> Any:
    vae = diffusers.AutoencoderKLMagvit(
        latent_channels=4, block_out_channels=[8, 8, 8, 8], layers_per_block=1, norm_num_groups=2
    )
    transformer = diffusers.EasyAnimateTransformer3DModel(
        **HEADS,
        in_channels=4,
        out_channels=4,
        patch_size=2,
        sample_width=8,
        sample_height=8,
        num_layers=1,
        mmdit_layers=1,
        time_embed_dim=8,
        text_embed_dim=parts.TEXT,
    )
    qwen = transformers.Qwen2VLForConditionalGeneration(
        transformers.Qwen2VLConfig(text_config=parts.QWEN, vision_config=parts.QWEN_VISION)
    )
    return diffusers.EasyAnimatePipeline(
        vae=vae, text_encoder=qwen, tokenizer=parts.chat_tokenizer(), transformer=transformer, scheduler=parts.flow()
    )


PIPELINES = {
    "CogVideoXPipeline": lambda: diffusers.CogVideoXPipeline(**_cogvideox(4)),
    "CogVideoXImageToVideoPipeline": lambda: diffusers.CogVideoXImageToVideoPipeline(**_cogvideox(8)),
    "MochiPipeline": mochi,
    "AllegroPipeline": allegro,
    "LattePipeline": latte,
    "EasyAnimatePipeline": easyanimate,
}
