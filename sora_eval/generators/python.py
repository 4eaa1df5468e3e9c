"""A user's code as a generator: `python:MODULE:NAME[?key=value&...]`, a function, a class, a factory or an object."""

from __future__ import annotations

import atexit
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from sora_eval.generators.answer import clip_from
from sora_eval.generators.code_identity import NOT_COVERED, code_hash
from sora_eval.generators.protocol import Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.registry.spec import value_of
from sora_eval.registry.targets import load_user_target
from sora_eval.util.errors import GeneratorError, RegistryError, near
from sora_eval.util.redaction import is_secret_name
from sora_eval.util.user_code import UserCodeError, user_code

CODE_ONLY = "source-"  # prefix of a fingerprint that knows no weights
UNSTATED = Capabilities(stated=False)


def open_python(argument: str, options: dict[str, str]) -> Generator:
    """The generator that `MODULE:NAME` names.

    A function with a required parameter answers requests, and takes the options as further keywords. A class, or a function
    without one, is called once with the options; what it makes answers: a callable, an object with `generate(requests)`, a
    context manager around one of them, or a `Generator`. So may an object itself. Raises GeneratorError where it cannot be
    imported, called, or is none of these.
    """
    spec = f"python:{argument}"
    if not all(argument.partition(":")):
        raise GeneratorError(f"{spec} is not python:MODULE:NAME, for example python:my_model:generate")
    try:
        target = load_user_target(argument)
    except RegistryError as error:
        raise GeneratorError(f"{spec}: {error}") from error
    made = _made(spec, target, options)
    if isinstance(made, Generator):
        return made
    if not callable(made) and not _is_context(made) and not callable(getattr(made, "generate", None)):
        made_by = "" if made is target else f"{argument} makes "
        raise GeneratorError(
            f"{spec}: {made_by or f'{argument} is '}a {type(made).__name__}; expected a function, a class, or an object with "
            "generate(requests)"
        )
    return PythonGenerator(spec, made, target, options)


def _made(spec: str, target: Any, options: dict[str, str]) -> Any:
    """The function or object that answers: the target, or what it makes of the options."""
    if not inspect.isclass(target) and not inspect.isroutine(target) and not isinstance(target, partial):
        if options:
            raise GeneratorError(f"{spec}: options are for a class or a function, and it is a {type(target).__name__}")
        return target
    try:
        parameters: Any = inspect.signature(target).parameters
    except (TypeError, ValueError):  # of a compiled function nothing is known
        parameters = None
    keywords = _keywords(spec, parameters, options)
    if inspect.isclass(target) or (parameters is not None and not _answers(parameters)):
        try:
            with user_code():
                return target(**keywords)
        except UserCodeError as error:
            raise GeneratorError(f"{spec} cannot be made: {error}") from error
    return partial(target, **keywords) if keywords else target


def _answers(parameters: Any) -> bool:
    """Whether a function of these parameters needs a request; one that takes options alone is a factory."""
    first = next(iter(parameters.values()), None)
    if first is None:
        return False
    return first.kind is first.VAR_POSITIONAL or (first.default is first.empty and first.kind is not first.KEYWORD_ONLY)


def _keywords(spec: str, parameters: Any, options: dict[str, str]) -> dict[str, Any]:
    """The options as keyword arguments, numbers and truth values as such unless the parameter is annotated as str."""
    free = parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    parameters = parameters or {}
    for key in options:
        if key not in parameters and not free:
            known = list(parameters)
            raise GeneratorError(f"{spec}: it takes no {key!r}{near(key, known)}")
    texts = {name for name, p in parameters.items() if p.annotation in (str, "str")}
    return {key: value if key in texts else value_of(value) for key, value in options.items()}


def _is_context(value: Any) -> bool:
    return hasattr(type(value), "__enter__") and hasattr(type(value), "__exit__")


class PythonGenerator(Generator):
    """Calls `made(request)` per request, or `made.generate(requests)` with up to `batch` of them; answers are what `clip_from`
    reads. A context manager is entered before the first call, and left when the run ends.

    Of `made`, and else of the `target` that made it, `fingerprint`, a string or a function, identifies the weights; without one
    only its code, the options and the plain values that it holds are known. `capabilities` state its valid shapes and settings.
    """

    def __init__(self, spec: str, made: Any, target: Any = None, options: dict[str, str] | None = None) -> None:
        self.name, self._made, self._target = spec, made, made if target is None else target
        self._options = {key: value for key, value in (options or {}).items() if not is_secret_name(key)}
        self._opened: ExitStack | None = None
        self._entered: Any = None
        self._answer: Callable[[Sequence[Request]], Iterable[Any]] | None = None
        self.capabilities = self._declared("capabilities", UNSTATED)
        self.batch = self._declared("batch", 1)

    def _declared(self, name: str, default: Any) -> Any:
        return next((getattr(owner, name) for owner in (self._made, self._target) if hasattr(owner, name)), default)

    @property
    def not_covered(self) -> str:
        return NOT_COVERED if self._declared("fingerprint", None) is None else ""

    @property
    def training_steps(self) -> int | None:
        """What it says of itself, if anything."""
        steps: int | None = self._declared("training_steps", None)
        return steps

    def fingerprint(self) -> str:
        declared = self._declared("fingerprint", None)
        if declared is not None:
            known = str(declared() if callable(declared) else declared)
        else:
            _, module, attribute = self.name.split(":", 2)
            known = CODE_ONLY + code_hash(self._made if inspect.isclass(self._target) else self._target, module, attribute)
        if not self._options:
            return known
        return f"{known}-{hashlib.sha256(json.dumps(self._options, sort_keys=True).encode()).hexdigest()[:8]}"

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        if self._answer is None:
            self._answer = self._open()
        clips: list[Clip] = []
        for answer in islice(self._answer(requests), len(requests) + 1):  # one clip more is enough to be refused
            clips.append(clip_from(answer, requests[min(len(clips), len(requests) - 1)]))  # before its memory is used again
        return clips

    def denoising_losses(
        self, clips: Sequence[Clip], prompts: Sequence[str], times: Sequence[float], seed: int
    ) -> npt.NDArray[np.float64]:
        """Those of `denoising_losses` of what answers, or of the function's attribute. Raises Undefined without one."""
        if self._answer is None:
            self._answer = self._open()
        owners = (self._entered, self._made, self._target)
        asked = next((found for owner in owners if callable(found := getattr(owner, "denoising_losses", None))), None)
        if asked is None:
            return super().denoising_losses(clips, prompts, times, seed)
        losses: npt.NDArray[np.float64] = asked(clips, prompts, times, seed)
        return losses

    def _open(self) -> Callable[[Sequence[Request]], Iterable[Any]]:
        made = self._made
        if _is_context(made):
            self._opened = ExitStack()
            made = self._opened.enter_context(made)
            self._entered = made
            atexit.register(self.close)  # a process that ends without a run, as those of timings do
        generate = getattr(made, "generate", None)
        if callable(generate):
            return generate  # type: ignore[no-any-return]  # a user's
        if not callable(made):
            raise GeneratorError(f"{self.name} opens a {type(made).__name__}; expected a function, or generate(requests)")
        return partial(map, made)

    def close(self) -> None:
        """Leave the context manager that it entered. Raises GeneratorError where that fails."""
        opened, self._opened, self._answer, self._entered = self._opened, None, None, None
        if opened is None:
            return
        atexit.unregister(self.close)
        try:
            with user_code():
                opened.close()
        except UserCodeError as error:
            raise GeneratorError(f"{self.name} cannot be closed: {error}") from error
