"""Physics of objects whose truth is known: laws, constants of motion, and the facts that their prompt states."""

from sora_eval.metrics.physics.conservation import Conservation
from sora_eval.metrics.physics.continuation import Continuation
from sora_eval.metrics.physics.facts import ObjectFacts
from sora_eval.metrics.physics.laws import PhysicsLaws
from sora_eval.metrics.physics.parameters import FittedParameters

__all__ = ["Conservation", "Continuation", "FittedParameters", "ObjectFacts", "PhysicsLaws"]
