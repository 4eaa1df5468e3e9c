"""A user's function as a generator: `python:MODULE:CALLABLE`."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from sora_eval.generators.protocol import Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError


def open_python(argument: str, options: dict[str, str]) -> PythonGenerator:
    spec = f"python:{argument}"
    module_name, _, attribute = argument.partition(":")
    if not module_name or not attribute:
        raise GeneratorError(f"{spec} is not python:MODULE:CALLABLE, for example python:my_model:generate")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does: the user's module lies beside them
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise GeneratorError(f"{spec}: module {module_name!r} cannot be imported ({error}); is it on PYTHONPATH?") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise GeneratorError(f"{spec}: {module_name} has no callable {attribute!r}; it has: {', '.join(names[:10])}")
    return PythonGenerator(spec, function)


class PythonGenerator(Generator):
    """Calls `function(request)`, one request per call. It returns frames (T, H, W, 3) uint8, or a `Clip`.

    A `fingerprint` attribute of the function, if there is one, says which weights it uses; else its source is hashed.
    """

    def __init__(self, spec: str, function: Any) -> None:
        self.name, self._function = spec, function
        self.capabilities = getattr(function, "capabilities", Capabilities())

    def fingerprint(self) -> str:
        declared = getattr(self._function, "fingerprint", None)
        if declared is not None:
            return str(declared() if callable(declared) else declared)
        try:
            source = inspect.getsource(self._function)
        except (OSError, TypeError):
            source = repr(type(self._function))
        return "source-" + hashlib.sha256(source.encode()).hexdigest()[:16]

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        out = []
        for request in requests:
            frames = self._function(request)
            out.append(frames if isinstance(frames, Clip) else Clip(frames, request.fps))
        return out
