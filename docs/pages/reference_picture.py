"""The contact sheet of `reference_model.md`: the ladder's clips of a few prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reference_model.sampling.pipeline import Pipeline, Request
from reference_model.world import Facts, ObjectFacts, make_clip, parse

LOOK = (  # of the contact sheet: prompt, width, height
    ("a blue circle falls and bounces on a black background", 32, 32),
    ("a red square moves slowly right on a gray background", 40, 24),
    ("a green triangle moves quickly up on a silver background", 24, 40),
    ("a yellow square slides quickly left on a black background", 48, 48),
    ("a cyan circle floats still and a magenta triangle moves slowly down on a gray background", 48, 48),
    ("a red square falls and a blue circle rests on the floor on a silver background", 32, 32),
)


def contact_sheet(path: Path, frames: int = 9, zoom: int = 2) -> None:
    """A PNG: for each prompt its words and a row of frames by `early`, `middle`, `base` and `base` continuing 5 frames."""
    ladder = {name: Pipeline.load(name) for name in ("early", "middle", "base")}
    requests = [Request(text, w, h, 17, seed=11 + i) for i, (text, w, h) in enumerate(LOOK)]
    rows = {name: [s.frames for s in pipeline.generate(requests)] for name, pipeline in ladder.items()}
    continued = [
        Request(r.prompt, r.width, r.height, r.num_frames, r.seed, first_frames=real[:5])
        for r, real in zip(requests, _real(requests), strict=True)
    ]
    rows["base, 5 frames given"] = [s.frames for s in ladder["base"].generate(continued)]
    font, left, wide = ImageFont.load_default(11), 120, 48 * zoom + 4
    heights = [16 + len(rows) * (r.height * zoom + 4) for r in requests]
    sheet = Image.new("RGB", (left + frames * wide, sum(heights)), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for i, request in enumerate(requests):
        draw.text((4, top + 2), request.prompt, "black", font)
        y = top + 16
        for name, clips in rows.items():
            draw.text((4, y + request.height * zoom // 2 - 6), name, "black", font)
            chosen = np.linspace(0, len(clips[i]) - 1, frames).round().astype(int)
            for j, frame in enumerate(clips[i][chosen]):
                picture = Image.fromarray(frame).resize((request.width * zoom, request.height * zoom), Image.Resampling.NEAREST)
                sheet.paste(picture, (left + j * wide, y))
            y += request.height * zoom + 4
        top += heights[i]
    sheet.save(path, optimize=True)


def _real(requests: list[Request]) -> list[np.ndarray]:
    out = []
    for r in requests:
        description = parse(r.prompt)
        objects = tuple(ObjectFacts(o.colour, o.shape, str(o.motion), o.direction, o.speed) for o in description.objects)
        facts = Facts(objects, str(description.background))
        out.append(make_clip(facts, r.height, r.width, r.num_frames, np.random.default_rng(r.seed)).frames)
    return out
