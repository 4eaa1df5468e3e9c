"""What the pipeline classes of diffusers can make: multiples, lengths and rates, read from an open pipeline's own attributes.

The library says none of it. The rules were read from its 0.42; `docs/generators.md` is the table of what was tried.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sora_eval.records.capabilities import MOST_FRAMES

Lengths = tuple[int, int, int | None]  # offset, stride, most
LENGTH_WORDS = ("num_frames", "frames", "video_length")
RATE_WORDS = ("frame_rate", "fps", "target_fps")
SPATIAL = ("vae_spatial_compression_ratio", "vae_scale_factor_spatial", "vae_spatial_scale_factor", "vae_scale_factor")
FROM_IMAGES = ("ImageToVideo", "Image2Video", "5I2V", "VideoToWorld", "Video2World")
STRUCTURE = {  # keywords by which lengths change: of the spec, since the plan is made before a suite's are read
    *("num_latent_frames_per_chunk", "latent_window_size", "chunk_partition", "overlap_history", "base_num_frames"),
}
TEMPORAL = ("vae_temporal_compression_ratio", "vae_scale_factor_temporal", "vae_temporal_scale_factor")

NEEDS = {  # what a suite cannot give, by the classes that make nothing without it
    "AnimateDiffControlNetPipeline": "frames to be controlled by",
    "AnimateDiffSparseControlNetPipeline": "frames to be controlled by",
    "AnimateDiffVideoToVideoControlNetPipeline": "a video to change",
    "AnimateDiffVideoToVideoPipeline": "a video to change",
    "ChronoEditPipeline": "a picture to edit",
    "CogVideoXFunControlPipeline": "a control video",
    "CogVideoXVideoToVideoPipeline": "a video to change",
    "ConsisIDPipeline": "the identity of a face",
    "Cosmos2_5_TransferPipeline": "control videos",
    "EasyAnimateControlPipeline": "a control video",
    "EasyAnimateInpaintPipeline": "a video and its mask",
    "Kandinsky6SRPipeline": "a video to upscale",
    "LTX2DFRTemporalRefinePipeline": "latents of another pipeline",
    "LTX2HDRPipeline": "a reference video",
    "LTX2LatentUpsamplePipeline": "latents to upscale",
    "LTX2VideoDiffusionDecodePipeline": "latents to decode",
    "LTXLatentUpsamplePipeline": "latents to upscale",
    "LucyEditPipeline": "a video to change",
    "SanaWMPipeline": "the path of a camera",
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": "a video to continue",
    "VideoToVideoSDPipeline": "a video to change",
    "WanAnimatePipeline": "a pose video",
    "WanVideoToVideoPipeline": "a video to change",
}


@dataclass(frozen=True)
class Family:
    """A rule for classes whose names begin alike, beside what their attributes say.

    `demands` is the multiple that their check of sizes asks for, `rate` that of their clips. `lengths` is asked with the
    pipeline and its keywords, `sizes` with the pipeline. Clips are made `alone` where a call takes one prompt, or draws
    another clip of it beside others. `always` are keywords of every call that says no other, `opened_with` those of
    `from_pretrained`. `image` is the keyword of first frames; '': none can be given. `asked` is the length to ask for
    where another one comes out.
    """

    demands: int = 1
    rate: float | None = None
    lengths: Callable[[Any, Mapping[str, Any]], Lengths] | None = None
    sizes: Callable[[Any], tuple[tuple[int, int], ...]] | None = None
    alone: bool = False
    always: Mapping[str, Any] = field(default_factory=dict)
    opened_with: Mapping[str, Any] = field(default_factory=dict)
    image: str = "image"
    asked: Callable[[Any, int, Mapping[str, Any]], int] | None = None
    known: bool = True


def _chunks(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    chunk = (int(keywords.get("num_latent_frames_per_chunk", 9)) - 1) * _temporal(pipeline)
    return 1 + chunk, chunk, 1 + 4 * chunk  # beyond, whole chunks give other lengths


def _sections(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    section = int(keywords.get("latent_window_size", 9)) * 4
    return 1 + section, section, None


def _at_least_two(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    return 2, 1, None


def _more_than_a_picture(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    return 1 + _temporal(pipeline), _temporal(pipeline), None


def _of_sections(pipeline: Any, frames: int, keywords: Mapping[str, Any]) -> int:
    """A section makes 4 frames more than it is asked for."""
    window = int(keywords.get("latent_window_size", 9))
    return max((frames - 1) // (4 * window), 1) * (4 * window - 3)


def _with_image(pipeline: Any, frames: int, keywords: Mapping[str, Any]) -> int:
    """The frames of the image are cut off again where it is a latent of its own."""
    apart = getattr(pipeline.transformer.config, "image_condition_type", "") == "latent_concat"
    return frames + _temporal(pipeline) if apart else frames


def _beyond_the_first(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    """Four latents are normalised by those after them: without any the frames are NaN."""
    return 1 + 4 * _temporal(pipeline), _temporal(pipeline), None


def _partition(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    parts = keywords.get("chunk_partition") or getattr(pipeline.transformer.config, "chunk_partition", None)
    if not parts:
        return 1, _temporal(pipeline), None
    frames = 1 + (sum(parts) - 1) * _temporal(pipeline)
    return frames, 1, frames


def _forced(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    whole = keywords.get("base_num_frames", 97) if keywords.get("overlap_history") is None else None
    return 1, _temporal(pipeline), whole


def _forced_from_image(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    return 1 + _temporal(pipeline), *_forced(pipeline, keywords)[1:]


def _motion_module(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    adapter = getattr(pipeline, "motion_adapter", None) or pipeline.unet
    return 1, 1, int(getattr(adapter.config, "motion_max_seq_length", 32))


def _embedded(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    frames = int(pipeline.transformer.config.video_length)
    return frames, 1, frames


def _two_strides(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    """CogVideoX decodes latents two by two: an even number of them gives no first frame of its own."""
    return 1, 2 * _temporal(pipeline), None


def _patched(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    """Latents come in patches of time."""
    patch = int(getattr(pipeline, "transformer_temporal_patch_size", 1))
    return 1 + (patch - 1) * _temporal(pipeline), patch * _temporal(pipeline), None


def _tiles(pipeline: Any, keywords: Mapping[str, Any]) -> Lengths:
    return int(pipeline.vae.kernel[0]), int(pipeline.vae.stride[0]), None


def _tiled_sizes(pipeline: Any) -> tuple[tuple[int, int], ...]:
    """Allegro's VAE decodes whole tiles; what lies beyond the last one stays black."""
    kernel, stride = pipeline.vae.kernel, pipeline.vae.stride
    heights, widths = ([int(kernel[i] + step * stride[i]) for step in range(9)] for i in (1, 2))
    return tuple((width, height) for width in widths for height in heights)


