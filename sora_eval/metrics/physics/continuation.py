"""Continuation of the world's clip: its laws in the frames that are the generator's own, and how far these leave the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sora_eval.features.object_tracks import BlobTracks
from sora_eval.features.view import ClipView
from sora_eval.generators.asking import answers
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.metrics.first_frames import Frames, given_of
from sora_eval.metrics.physics.collision import collision
from sora_eval.metrics.physics.laws import FLIGHTS, LAWS, PhysicsLaws, continuity, free_fall, permanence, rigidity, support
from sora_eval.metrics.physics.motion import motions
from sora_eval.metrics.physics.scene import Floats, Scene, scene_of
from sora_eval.records.clip import Clip
from sora_eval.registry.generators import GENERATORS
from sora_eval.registry.targets import load_target
from sora_eval.util.errors import Undefined


class Continuation(ClipMetric):
    """A clip that was to begin with the first frames of the world's clip, against what follows there.

    The laws are those of `physics_laws`, from the last given frame on, which is taken as it was given: so the step to the first
    frame of the generator's own counts, and a flight has the true place and velocity at that moment. position_error: mean
    distance in px of each object from its true place, over the frames of the generator's own; what is missing, or further away
    than its diameter, counts as its diameter. The detail has it by frame. World and clip are read by one tracker.
    """

    outputs = (
        *(Output(f"continuation.{law}", "share", True, "0 to 1", (0.0, 1.0)) for law in LAWS),
        Output("continuation.position_error", "px", False, ">= 0"),
    )
    extractor = BlobTracks()
    signature = f"continuation|from-last-given|{PhysicsLaws.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        given, _ = given_of(view)
        number, true = len(given), self._truth(view, given)
        if view.clip.num_frames <= number:
            raise Undefined(f"all {number} frames of the clip were given")
        whole, real = (scene_of(v, self.extractor) for v in (view, ClipView(Clip(true, view.clip.fps), view.case)))
        joined = np.concatenate([given[-1:], view.clip.frames[number:]])
        later = scene_of(ClipView(Clip(joined, view.clip.fps), view.case), self.extractor)
        scene = _from_truth(later, real, number)
        laws = {
            "permanence": permanence(scene),
            "continuity": continuity(scene),
            "rigidity": rigidity(scene),
            "free_fall": _free_fall(scene),
            "collision": collision(scene),
            "support": support(scene),
        }
        scores = {f"continuation.{law}": _in_clip(laws[law], number - 1) for law in LAWS}
        return scores | {"continuation.position_error": position_error(whole, real, number)}

    def _truth(self, view: ClipView, given: Frames) -> Frames:
        """The frames of the world's clip that begins with the given ones. Raises Undefined where there is none."""
        if view.request is None or not view.request.facts:
            raise Undefined("the prompt has no facts; what follows its first frames in the world is not known")
        request = replace(view.request, num_frames=view.clip.num_frames, first_frames=None)
        world = load_target(GENERATORS.built_in["world"].target)("", {})
        answer = answers(world, [request])[0]
        if isinstance(answer, str):
            raise Undefined(f"the world has no clip of this prompt: {answer}")
        if not np.array_equal(answer.frames[: len(given)], given):
            raise Undefined("the given first frames are not those of the world's clip, so what should follow is not known")
        return answer.frames


def _from_truth(later: Scene, real: Scene, number: int) -> Scene:
    """The scene from the last given frame on, with the true velocities there; a flight that is over is none any more."""
    objects = []
    for tracked, truth, motion in zip(later.objects, real.objects, motions(real), strict=True):
        step = truth.track.position[number] - truth.track.position[number - 1]
        flies = not (motion.floor | ~motion.there)[number - 1 : number + 1].any()  # there is: seen, and by itself
        velocity: Floats = np.nan_to_num(step) - np.array([0.0, later.gravity / 2 if flies else 0.0])
        over = tracked.motion in FLIGHTS and not flies
        objects.append(replace(tracked, velocity=velocity, motion="rests" if over else tracked.motion))
    return replace(later, objects=tuple(objects))


def _free_fall(scene: Scene) -> Score:
    if scene.constants is not None and scene.constants.drag:
        return Score(None, "drag slows what falls in this prompt")
    score = free_fall(scene)
    return score if score.value is not None else Score(None, "no flight goes on after the given frames")


def _in_clip(score: Score, first: int) -> Score:
    """The score with the frame numbers of the whole clip in its detail."""
    detail = dict(score.detail)
    if "broken_frames" in detail:
        detail["broken_frames"] = [i + first for i in detail["broken_frames"]]
        detail["objects"] = {name: [i + first for i in frames] for name, frames in detail.get("objects", {}).items()}
    return Score(score.value, score.reason, detail)


def position_error(scene: Scene, real: Scene, number: int) -> Score:
    """Mean distance (px) of the objects from their true places in the frames from `number` on; see `Continuation`. Frames in
    which a bar hides the true object do not count."""
    errors = np.full((len(scene.objects), scene.num_frames - number), np.nan)
    for row, seen, truth in zip(errors, scene.objects, real.objects, strict=True):
        away = np.linalg.norm(seen.track.position - truth.track.position, axis=1)[number:]
        row[:] = np.where(np.isfinite(away), np.minimum(away, truth.diameter), truth.diameter)
        row[~truth.track.seen[number:]] = np.nan
    if not np.isfinite(errors).any():
        return Score(None, "a bar hides every object after the given frames")
    counted = np.isfinite(errors)
    frames = [round(float(e[c].mean()), 3) if c.any() else None for e, c in zip(errors.T, counted.T, strict=True)]
    return Score(float(errors[counted].mean()), detail={"first_frame": number, "px_by_frame": frames})
