"""Physics of objects whose truth is known: laws of their tracks, and the facts that their prompt states."""

from sora_eval.metrics.physics.facts import ObjectFacts
from sora_eval.metrics.physics.laws import PhysicsLaws

__all__ = ["ObjectFacts", "PhysicsLaws"]
