"""What every metric claims to detect, and its known blind spots. The selfcheck tests the metrics against this table.

A claim follows from a metric's definition; other responses are not claimed, and an output without a line claims nothing.
`CLAIMS` may be extended.

The table was narrowed on the clips of `--clips world` (seeds 0 and 5) and `--clips quick` (seeds 1 and 3), that of drift,
geometry and picture quality also on seven real clips, so its success on them is no independent evidence: other clips and seeds
are the fairer test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# worse, up, down: a graded response. better, blind, "worse at full": the response at full strength, graded or not.
# "worse to little", "blind to little": the response, or none, at the least strength.
Expectation = Literal["worse", "worse at full", "worse to little", "better", "up", "down", "blind", "blind to little"]


@dataclass(frozen=True)
class Claim:
    """One expectation and its reason. Blind spots are tested on the world only, whose truth is known."""

    expects: Expectation
    why: str

    @property
    def blind_spot(self) -> bool:
        """Whether the claim is of damage that the metric does not detect."""
        return self.expects in ("better", "blind", "blind to little")


CLAIMS: dict[tuple[str, str], Claim] = {}

# The corruptions of set metrics by default: those with a claim below, and those that cost nothing, since their clips are
# embedded already. Each of the others costs the network another five clips per clip.
SET_CORRUPTIONS = (
    "blur",
    "noise",
    "local_warp",
    "freeze",
    "frame_shuffle",
    "reversal",
    "caption_swap",
    "mode_collapse",
)


def _claim(outputs: str, expects: Expectation, corruptions: str, why: str) -> None:
    for output in outputs.split():
        for corruption in corruptions.split():
            CLAIMS[output, corruption] = Claim(expects, why)


# Distribution: I3D was trained to name actions; what moves a little wrongly still looks like the action.
_claim("fvd kvd mmd", "worse", "blur noise", "the look of every frame changes")
_claim("fvd mmd", "worse", "mode_collapse", "the spread of the set is part of the distance")
_claim("recall", "worse", "mode_collapse", "real clips are no longer covered")
_claim("precision", "blind", "mode_collapse", "the clips that are left lie among the real ones: read it beside recall")
_claim(
    "fvd kvd mmd precision recall", "blind to little", "freeze reversal", "a little damage in time looks like the same action"
)
_claim("fvd kvd mmd precision recall", "blind", "caption_swap", "the prompt is not looked at")

# Picture: frames are looked at one by one, against patches of real ones.
# Blur moves natural_scene in order, but among real clips, which are sharp and soft, by less than they differ.
_claim("natural_scene", "worse", "noise jpeg_blocks", "the contrasts of patches leave those of real clips")
_claim("niqe_refitted", "worse", "noise", "no real patch is as rough")
_claim("natural_scene niqe_refitted", "blind", "reversal frame_shuffle", "the order of frames does not count")
_claim("natural_scene niqe_refitted", "blind", "caption_swap", "the prompt is not looked at")

# Text: frames are looked at one by one.
_claim("clip_score clip_retrieval caption_facts", "worse", "caption_swap", "the clip shows another prompt")
_claim("clip_score", "worse", "blur noise jpeg_blocks colour_shift object_vanish", "frames no longer show what is asked for")
# Not by degrees: the recaptioner describes the whole clip, and an object present in the first half is described.
_claim("caption_facts", "worse at full", "object_vanish", "an object that is never there cannot be read back")
_claim("clip_score clip_retrieval", "blind", "reversal frame_drop speed_change", "the order of frames does not count")
_claim("clip_retrieval", "blind", "frame_shuffle freeze", "the order of frames does not count")

# Temporal: differences of frames; less motion is always smaller ones.
_STILL = "a still picture wins: read it beside dynamic_degree"
_claim("temporal_flickering", "worse", "noise flicker local_warp frame_drop frame_shuffle teleport", "frames differ more")
_claim("temporal_flickering", "better", "freeze speed_change", _STILL)
_claim("temporal_flickering motion_smoothness", "blind", "reversal", "differences have no direction in time")
_claim(
    "motion_smoothness",
    "worse",
    "noise flicker local_warp frame_drop frame_shuffle teleport speed_change",
    "frames break the motion",
)
_claim("motion_smoothness", "better", "freeze", _STILL)
_claim("warping_error", "worse", "noise flicker", "no motion explains the change")
_claim("warping_error", "better", "freeze", _STILL)
_claim("warping_error", "blind", "reversal", "motion is followed backwards as well")
_claim("subject_consistency background_consistency", "worse", "noise flicker", "frames look different")
_claim("subject_consistency background_consistency", "better", "freeze", _STILL)
_claim("subject_consistency background_consistency", "blind", "reversal", "neighbours stay neighbours")
_claim("dynamic_degree.magnitude", "down", "freeze speed_change", "less moves")
_claim("dynamic_degree.magnitude", "up", "frame_drop frame_shuffle", "steps are longer")
_claim("dynamic_degree", "blind", "reversal", "how far, not where to")

# Drift: how far frames lie from each other in a network's features, whatever they show.
_LAGS = "feature_drift.eighth feature_drift.quarter feature_drift.half"
_claim("feature_drift.end feature_drift.quarter feature_drift.half", "worse", "noise", "frames look different")
_claim("feature_drift.end feature_drift.slope", "worse", "pass_through_floor", "what is seen leaves for good")
_claim(
    f"feature_drift.end feature_drift.slope {_LAGS}",
    "worse to little",
    "object_vanish",
    "the last frames show another scene than the first; where the object is never there, all show the same",
)
_claim("feature_drift.eighth", "better", "freeze", _STILL)
_claim(_LAGS, "better", "gravity_changed", "what hovers moves less, and no facts say that it should fall")
_claim(f"feature_drift.end {_LAGS}", "blind", "reversal", "how far apart, not in which order")
_claim(f"feature_drift.end feature_drift.slope {_LAGS}", "blind", "caption_swap", "the prompt is not looked at")

# Physics: what is tracked against what the prompt's facts say.
_claim("physics_laws.permanence", "worse", "object_vanish caption_swap", "an expected object is not there")
_claim(
    "physics_laws.permanence physics_laws.continuity physics_laws.rigidity", "blind", "reversal speed_change", "laws of a state"
)
_claim("physics_laws.continuity", "worse", "teleport object_vanish", "steps longer than the object")
_claim("physics_laws.rigidity", "worse", "object_vanish", "a missing object has no area")
_claim("physics_laws.free_fall", "worse", "gravity_changed speed_change freeze", "flights leave the law")
# Not by degrees: a flight lasts a few frames, and once some have changed places no more of it can break.
_claim("physics_laws.free_fall", "worse at full", "frame_shuffle", "flights leave the law")
_claim("physics_laws.support", "worse", "pass_through_floor", "objects sink")
# Not of a teleport, which parts a pair as often as it joins one, nor of a reversal: what bounces well obeys backwards too.
_claim("physics_laws.collision", "worse", "object_vanish caption_swap", "what an unseen object met nobody can tell")
_claim("physics_laws.collision", "blind", "flicker", "objects are distinguished by hue, and their paths stay")
_claim("object_facts.motion", "worse", "reversal", "another motion than the one asked for")
# Not of a freeze: the speed is the median step, which a few held frames do not move.
_claim("object_facts.velocity_error", "worse", "speed_change", "another speed than the one asked for")
_claim("object_facts.count object_facts.colour object_facts.shape", "worse", "caption_swap", "other objects are there")
_claim("object_facts.colour object_facts.shape", "blind", "reversal speed_change frame_shuffle freeze", "objects are the same")

# Constants: what a fit of the tracks says. Of friction, drag and stiffness the clips of `world` state no truth.
_claim("fitted_parameters.gravity_error", "worse", "gravity_changed speed_change", "flights have another acceleration")
_claim("fitted_parameters.gravity", "down", "gravity_changed speed_change", "what falls more slowly has a smaller g")
_claim("fitted_parameters.gravity fitted_parameters.gravity_error", "blind", "reversal", "backwards a parabola has the same g")
_claim("fitted_parameters.restitution", "up", "reversal", "backwards an impact gives the speed that it took")

# Energy and momentum: sums over the objects that the prompt names.
_BOTH = "conservation.energy conservation.momentum"
_claim(_BOTH, "worse", "object_vanish caption_swap", "a step without one of the objects conserves nothing")
_claim(_BOTH, "worse at full", "teleport", "a jump has a speed that nothing gave; more of them need not break more steps")
_claim("conservation.energy", "worse", "pass_through_floor", "what sinks through the floor loses height and gains no speed")
_claim("conservation.momentum", "worse", "gravity_changed speed_change", "gravity gives another momentum than it should")
_claim(
    "conservation.energy", "blind", "gravity_changed freeze", "what hangs in the air keeps its energy: read it beside momentum"
)
_claim("conservation.momentum", "blind", "reversal", "what is conserved is conserved backwards")

# After given frames, of which the first one is given here: laws as above, and the distance from what follows.
_LATER = "continuation.permanence continuation.continuity continuation.rigidity"
_claim(_LATER, "worse", "object_vanish", "an expected object is not there")
_claim("continuation.continuity", "worse", "teleport", "steps longer than the object")
_claim("continuation.collision", "worse", "object_vanish", "what an unseen object met nobody can tell")
_claim("continuation.free_fall", "worse", "gravity_changed speed_change freeze", "flights leave the law")
_claim("continuation.support", "worse", "pass_through_floor", "objects sink")
_claim("continuation.permanence continuation.rigidity", "blind", "reversal speed_change freeze", "laws of a state")
_claim(
    "continuation.position_error",
    "worse",
    "gravity_changed speed_change freeze reversal object_vanish pass_through_floor",
    "objects are not where they should be by then",
)
_FIRST = "first_frame_fidelity.rmse first_frame_fidelity.dssim"
_claim(_FIRST, "worse", "blur noise jpeg_blocks local_warp reversal", "the first frame is another picture")
_claim("first_frame_fidelity.rmse", "worse", "colour_shift flicker", "its colours are others")
_claim(
    _FIRST,
    "blind",
    "freeze frame_drop speed_change gravity_changed teleport pass_through_floor",
    "what comes after the given frames is not looked at",
)
_claim(_FIRST, "blind", "caption_swap", "the prompt is not looked at")

# Points: what can be followed, without facts.
_POINTS = "point_laws.permanence point_laws.continuity point_laws.rigidity point_laws.smoothness"
_claim(_POINTS, "worse", "blur noise flicker local_warp", "points are lost, or leave their neighbours")
_claim(_POINTS, "worse", "teleport", "points of the object jump, or are lost")
_claim("point_laws.smoothness", "worse", "frame_drop speed_change", "steps change: some are longer, some are none")
_claim("point_laws.permanence point_laws.continuity point_laws.rigidity", "better", "freeze", _STILL)
_claim("point_laws.permanence point_laws.rigidity", "better", "speed_change", "what moves less is followed more easily")
_claim(_POINTS, "better", "gravity_changed", "slow falls are followed more easily, and no facts say how fast they should be")
_claim(
    "point_laws.permanence point_laws.rigidity point_laws.smoothness",
    "blind",
    "object_vanish",
    "what is never there has no points to lose; one that goes in the middle is seen",
)
_claim(_POINTS, "blind", "reversal", "the way back is as steady")
_claim(_POINTS, "blind", "caption_swap", "the prompt is not looked at")

# Geometry: how evenly and how straight the features move. A frozen network knows no law.
_EVEN = "feature_geometry.speed_variation feature_geometry.acceleration feature_geometry.residual"
_STRAIGHT = "feature_geometry.curvature"
_claim("feature_geometry.acceleration feature_geometry.residual", "worse", "noise", "the path trembles")
_claim(
    f"{_STRAIGHT} feature_geometry.acceleration feature_geometry.residual", "worse", "flicker local_warp", "the path trembles"
)
_claim(_STRAIGHT, "worse", "frame_drop frame_shuffle", "the path turns")
_claim(
    _EVEN,
    "worse to little",
    "object_vanish",
    "the frame in which the object goes is one long step; where it is never there, none is",
)
_claim(
    f"{_STRAIGHT} feature_geometry.speed_variation feature_geometry.residual",
    "worse at full",
    "teleport",
    "a jump is a long step out of the way; more of them are no longer uneven",
)
_claim(_STRAIGHT, "blind", "object_vanish", "one turn among many, and none where the object is never there")
_claim(f"{_STRAIGHT} feature_geometry.speed_variation feature_geometry.acceleration", "blind", "reversal", "the same path")
_claim(_EVEN, "better", "gravity_changed", "what hovers has the smoother path, and no facts say that it should fall")
_claim("feature_geometry.speed_variation feature_geometry.residual", "better", "freeze", _STILL)
_claim(f"{_STRAIGHT} feature_geometry.residual", "better", "blur", "less of the picture moves the features")
_claim(f"{_STRAIGHT} {_EVEN}", "blind", "caption_swap", "the prompt is not looked at")

# Fidelity: the damaged clip against the clean one, so nearly every damage is seen; what it means is not.
_PIXELS = "fidelity.psnr fidelity.psnr.worst fidelity.ssim fidelity.ssim.worst"
_MEANS = "fidelity.psnr fidelity.ssim"
_claim(f"{_PIXELS} fidelity.latent", "worse", "blur noise local_warp", "every frame is another")
_claim(_MEANS, "worse", "jpeg_blocks colour_shift flicker", "frames are others")
_claim(f"{_MEANS} fidelity.latent", "worse", "freeze frame_shuffle object_vanish", "frames show another moment or scene")
_claim("fidelity.flow", "worse", "noise local_warp freeze frame_shuffle", "something else moves")
_claim("fidelity.features.video fidelity.features.image", "worse", "blur noise", "the look of every frame changes")
_claim(
    f"{_PIXELS} fidelity.latent fidelity.flow fidelity.features.video fidelity.features.image",
    "blind",
    "caption_swap",
    "the prompt is not looked at",
)
