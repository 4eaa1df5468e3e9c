"""A user's function as a generator: `python:MODULE:CALLABLE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sora_eval.generators.code_identity import NOT_COVERED, code_hash
from sora_eval.generators.protocol import Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.registry.targets import load_user_target
from sora_eval.util.errors import GeneratorError, RegistryError

CODE_ONLY = "source-"  # prefix of a fingerprint that knows no weights


def open_python(argument: str, options: dict[str, str]) -> PythonGenerator:
    """The function `MODULE:CALLABLE` as a generator. Raises GeneratorError where it cannot be imported or called."""
    spec = f"python:{argument}"
    if not all(argument.partition(":")):
        raise GeneratorError(f"{spec} is not python:MODULE:CALLABLE, for example python:my_model:generate")
    try:
        function = load_user_target(argument)
    except RegistryError as error:
        raise GeneratorError(f"{spec}: {error}") from error
    if not callable(function):
        raise GeneratorError(f"{spec}: {argument} is a {type(function).__name__}; expected a function")
    return PythonGenerator(spec, function)


class PythonGenerator(Generator):
    """Calls `function(request)`, one request per call. It returns frames (T, H, W, 3) uint8, or a `Clip`.

    Its `fingerprint` attribute, a string or a function, identifies the weights; without one only its code and the plain
    values that it holds are known. Its `capabilities` attribute states its valid shapes.
    """

    def __init__(self, spec: str, function: Any) -> None:
        self.name, self._function = spec, function
        self.capabilities = getattr(function, "capabilities", Capabilities())

    @property
    def _declared(self) -> Any:
        return getattr(self._function, "fingerprint", None)

    @property
    def not_covered(self) -> str:
        return NOT_COVERED if self._declared is None else ""

    def fingerprint(self) -> str:
        declared = self._declared
        if declared is not None:
            return str(declared() if callable(declared) else declared)
        _, module, attribute = self.name.split(":", 2)
        return CODE_ONLY + code_hash(self._function, module, attribute)

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        out = []
        for request in requests:
            frames = self._function(request)
            out.append(frames if isinstance(frames, Clip) else Clip(frames, request.fps))
        return out
