"""HunyuanVideo, its image, SkyReels and FramePack forms, HunyuanVideo 1.5, and Motif-Video."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import transformers
from diffusers.guiders import AdaptiveProjectedGuidance, ClassifierFreeGuidance
from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video, pipeline_hunyuan_video_image2video

from docs.pages.tiny_pipelines import parts

DENOISER = {
    "num_attention_heads": 2,
    "attention_head_dim": 10,
    "num_layers": 1,
    "num_single_layers": 1,
    "num_refiner_layers": 1,
    "text_embed_dim": parts.TEXT,
    "pooled_projection_dim": parts.TEXT,
    "rope_axes_dim": (2, 4, 4),
}
TEMPLATE = pipeline_hunyuan_video.DEFAULT_PROMPT_TEMPLATE["template"]
IMAGE_TEMPLATE = pipeline_hunyuan_video_image2video.DEFAULT_PROMPT_TEMPLATE["template"]
EMBEDDING = inspect.signature(diffusers.HunyuanVideo15Pipeline._get_mllm_prompt_embeds)
MESSAGE = EMBEDDING.parameters["system_message"].default


def _hunyuan(transformer: Any, encoder: Any = None, template: str = TEMPLATE) -> dict[str, Any]:
    return {
        "text_encoder": encoder or parts.llama(),
        "tokenizer": parts.chat_tokenizer(template),
        "transformer": transformer,
        "vae": diffusers.AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
        ),
        "scheduler": parts.flow(shift=7.0),
        "text_encoder_2": parts.clip_text(),
        "tokenizer_2": parts.clip_tokenizer(),
    }


def _transformer(in_channels: int, **config: Any) -> Any:
    return diffusers.HunyuanVideoTransformer3DModel(in_channels=in_channels, out_channels=4, **DENOISER | config)


def image() -> Any:
    llava = transformers.LlavaForConditionalGeneration(
        transformers.LlavaConfig(
            text_config=transformers.LlamaConfig(**parts.DECODER),
            vision_config=parts.clip_vision(side=336, patch=14).config,
            image_token_index=parts.SPECIAL.index("<image>"),
            pad_token_id=0,
        )
    )
    transformer = _transformer(9, image_condition_type="latent_concat", guidance_embeds=False)
    components = _hunyuan(transformer, llava, IMAGE_TEMPLATE)
    return diffusers.HunyuanVideoImageToVideoPipeline(image_processor=parts.clip_image_processor(336), **components)


def skyreels() -> Any:
    return diffusers.HunyuanSkyreelsImageToVideoPipeline(**_hunyuan(_transformer(8, guidance_embeds=False)))


def framepack() -> Any:
    transformer = diffusers.HunyuanVideoFramepackTransformer3DModel(
        in_channels=4, out_channels=4, has_image_proj=True, image_proj_dim=parts.TEXT, has_clean_x_embedder=True, **DENOISER
    )
    return diffusers.HunyuanVideoFramepackPipeline(**_hunyuan(transformer), **parts.siglip())


def _hunyuan15(task: str) -> dict[str, Any]:
    return {
        "text_encoder": transformers.Qwen2_5_VLTextModel(transformers.Qwen2_5_VLTextConfig(**parts.QWEN)),
        "tokenizer": parts.chat_tokenizer(MESSAGE),
        "transformer": diffusers.HunyuanVideo15Transformer3DModel(
            in_channels=9,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=parts.TEXT,
            text_embed_2_dim=parts.TEXT,
            image_embed_dim=parts.TEXT,
            rope_axes_dim=(2, 4, 4),
            target_size=64,
            task_type=task,
        ),
        "vae": diffusers.AutoencoderKLHunyuanVideo15(
            latent_channels=4,
            block_out_channels=(8,) * 5,
            layers_per_block=1,
            downsample_match_channel=False,
            upsample_match_channel=False,
        ),
        "scheduler": parts.flow(shift=7.0),
        "text_encoder_2": parts.t5(vocab_size=384),
        "tokenizer_2": transformers.ByT5Tokenizer(),
        "guider": ClassifierFreeGuidance(guidance_scale=6.0),
    }


def _motif() -> dict[str, Any]:
    encoder = transformers.T5Gemma2Encoder(
        transformers.T5Gemma2EncoderConfig(text_config=parts.DECODER | {"dropout_rate": 0.0}, vision_config=parts.SIGLIP)
    )
    transformer = diffusers.MotifVideoTransformer3DModel(
        in_channels=33,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_single_layers=1,
        text_embed_dim=parts.TEXT,
        image_embed_dim=parts.TEXT,
        rope_axes_dim=(4, 4, 4),
    )
    return {
        "scheduler": parts.flow(shift=7.0),
        "vae": parts.wan_vae(),
        "text_encoder": encoder,
        "tokenizer": parts.t5_tokenizer(),
        "transformer": transformer,
        "guider": AdaptiveProjectedGuidance(),
        "feature_extractor": parts.siglip()["feature_extractor"],
    }


PIPELINES = {
    "HunyuanVideoPipeline": lambda: diffusers.HunyuanVideoPipeline(**_hunyuan(_transformer(4))),
    "HunyuanVideoImageToVideoPipeline": image,
    "HunyuanSkyreelsImageToVideoPipeline": skyreels,
    "HunyuanVideoFramepackPipeline": framepack,
    "HunyuanVideo15Pipeline": lambda: diffusers.HunyuanVideo15Pipeline(**_hunyuan15("t2v")),
    "HunyuanVideo15ImageToVideoPipeline": lambda: diffusers.HunyuanVideo15ImageToVideoPipeline(
        **_hunyuan15("i2v"), **parts.siglip()
    ),
    "MotifVideoPipeline": lambda: diffusers.MotifVideoPipeline(**_motif()),
    "MotifVideoImage2VideoPipeline": lambda: diffusers.MotifVideoImage2VideoPipeline(**_motif()),
}
