"""LTX-Video and LTX-2, which makes sound too."""

from __future__ import annotations

from typing import Any

import diffusers
import transformers
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

from docs.pages.tiny_pipelines import parts

WIDE, SHALLOW = (8,) * 4, (1,) * 5


def _ltx(scheduler: Any = None) -> dict[str, Any]:
    return {
        "scheduler": scheduler or parts.flow(),
        "vae": diffusers.AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=WIDE,
            decoder_block_out_channels=WIDE,
            layers_per_block=SHALLOW,
            decoder_layers_per_block=SHALLOW,
        ),
        "text_encoder": parts.t5(),
        "tokenizer": parts.t5_tokenizer(),
        "transformer": diffusers.LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            num_layers=1,
            caption_channels=parts.TEXT,
        ),
    }


def _ltx2(keyframes: bool = False) -> dict[str, Any]:
    gemma = transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(
            text_config=parts.DECODER | {"sliding_window": 16},
            vision_config={"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
        )
    )
    audio = diffusers.AutoencoderKLLTX2Audio(
        base_channels=4, ch_mult=(1, 1, 1), num_res_blocks=1, resolution=32, latent_channels=2, mel_bins=8
    )
    heads = {"num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 1, "num_learnable_registers": None}
    connectors = {f"{side}_connector_{name}": value for side in ("video", "audio") for name, value in heads.items()}
    return {
        "scheduler": parts.flow(),
        "vae": diffusers.AutoencoderKLLTX2Video(
            latent_channels=8,
            block_out_channels=WIDE,
            decoder_block_out_channels=WIDE[:3],
            layers_per_block=SHALLOW,
            decoder_layers_per_block=SHALLOW[:4],
            upsample_residual=(False,) * 3,
            upsample_factor=(1,) * 3,
            decoder_spatial_padding_mode="zeros",
            spatial_compression_ratio=32,
            temporal_compression_ratio=8,
        ),
        "audio_vae": audio,
        "text_encoder": gemma,
        "tokenizer": parts.chat_tokenizer(padding_side="left"),
        "connectors": LTX2TextConnectors(
            caption_channels=parts.TEXT,
            text_proj_in_factor=parts.DECODER["num_hidden_layers"] + 1,
            rope_double_precision=False,
            rope_type="split",
            **connectors,
        ),
        "transformer": diffusers.LTX2VideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            audio_in_channels=4,
            audio_out_channels=4,
            audio_num_attention_heads=2,
            audio_attention_head_dim=4,
            audio_cross_attention_dim=8,
            num_layers=2,
            caption_channels=parts.TEXT,
            rope_double_precision=False,
            rope_type="split",
            use_keyframes_abs_pos_embedding=keyframes,
        ),
        "vocoder": LTX2Vocoder(
            in_channels=16,
            hidden_channels=32,
            upsample_kernel_sizes=[4, 4],
            upsample_factors=[2, 2],
            resnet_kernel_sizes=[3],
            resnet_dilations=[[1, 3, 5]],
        ),
    }


PIPELINES = {
    "LTXPipeline": lambda: diffusers.LTXPipeline(**_ltx()),
    "LTXImageToVideoPipeline": lambda: diffusers.LTXImageToVideoPipeline(**_ltx()),
    "LTXConditionPipeline": lambda: diffusers.LTXConditionPipeline(**_ltx()),
    "LTXI2VLongMultiPromptPipeline": lambda: diffusers.LTXI2VLongMultiPromptPipeline(
        **_ltx(diffusers.LTXEulerAncestralRFScheduler())
    ),
    "LTX2Pipeline": lambda: diffusers.LTX2Pipeline(**_ltx2()),
    "LTX2ImageToVideoPipeline": lambda: diffusers.LTX2ImageToVideoPipeline(**_ltx2()),
    "LTX2ConditionPipeline": lambda: diffusers.LTX2ConditionPipeline(**_ltx2()),
    "LTX2InContextPipeline": lambda: diffusers.LTX2InContextPipeline(**_ltx2()),
    "LTX2DFRPipeline": lambda: diffusers.LTX2DFRPipeline(**_ltx2(keyframes=True)),
}
