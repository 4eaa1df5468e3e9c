"""What a generator says of itself, checked: another package's class may say anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.util.errors import GeneratorError
from sora_eval.util.user_code import UserCodeError, user_code


@dataclass(frozen=True)
class Identity:
    """Name, checkpoint, hash of weights and settings, training steps, where the checkpoint records them, what the hash does
    not know, and, or '', the hash of the weights alone and the layout of clips that exist."""

    name: str
    checkpoint: str
    fingerprint: str
    training_steps: int | None
    not_covered: str = ""
    weights: str = ""
    layout: str = ""


def identity_of(generator: Generator, spec: str) -> Identity:
    """The identity of an open generator. Raises GeneratorError where it fails or is of other types; `spec` names it."""
    try:
        with user_code():
            name, checkpoint, steps = generator.name, generator.checkpoint, generator.training_steps
            fingerprint, not_covered, weights = generator.fingerprint(), generator.not_covered, generator.weights
            layout = generator.layout if isinstance(generator, ClipSource) else ""
            steps = None if steps is None else index(steps)
    except UserCodeError as error:
        raise GeneratorError(f"{spec} cannot say what it is: {error}") from error
    texts = {"name": name, "checkpoint": checkpoint, "fingerprint()": fingerprint, "not_covered": not_covered}
    texts |= {"weights": weights, "layout": layout}
    for what, value in texts.items():
        if not isinstance(value, str):
            raise GeneratorError(f"{spec}: its {what} is a {type(value).__name__}, expected a string")
    return Identity(name, checkpoint, fingerprint, steps, not_covered, weights, layout)


def place_of(generator: Generator, spec: str) -> dict[str, Any]:
    """`Generator.where` as plain JSON values. Raises GeneratorError."""
    try:
        with user_code():
            place = json.loads(json.dumps(dict(generator.where), default=index))
    except UserCodeError as error:
        raise GeneratorError(f"{spec}: its `where` is no table of plain values: {error}") from error
    assert isinstance(place, dict)
    return place


def counts_of(values: Mapping[str, Any]) -> dict[str, int]:
    """Counts of any integer type as int. Raises TypeError for another."""
    return {str(stage): index(value) for stage, value in values.items()}


def check_declarations(generator: Generator, spec: str) -> None:
    """Raises GeneratorError for a batch, capabilities or packings that requests cannot be planned by."""
    batch, capabilities, packings = generator.batch, generator.capabilities, generator.packings
    if type(batch) is not int or batch < 1:
        raise GeneratorError(f"{spec}: batch = {batch!r:.60}; expected a whole number of at least 1")
    if not isinstance(capabilities, Capabilities):
        kind = type(capabilities).__name__
        raise GeneratorError(f"{spec}: its capabilities are a {kind}; expected Capabilities of sora_eval.records.capabilities")
    if not isinstance(packings, tuple) or not packings or not all(isinstance(p, str) for p in packings):
        raise GeneratorError(f"{spec}: packings = {packings!r:.60}; expected a tuple of names")
