"""The pipelines around a UNet: AnimateDiff and PIA, ModelScope, Text2Video-Zero, Stable Video Diffusion, I2VGen-XL."""

from __future__ import annotations

from typing import Any

import diffusers
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

from docs.pages.tiny_pipelines import parts

WIDTHS = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
CROSS = {"cross_attention_dim": parts.TEXT, "attention_head_dim": 4}


def _text() -> dict[str, Any]:
    return {"text_encoder": parts.clip_text(), "tokenizer": parts.clip_tokenizer()}


def _two_texts() -> dict[str, Any]:
    second = {"text_encoder_2": parts.clip_text(projection=parts.TEXT), "tokenizer_2": parts.clip_tokenizer()}
    return _text() | second


def _ddim(**config: Any) -> Any:
    return diffusers.DDIMScheduler(beta_schedule="linear", clip_sample=False, **config)


def _unet(**config: Any) -> Any:
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "sample_size": 8,
    }
    return diffusers.UNet2DConditionModel(**blocks | WIDTHS | CROSS | config)


def _xl_unet() -> Any:
    return _unet(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + parts.TEXT,
        cross_attention_dim=2 * parts.TEXT,
    )


def _motion(**config: Any) -> Any:
    shape = {
        "block_out_channels": (8, 16),
        "motion_layers_per_block": 1,
        "motion_norm_num_groups": 4,
        "motion_num_attention_heads": 4,
    }
    return diffusers.MotionAdapter(**shape | config)


def animatediff(pipeline_class: Any, **motion: Any) -> Any:
    return pipeline_class(vae=parts.sd_vae(), unet=_unet(), motion_adapter=_motion(**motion), scheduler=_ddim(), **_text())


def animatediff_xl() -> Any:
    return diffusers.AnimateDiffSDXLPipeline(
        vae=parts.sd_vae(),
        unet=_xl_unet(),
        motion_adapter=_motion(use_motion_mid_block=False),
        scheduler=_ddim(),
        **_two_texts(),
    )


def modelscope() -> Any:
    unet = diffusers.UNet3DConditionModel(
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        sample_size=8,
        **WIDTHS | CROSS,
    )
    return diffusers.TextToVideoSDPipeline(vae=parts.sd_vae(), unet=unet, scheduler=_ddim(), **_text())


def zero() -> Any:
    checker = StableDiffusionSafetyChecker(
        transformers.CLIPConfig(vision_config=parts.clip_vision().config.to_dict(), projection_dim=parts.TEXT)
    )
    return diffusers.TextToVideoZeroPipeline(
        vae=parts.sd_vae(),
        unet=_unet(),
        scheduler=_ddim(),
        safety_checker=checker,
        feature_extractor=parts.clip_image_processor(),
        **_text(),
    )


def zero_xl() -> Any:
    return diffusers.TextToVideoZeroSDXLPipeline(
        vae=parts.sd_vae(), unet=_xl_unet(), scheduler=_ddim(), add_watermarker=False, **_two_texts()
    )


def stable_video() -> Any:
    unet = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32),  # its norms have 32 groups
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=parts.TEXT,
        num_attention_heads=4,
        projection_class_embeddings_input_dim=24,
        addition_time_embed_dim=8,
        num_frames=8,
        sample_size=8,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32,) * 4, down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=1
    )
    return diffusers.StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=parts.clip_vision(projection=True, side=224, patch=32),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            prediction_type="v_prediction",
            timestep_type="continuous",
            sigma_min=0.002,
            sigma_max=700.0,
            use_karras_sigmas=True,
        ),
        feature_extractor=parts.clip_image_processor(),
    )


def i2vgen() -> Any:
    unet = diffusers.I2VGenXLUNet(
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        sample_size=8,
        **WIDTHS | CROSS,
    )
    return diffusers.I2VGenXLPipeline(
        vae=parts.sd_vae(),
        image_encoder=parts.clip_vision(projection=True),
        feature_extractor=parts.clip_image_processor(),
        unet=unet,
        scheduler=_ddim(),
        **_text(),
    )


PIPELINES = {
    "AnimateDiffPipeline": lambda: animatediff(diffusers.AnimateDiffPipeline),
    "AnimateDiffPAGPipeline": lambda: animatediff(diffusers.AnimateDiffPAGPipeline),
    "AnimateDiffSDXLPipeline": animatediff_xl,
    "PIAPipeline": lambda: animatediff(diffusers.PIAPipeline, conv_in_channels=9),
    "TextToVideoSDPipeline": modelscope,
    "TextToVideoZeroPipeline": zero,
    "TextToVideoZeroSDXLPipeline": zero_xl,
    "StableVideoDiffusionPipeline": stable_video,
    "I2VGenXLPipeline": i2vgen,
}
