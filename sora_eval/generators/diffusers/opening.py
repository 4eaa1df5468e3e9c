"""Opens a pipeline of diffusers as its options say, without the library's bars, warnings and hub tracebacks."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sora_eval.generators.diffusers.families import LENGTH_WORDS, NEEDS, family_of
from sora_eval.generators.diffusers.options import PipelineOptions
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import GeneratorError, near, reason_of
from sora_eval.util.hub import hub_or_cache, hub_problem
from sora_eval.util.pickles import weights_only


def open_pipeline(argument: str, options: PipelineOptions) -> Any:
    """The pipeline `argument`, a folder or a name on the hub, on its device.

    Raises GeneratorError for a missing package, pipeline or device, for a class that makes no clips from text or images, and
    for options that it cannot follow.
    """
    spec = f"diffusers:{argument}"
    _check_device(spec, options)
    try:
        import diffusers
    except ImportError as error:
        raise GeneratorError(f"{spec} needs diffusers ({error}); install sora_eval[diffusers]") from error
    opener: Any = diffusers.DiffusionPipeline  # untyped where it is installed, unknown where it is not
    if not Path(argument).is_dir() and argument.count("/") != 1:
        raise GeneratorError(f"{spec} cannot be opened: {argument} is neither a folder nor a name on the hub, OWNER/NAME")
    problem = "" if Path(argument).is_dir() else hub_problem()
    with quiet(), hub_or_cache():
        where = {"revision": options.revision} if options.revision else {}
        name = _class_name(spec, argument, opener, where, problem)
        keywords = {**where, **_keywords(name, options)}
        try:
            with weights_only():
                pipeline = opener.from_pretrained(argument, torch_dtype=getattr(torch, options.dtype), **keywords)
        except Exception as error:  # diffusers and the hub raise what they like
            raise GeneratorError(f"{spec} cannot be opened: {problem or _why(error)}") from error
        _check_call(spec, pipeline)
        for step in (_scheduler, _lora, _speed, _place):
            try:
                step(pipeline, options)
            except GeneratorError as error:
                raise GeneratorError(f"{spec}: {error}") from error
            except Exception as error:
                words = step.__name__.removeprefix("_")
                raise GeneratorError(f"{spec} cannot be opened ({words}): {_why(error)}") from error
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, diffusers, transformers and their helpers show no bars, warnings and log lines."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    before = [(log, log.get_verbosity()) for log in (diffusers_log, transformers_log)]
    try:
        for log, _ in before:
            log.set_verbosity_error()
            log.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in before:
            log.set_verbosity(level)
            log.enable_progress_bar()


def _check_device(spec: str, options: PipelineOptions) -> None:
    kind = options.device.partition(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[kind]:
        raise GeneratorError(f"{spec}: device {options.device!r} was asked for, but torch finds none")
    if options.offload and kind == "cpu":
        raise GeneratorError(f"{spec}: offload={options.offload} moves weights to a GPU and back; say device=cuda")


def _class_name(spec: str, argument: str, opener: Any, where: dict[str, str], problem: str) -> str:
    """The class that the pipeline's index names, before any of its weights are loaded; `problem` is that of the hub."""
    try:
        name = str(opener.load_config(argument, **where).get("_class_name", ""))
    except Exception as error:
        raise GeneratorError(f"{spec} cannot be opened: {problem or _why(error)}") from error
    if needed := NEEDS.get(name):
        raise GeneratorError(f"{spec}: {name} needs {needed}, which a suite does not give; expected text or image to video")
    return name


def _keywords(name: str, options: PipelineOptions) -> dict[str, Any]:
    """The arguments of `from_pretrained` beside the dtype."""
    given = {key: value for key in ("variant", "device_map") if (value := getattr(options, key))}
    checker = {"safety_checker": Unchecked()} if name.startswith("Cosmos") and not name.startswith("Cosmos3") else {}
    if name.startswith("Cosmos"):
        warn_once(f"{name}: its safety checker is off: a suite measures what the model draws")
    return {**given, **checker, **family_of(name).opened_with}


class Unchecked:
    """In place of the safety checker of Cosmos, a package of its own that changes what it dislikes: a suite measures what the
    model draws."""

    def to(self, *_: Any, **__: Any) -> Unchecked:
        return self

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def _check_call(spec: str, pipeline: Any) -> None:
    parameters = inspect.signature(pipeline.__call__).parameters
    if type(pipeline).__name__ == "I2VGenXLPipeline" and not hasattr(pipeline.text_encoder, "text_model"):
        raise GeneratorError(f"{spec}: I2VGenXLPipeline calls what transformers 5 no longer has; install transformers<5")
    if not any(word in parameters for word in LENGTH_WORDS) or not {"prompt", "image"} & set(parameters):
        raise GeneratorError(f"{spec}: {type(pipeline).__name__} makes no clips; expected text or image to video")


def _scheduler(pipeline: Any, options: PipelineOptions) -> None:
    if not options.scheduler:
        return
    import diffusers

    made = getattr(diffusers, options.scheduler, None)
    if made is None or not hasattr(made, "from_config"):
        known = [name for name in dir(diffusers) if name.endswith("Scheduler")]
        raise GeneratorError(f"scheduler={options.scheduler} is no scheduler of diffusers{near(options.scheduler, known)}")
    pipeline.scheduler = made.from_config(pipeline.scheduler.config)


def _lora(pipeline: Any, options: PipelineOptions) -> None:
    if not options.lora:
        return
    if not hasattr(pipeline, "load_lora_weights"):
        raise GeneratorError(f"lora={options.lora}: {type(pipeline).__name__} takes no LoRA")
    pipeline.load_lora_weights(options.lora)


def _speed(pipeline: Any, options: PipelineOptions) -> None:
    vae: Any = getattr(pipeline, "vae", None)
    if options.vae_dtype:
        vae.to(getattr(torch, options.vae_dtype))
    if options.tiling or hasattr(vae, "kernel"):  # Allegro's VAE knows no other way
        vae.enable_tiling()
    for name in ("transformer", "transformer_2", "unet"):
        denoiser = getattr(pipeline, name, None)
        if denoiser is not None and options.attention:
            denoiser.set_attention_backend(options.attention)
        if denoiser is not None and options.compile:
            denoiser.compile()


def _place(pipeline: Any, options: PipelineOptions) -> None:
    if options.offload == "model":
        pipeline.enable_model_cpu_offload(device=options.device)
    elif options.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=options.device)
    elif not options.device_map:
        pipeline.to(options.device)


def _why(error: Exception) -> str:
    """The cause of an error, and how to fix it where a package is missing."""
    text = reason_of(error)
    missing = next((package for package in ("accelerate", "peft", "sentencepiece", "ftfy") if package in text), "")
    return f"{text}; install it: pip install {missing}" if missing else text
