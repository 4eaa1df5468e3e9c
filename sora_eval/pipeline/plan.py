"""The plan of a run: its cases, and everything that can be refused before one of them is generated."""

from __future__ import annotations

from sora_eval.generators.opening import facts_problem, open_generator, read_spec
from sora_eval.generators.protocol import ClipSource, Generator
from sora_eval.generators.shapes import check_suite
from sora_eval.pipeline.existing_clips import check_prompts
from sora_eval.pipeline.reference import check_reference
from sora_eval.records.case import Case
from sora_eval.suite import Suite
from sora_eval.util.errors import SuiteError


def check(suite: Suite, spec: str) -> bool:
    """Check a suite and a spec by the kind of the generator, without opening it; returns whether that is conclusive.

    Raises GeneratorError for an invalid spec, and SuiteError for shapes that the generator cannot make, with the nearest that
    it can, and for facts that it, the reference generator or an oracle cannot render.
    """
    capabilities = read_spec(spec).info.capabilities
    _check_facts(suite, spec)
    if capabilities is None:
        return False
    check_suite(suite, capabilities, spec)
    if _has_own_clips(suite):
        raise _without_prompts(suite, spec)
    return True


def _check_facts(suite: Suite, spec: str) -> None:
    """Raises SuiteError, one line per prompt, for facts that one of the suite's generators cannot render."""
    specs = [
        spec,
        *([suite.reference.generator] if suite.reference else []),
        *(suite.oracles.generators if suite.oracles else []),
    ]
    problems = {p.id: why for p in suite.prompt_list if p.facts for s in specs if (why := facts_problem(s, p.facts))}
    if problems:
        raise SuiteError("\n".join(f"{suite.path}: facts of the prompt {i!r}: {why}" for i, why in problems.items()))


def validate(suite: Suite, spec: str) -> None:
    """Check that a generator can answer a suite; it is opened only if `check` is not conclusive.

    Raises GeneratorError and SuiteError.
    """
    if not check(suite, spec):
        plan(suite, open_generator(spec))
    check_reference(suite, light=True)


def plan(suite: Suite, generator: Generator) -> list[Case]:
    """The cases of a run: the suite's, or those of the generator's clips.

    Raises SuiteError for shapes that the generator cannot make, with the nearest that it can, for a suite without prompts
    and a generator without clips, and for clips of which none has a prompt of the suite.
    """
    check_suite(suite, generator.capabilities, generator.name)
    if not _has_own_clips(suite):
        if isinstance(generator, ClipSource) and suite.axes is not None:
            check_prompts(suite, generator)
        return suite.cases
    if not isinstance(generator, ClipSource):
        raise _without_prompts(suite, generator.name)
    return generator.cases()


def _has_own_clips(suite: Suite) -> bool:
    """Whether a suite scores clips that exist, instead of asking for them."""
    return suite.axes is None and bool(suite.metrics)


def _without_prompts(suite: Suite, generator: str) -> SuiteError:
    return SuiteError(
        f"{suite.path} has no [prompts]: it scores clips that exist, and {generator!r} makes clips; use --generator folder:PATH"
    )