def _buckets(pipeline: Any) -> tuple[tuple[int, int], ...]:
    """The sizes to which HunyuanVideo 1.5 brings pictures; it takes no others."""
    from diffusers.pipelines.hunyuan_video1_5.image_processor import generate_crop_size_list

    sizes = generate_crop_size_list(pipeline.target_size, pipeline.video_processor.config.vae_scale_factor)
    return tuple((int(width), int(height)) for height, width in sizes)


def _sample_size(pipeline: Any) -> tuple[tuple[int, int], ...]:
    """The one size of a learned grid of positions; () where positions are computed."""
    config, factor = pipeline.transformer.config, _spatial(pipeline)
    if not getattr(config, "use_learned_positional_embeddings", False) and "Latte" not in type(pipeline).__name__:
        return ()
    square = getattr(config, "sample_size", None)
    width, height = getattr(config, "sample_width", square), getattr(config, "sample_height", square)
    return ((int(width) * factor, int(height) * factor),) if width and height else ()


FAMILIES = {
    "Allegro": Family(16, 15.0, _tiles, _tiled_sizes, alone=True),
    "AnimateDiff": Family(8, 8.0, _motion_module),
    "AnyFlow": Family(16, 16.0, image="video"),
    "AnyFlowFAR": Family(16, 16.0, _partition, image="video"),
    "CogVideoX": Family(8, 8.0, _two_strides, _sample_size),
    "Cosmos": Family(16),
    "Cosmos2_5": Family(16, 16.0),
    "Cosmos3": Family(16, alone=True, always={"enable_safety_check": False}, opened_with={"enable_safety_checker": False}),
    "EasyAnimate": Family(16, 8.0, always={"negative_prompt": ""}),  # None is one that it iterates over
    "Helios": Family(16, 24.0, _chunks),
    "HeliosPyramid": Family(64, 24.0, _chunks, alone=True),
    "Hunyuan": Family(16, 24.0),
    "HunyuanVideo15": Family(16, 24.0, alone=True),
    "HunyuanVideo15ImageToVideo": Family(16, 24.0, sizes=_buckets, alone=True),
    "HunyuanVideoFramepack": Family(16, 30.0, _sections, asked=_of_sections),
    "HunyuanVideoImageToVideo": Family(16, 24.0, asked=_with_image),
    "I2VGenXL": Family(8),
    "Kandinsky5": Family(16, 24.0, alone=True),
    "Kandinsky5I2V": Family(16, 24.0, _beyond_the_first, alone=True),
    "Kandinsky6": Family(16),
    "LTX": Family(32),
    "LTX2": Family(32),
    "LTX2Condition": Family(32, image=""),
    "LTX2InContext": Family(32, image=""),
    "LTX2DFR": Family(32, lengths=_more_than_a_picture, image=""),
    "LTXI2VLongMultiPrompt": Family(32, alone=True, image=""),
    "Latte": Family(8, 8.0, _embedded, _sample_size, alone=True),
    "Mochi": Family(8, 30.0),
    "MotifVideo": Family(16, 24.0, _patched),
    "PIA": Family(8, 8.0, _motion_module),
    "SanaVideo": Family(32, 16.0, always={"use_resolution_binning": False}),
    "SanaImageToVideo": Family(32, 16.0, always={"use_resolution_binning": False}),
    "SkyReelsV2": Family(16, 24.0),
    "SkyReelsV2DiffusionForcing": Family(16, 24.0, _forced, alone=True),
    "SkyReelsV2DiffusionForcingImageToVideo": Family(16, 24.0, _forced_from_image, alone=True),
    "StableVideoDiffusion": Family(8, lengths=_at_least_two),
    "TextToVideoSD": Family(8, 8.0),
    "TextToVideoZero": Family(8, 4.0, _at_least_two, alone=True),
    "Wan": Family(16, 16.0),
    "WanVACE": Family(16, 16.0, alone=True, image=""),
}
UNKNOWN = Family(known=False)


