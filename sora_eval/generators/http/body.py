"""The body of a request to a service: a form, JSON, or a template filled in. No httpx."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sora_eval.generators.http.options import BEGINNING, FIELDS, PLACE, HttpOptions
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError

Frames = npt.NDArray[np.uint8]
Upload = tuple[str, bytes, str]  # name, content and type of a file


def body_of(request: Request, options: HttpOptions) -> dict[str, Any]:
    """The arguments of httpx that hold the body. Raises GeneratorError for a template whose fields have no value."""
    given = fields_of(request, options) | ({"model": options.model} if options.model else {})
    upload = upload_of(request.first_frames, request.fps) if request.first_frames is not None else None
    if options.template is not None:
        if upload is not None:
            given |= dict.fromkeys(BEGINNING, data_url(upload))
        return {"json": filled(options.template, given)}
    sent = options.fields or tuple(name for name in FIELDS if name != "seconds")  # engines read the number of frames
    fields = {key: value for key, value in given.items() if key not in FIELDS or key in sent}
    if "seconds" in fields:
        if isinstance(fields["seconds"], float):
            raise GeneratorError(
                f"{request.num_frames} frames at {request.fps:g} per second are {fields['seconds']:g} s; expected a whole "
                "number of seconds"
            )
        fields["seconds"] = str(fields["seconds"])
    if upload is None and options.body == "json":
        return {"json": fields}
    # Files are what makes httpx send a multipart form: a field without a file name is a file of its own.
    parts: list[tuple[str, Any]] = [(key, (None, _text(value))) for key, value in fields.items()]
    if upload is not None:
        parts.append((_beginning(options), upload))
    return {"files": parts}


def fields_of(request: Request, options: HttpOptions) -> dict[str, Any]:
    """The fields of a request that have a value; those of the spec take the place of the suite's own options."""
    named: dict[str, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "size": f"{request.width}x{request.height}",
        "seconds": _whole(request.num_frames / request.fps),
        "width": request.width,
        "height": request.height,
        "num_frames": request.num_frames,
        "fps": _whole(request.fps),
        "seed": request.seed,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
    }
    return {**{k: v for k, v in named.items() if v is not None}, **request.options, **options.keywords}


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def filled(template: Any, given: Mapping[str, Any]) -> Any:
    """A template with its fields filled in; a key whose whole value is a field without a value is left out.

    Raises GeneratorError for a text that a field without a value is a part of.

    >>> filled({"text": "{prompt}", "size": "{width}*{height}", "seed": "{seed}"}, {"prompt": "a cat", "width": 8, "height": 4})
    {'text': 'a cat', 'size': '8*4'}
    """
    if isinstance(template, dict):
        return {key: filled(part, given) for key, part in template.items() if not _is_left_out(part, given)}
    if isinstance(template, list):
        return [filled(part, given) for part in template if not _is_left_out(part, given)]
    if not isinstance(template, str):
        return template
    whole = PLACE.fullmatch(template)
    if whole:
        return given[whole[1]]
    for name in PLACE.findall(template):
        if name not in given:
            raise GeneratorError(f"the template has {{{name}}} in {template!r}, and the request has no {name}")
    return PLACE.sub(lambda match: _text(given[match[1]]), template)


def _is_left_out(part: Any, given: Mapping[str, Any]) -> bool:
    whole = PLACE.fullmatch(part) if isinstance(part, str) else None
    return whole is not None and whole[1] not in given


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _beginning(options: HttpOptions) -> str:
    return next((name for name in BEGINNING if name in options.fields), BEGINNING[0])


def upload_of(frames: Frames, fps: float) -> Upload:
    """First frames as a file: one as PNG, several as an MP4 of H.264 without loss beyond the change of the colour space."""
    if len(frames) == 1:
        return "first_frame.png", cv2.imencode(".png", frames[0][..., ::-1])[1].tobytes(), "image/png"
    import av

    target = io.BytesIO()
    with av.open(target, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return "first_frames.mp4", target.getvalue(), "video/mp4"


def data_url(upload: Upload) -> str:
    """A file as a text: `data:image/png;base64,...`."""
    return f"data:{upload[2]};base64,{base64.b64encode(upload[1]).decode()}"
