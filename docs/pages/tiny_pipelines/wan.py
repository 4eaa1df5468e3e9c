"""Wan and the pipelines that share its VAE and text encoder: SkyReels V2, AnyFlow, Helios."""

from __future__ import annotations

from typing import Any

import diffusers

from docs.pages.tiny_pipelines import parts

DENOISER = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": parts.TEXT,
    "freq_dim": 64,
    "ffn_dim": 32,
    "num_layers": 2,
}
BY_IMAGE = DENOISER | {"in_channels": 36, "image_dim": parts.TEXT, "added_kv_proj_dim": 24}  # noise, image and mask


def _text(scheduler: Any) -> dict[str, Any]:
    return {"tokenizer": parts.t5_tokenizer(), "text_encoder": parts.umt5(), "vae": parts.wan_vae(), "scheduler": scheduler}


def _unipc() -> Any:
    return diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


def _image() -> dict[str, Any]:
    return {"image_encoder": parts.clip_vision(), "image_processor": parts.clip_image_processor()}


def wan() -> Any:
    return diffusers.WanPipeline(transformer=diffusers.WanTransformer3DModel(**DENOISER), **_text(_unipc()))


def wan_image() -> Any:
    return diffusers.WanImageToVideoPipeline(
        transformer=diffusers.WanTransformer3DModel(**BY_IMAGE), **_text(_unipc()), **_image()
    )


def wan_vace() -> Any:
    transformer = diffusers.WanVACETransformer3DModel(**DENOISER, vace_layers=[0], vace_in_channels=96)
    return diffusers.WanVACEPipeline(transformer=transformer, **_text(_unipc()))


def skyreels() -> Any:
    return diffusers.SkyReelsV2Pipeline(transformer=diffusers.SkyReelsV2Transformer3DModel(**DENOISER), **_text(_unipc()))


def skyreels_image() -> Any:
    transformer = diffusers.SkyReelsV2Transformer3DModel(**BY_IMAGE)
    return diffusers.SkyReelsV2ImageToVideoPipeline(transformer=transformer, **_text(_unipc()), **_image())


def skyreels_forcing() -> Any:
    transformer = diffusers.SkyReelsV2Transformer3DModel(**DENOISER, inject_sample_info=True)
    return diffusers.SkyReelsV2DiffusionForcingPipeline(transformer=transformer, **_text(_unipc()))


def skyreels_forcing_image() -> Any:
    transformer = diffusers.SkyReelsV2Transformer3DModel(**DENOISER, inject_sample_info=True)
    return diffusers.SkyReelsV2DiffusionForcingImageToVideoPipeline(transformer=transformer, **_text(_unipc()))


def anyflow() -> Any:
    transformer = diffusers.AnyFlowTransformer3DModel(**DENOISER)
    return diffusers.AnyFlowPipeline(transformer=transformer, **_text(diffusers.FlowMapEulerDiscreteScheduler()))


def anyflow_far() -> Any:
    transformer = diffusers.AnyFlowFARTransformer3DModel(**DENOISER, chunk_partition=(1, 2))
    return diffusers.AnyFlowFARPipeline(transformer=transformer, **_text(diffusers.FlowMapEulerDiscreteScheduler()))


def helios() -> Any:
    transformer = diffusers.HeliosTransformer3DModel(**DENOISER, rope_dim=(4, 4, 4))
    return diffusers.HeliosPipeline(transformer=transformer, **_text(diffusers.HeliosScheduler(stages=1, stage_range=[0, 1])))


def helios_pyramid() -> Any:
    transformer = diffusers.HeliosTransformer3DModel(**DENOISER, rope_dim=(4, 4, 4))
    return diffusers.HeliosPyramidPipeline(transformer=transformer, **_text(diffusers.HeliosScheduler(gamma=0.3)))


PIPELINES = {
    "WanPipeline": wan,
    "WanImageToVideoPipeline": wan_image,
    "WanVACEPipeline": wan_vace,
    "SkyReelsV2Pipeline": skyreels,
    "SkyReelsV2ImageToVideoPipeline": skyreels_image,
    "SkyReelsV2DiffusionForcingPipeline": skyreels_forcing,
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": skyreels_forcing_image,
    "AnyFlowPipeline": anyflow,
    "AnyFlowFARPipeline": anyflow_far,
    "HeliosPipeline": helios,
    "HeliosPyramidPipeline": helios_pyramid,
}