def family_of(name: str) -> Family:
    """The rule of a class: that of the longest beginning of its name.

    >>> family_of("WanImageToVideoPipeline").rate, family_of("MyPipeline").known
    (16.0, False)
    """
    return FAMILIES.get(max((start for start in FAMILIES if name.startswith(start)), key=len, default=""), UNKNOWN)


def multiple_of(pipeline: Any, family: Family) -> int:
    """The multiple (px) of widths and heights, of the VAE's factor times the denoiser's patch and of what the class demands."""
    unet = getattr(pipeline, "unet", None)
    side = _spatial(pipeline) * _patch(pipeline)
    if unet is not None and type(pipeline).__name__.startswith("StableVideo"):  # its UNet resizes nothing on the way up
        side = _spatial(pipeline) * 2 ** (len(unet.config.down_block_types) - 1)
    return math.lcm(side, family.demands)


def lengths_of(pipeline: Any, family: Family, keywords: Mapping[str, Any]) -> Lengths:
    """Offset, stride and the largest of the lengths (frames) that come out as they were asked for."""
    return family.lengths(pipeline, keywords) if family.lengths else (1, _temporal(pipeline), None)


def first_frames_of(pipeline: Any, parameters: Mapping[str, inspect.Parameter], family: Family) -> tuple[int, int]:
    """The least and the largest number of frames that its clips can begin with."""
    name, config = type(pipeline).__name__, getattr(getattr(pipeline, "transformer", None), "config", None)
    if not family.image or family.image not in parameters:
        return 0, 0
    if getattr(config, "visual_token_type_num_embeddings", 2) < 2:  # Kandinsky 6 without tokens for pictures
        return 0, 0
    named = family.image == "image" and any(word in name for word in FROM_IMAGES)  # its image may be None, and then is missed
    needed = named or parameters[family.image].default is inspect.Parameter.empty
    several = "video" in parameters and not name.startswith("Helios")  # whose video is a whole chunk at least
    return int(needed), MOST_FRAMES if several else 1


def _spatial(pipeline: Any) -> int:
    return next((int(value) for name in SPATIAL if (value := getattr(pipeline, name, None))), 8)


def _temporal(pipeline: Any) -> int:
    return next((int(value) for name in TEMPORAL if (value := getattr(pipeline, name, None))), 1)


def _patch(pipeline: Any) -> int:
    """The side of a spatial patch of the denoiser, in latents."""
    transformer = getattr(pipeline, "transformer", None) or getattr(pipeline, "transformer_2", None)
    config = getattr(transformer, "config", None)
    values = (
        getattr(pipeline, "transformer_spatial_patch_size", None),
        getattr(pipeline, "patch_size", None),
        getattr(config, "patch_size", None),
        getattr(config, "latent_patch_size", None),
    )
    patch = next((value for value in values if value), 1)
    return max(map(int, patch[-2:])) if isinstance(patch, list | tuple) else int(patch)
