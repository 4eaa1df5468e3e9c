"""Kandinsky 5 and 6, and Sana-Video."""

from __future__ import annotations

from typing import Any

import diffusers
import transformers
from diffusers.pipelines.kandinsky6 import pipeline_kandinsky6_ti2va

from docs.pages.tiny_pipelines import parts

DENOISER = {
    "in_visual_dim": 4,
    "out_visual_dim": 4,
    "in_text_dim": parts.TEXT,
    "in_text_dim2": parts.TEXT,
    "time_dim": 8,
    "model_dim": 16,
    "ff_dim": 16,
    "num_text_blocks": 1,
    "num_visual_blocks": 1,
    "axes_dims": (4, 6, 6),
}


def _processor(template: str) -> Any:
    tokenizer = parts.chat_tokenizer(template, padding_side="right")
    image, video = transformers.Qwen2VLImageProcessor(), transformers.Qwen2VLVideoProcessor()
    return transformers.Qwen2_5_VLProcessor(image_processor=image, tokenizer=tokenizer, video_processor=video)


def _kandinsky(transformer: Any, template: str = "") -> dict[str, Any]:
    config = transformers.Qwen2_5_VLConfig(
        text_config=parts.QWEN, vision_config=parts.QWEN_VISION | {"out_hidden_size": parts.TEXT}
    )
    return {
        "transformer": transformer,
        "vae": diffusers.AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
        ),
        "text_encoder": transformers.Qwen2_5_VLForConditionalGeneration(config),
        "tokenizer": _processor(template),
        "text_encoder_2": parts.clip_text(),
        "tokenizer_2": parts.clip_tokenizer(),
        "scheduler": parts.flow(shift=5.0),
    }


def _five(pipeline_class: Any, visual_cond: bool) -> Any:
    transformer = diffusers.Kandinsky5Transformer3DModel(**DENOISER, visual_cond=visual_cond)
    pipeline = pipeline_class(**_kandinsky(transformer))
    pipeline.register_modules(tokenizer=_processor(pipeline.prompt_template))
    return pipeline


def six() -> Any:
    transformer = diffusers.Kandinsky6Transformer3DModel(
        **DENOISER, in_audio_dim=4, out_audio_dim=4, visual_token_type_num_embeddings=2
    )
    components = _kandinsky(transformer, pipeline_kandinsky6_ti2va._PROMPT_TEMPLATE)
    sound = diffusers.MMAudioVAE(
        mel_bins=8,
        latent_channels=4,
        hidden_channels=8,
        channel_multipliers=(1, 2),
        layers_per_block=1,
        sample_rate=64,
        n_fft=16,
        hop_length=4,
    )
    vocoder = diffusers.MMAudioVocoder(
        num_mels=8,
        upsample_initial_channel=8,
        upsample_rates=(2, 2),  # their product is the hop of the VAE
        upsample_kernel_sizes=(4, 4),
        resblock_kernel_sizes=(3,),
        resblock_dilation_sizes=((1, 3),),
    )
    return diffusers.Kandinsky6TI2VAPipeline(**components, audio_vae=sound, vocoder=vocoder)


def _sana() -> dict[str, Any]:
    return {
        "tokenizer": parts.chat_tokenizer(),
        "text_encoder": transformers.Gemma2Model(transformers.Gemma2Config(**parts.DECODER)),
        "vae": parts.wan_vae(),
        "transformer": diffusers.SanaVideoTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=parts.TEXT,
        ),
        "scheduler": parts.flow(),
    }


PIPELINES = {
    "Kandinsky5T2VPipeline": lambda: _five(diffusers.Kandinsky5T2VPipeline, False),
    "Kandinsky5I2VPipeline": lambda: _five(diffusers.Kandinsky5I2VPipeline, True),
    "Kandinsky6TI2VAPipeline": six,
    "SanaVideoPipeline": lambda: diffusers.SanaVideoPipeline(**_sana()),
    "SanaImageToVideoPipeline": lambda: diffusers.SanaImageToVideoPipeline(**_sana()),
}
