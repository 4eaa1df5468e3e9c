"""Physics of objects whose truth is known: laws of their tracks, the constants that these show, and the facts that their prompt states."""

from sora_eval.metrics.physics.facts import ObjectFacts
from sora_eval.metrics.physics.laws import PhysicsLaws
from sora_eval.metrics.physics.parameters import FittedParameters

__all__ = ["FittedParameters", "ObjectFacts", "PhysicsLaws"]
