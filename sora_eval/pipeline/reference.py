"""The reference set of a suite, opened and checked at the plan, before anything is generated."""

from __future__ import annotations

from sora_eval.generators.opening import open_generator, read_spec
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.generators.shapes import check_shapes
from sora_eval.registry.metrics import metric_info
from sora_eval.suite import Suite
from sora_eval.util.errors import SoraEvalError, SuiteError


def open_reference(suite: Suite) -> Generator:
    """The generator of a suite's reference set. Raises SoraEvalError where it cannot be opened."""
    return open_generator(suite.reference_spec)


def check_reference(suite: Suite, *, light: bool = False) -> None:
    """Raises SuiteError for a reference set that a suite's set metrics cannot use.

    It cannot be opened, has no file, cannot make the suite's shapes, or answers none of its prompts. A `light` check opens no
    network of this project.
    """
    if suite.reference is None or not any(metric_info(name).kind == "set" for name in suite.metrics):
        return
    try:
        capabilities = read_spec(suite.reference_spec).info.capabilities
        if light and capabilities is not None:
            check_shapes(suite, capabilities, suite.reference_spec)
            return
        generator = open_reference(suite)
        check_shapes(suite, generator.capabilities, suite.reference_spec)
        problem = _problem(suite, generator)
    except SoraEvalError as error:
        problem = str(error)
    if problem:
        raise SuiteError(f"{suite.path}: [reference].generator = {suite.reference.generator!r}: {problem}")


def _problem(suite: Suite, generator: Generator) -> str:
    """Why a reference set has no clip for this suite, or ''."""
    if not isinstance(generator, ClipSource):
        return "" if suite.axes is not None else "the suite has no prompts; expected existing clips, for example 'folder:PATH'"
    cases = generator.cases()
    if not any(generator.path(case).exists() for case in cases):
        return f"none of its {len(cases)} files exists, for example {generator.path(cases[0])}"
    prompts = {prompt.text for prompt in suite.prompt_list}
    if suite.axes is not None and not any(case.prompt.text in prompts for case in cases):
        return f"none of its {len(cases)} clips is of a prompt of the suite; give it a manifest with the suite's prompts"
    return ""
